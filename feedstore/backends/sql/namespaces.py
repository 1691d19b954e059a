"""Namespaces: names that stand for small integers in every other table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select

from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.stored import read_count
from feedstore.backends.sql.tables import namespace_table
from feedstore.errors import NewerSchemaError
from feedstore.shown import shown

if TYPE_CHECKING:
    from feedstore.backends.sql.store import Store

FORMAT = 1
"""The format in which this release writes the rows of a namespace."""


class Namespaces:
    """The namespaces that one store has seen, each looked up once, so that a newer release's is refused.

    A row is made at the first write. Statements name the namespace and find its id themselves: where the row is gone,
    because the tables were emptied or an older copy of the database was put in their place, reads find nothing, and the
    write that finds none is run again after :meth:`create_again`.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: set[str] = set()
        columns = select(namespace_table.c.id, namespace_table.c.format)
        compiler = store.database.compiler
        self._find = compiler.text(columns.where(namespace_table.c.name == bindparam("name")), "name")
        create = store.database.insert(namespace_table).values(name=bindparam("name"), format=bindparam("format"))
        self._create = compiler.text(create.on_conflict_do_nothing(), "name", "format")

    def find(self, name: str) -> str | None:
        """Return the name of a namespace, None while nothing was ever written to it.

        Raises :class:`NewerSchemaError` for one that a newer release has written.
        """
        if name in self._known:
            return name
        rows = self._store.fetch(self._find, (name,))
        return self._checked(name, rows[0]) if rows else None

    def find_or_create(self, name: str) -> str:
        """Return the name of a namespace, made now if need be, in a transaction of its own."""
        found = self.find(name)
        return self._checked(name, self._store.write(self._created, name)) if found is None else found

    def create_again(self, connection: Connection) -> None:
        """Make the rows of the namespaces that this store has seen where they are gone."""
        for name in tuple(self._known):
            connection.execute(self._create, (name, FORMAT))

    def _created(self, connection: Connection, name: str) -> tuple[int, int]:
        connection.execute(self._create, (name, FORMAT))
        row: tuple[int, int] = connection.execute(self._find, (name,)).fetchone()
        return row

    def _checked(self, name: str, row: tuple[int, int]) -> str:
        namespace_id, written_format = row
        read_count(namespace_id, f"the number of the namespace {shown(name)}")
        if read_count(written_format, f"the format of the namespace {shown(name)}") > FORMAT:
            raise NewerSchemaError(
                f"the namespace {shown(name)} was written in format {written_format} by a newer release of "
                "feedstore; this "
                f"one reads up to format {FORMAT}: upgrade feedstore"
            )
        self._known.add(name)
        return name

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
    """The ids of the namespaces of one store, each looked up once. A row is made at the first write and stays for
    ever, so an id that was seen holds for good.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ids: dict[str, int] = {}
        columns = select(namespace_table.c.id, namespace_table.c.format)
        compiler = store.database.compiler
        self._find = compiler.text(columns.where(namespace_table.c.name == bindparam("name")), "name")
        create = store.database.insert(namespace_table).values(name=bindparam("name"), format=bindparam("format"))
        self._create = compiler.text(create.on_conflict_do_nothing(), "name", "format")

    def find(self, name: str) -> int | None:
        """Return the id of a namespace, None while nothing was ever written to it.

        Raises :class:`NewerSchemaError` for one that a newer release has written.
        """
        known = self._ids.get(name)
        if known is not None:
            return known
        rows = self._store.fetch(self._find, (name,))
        return self._checked(name, rows[0]) if rows else None

    def find_or_create(self, name: str) -> int:
        """Return the id of a namespace, made now if need be, in a transaction of its own."""
        known = self.find(name)
        return self._checked(name, self._store.write(self._created, name)) if known is None else known

    def _created(self, connection: Connection, name: str) -> tuple[int, int]:
        connection.execute(self._create, (name, FORMAT))
        row: tuple[int, int] = connection.execute(self._find, (name,)).fetchone()
        return row

    def _checked(self, name: str, row: tuple[int, int]) -> int:
        namespace_id, written_format = row
        read_count(namespace_id, f"the number of the namespace {name!r}")
        if read_count(written_format, f"the format of the namespace {name!r}") > FORMAT:
            raise NewerSchemaError(
                f"the namespace {shown(name)} was written in format {written_format} by a newer release of "
                "feedstore; this "
                f"one reads up to format {FORMAT}: upgrade feedstore"
            )
        self._ids[name] = namespace_id
        return namespace_id

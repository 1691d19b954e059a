"""A database: its connections, its transactions, and the border at which the driver's errors are translated."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Engine, bindparam, select

from feedstore.backends.sql.compiler import Compiler
from feedstore.backends.sql.connection import Connection, Connections, Driver, Opener
from feedstore.backends.sql.stored import read_count
from feedstore.backends.sql.tables import namespace_table
from feedstore.errors import NewerSchemaError
from feedstore.shown import shown

FORMAT = 1
"""The format in which this release writes the rows of a namespace."""
_Result = TypeVar("_Result")
_ATTEMPTS = 10
_LONGEST_PAUSE_SECONDS = 0.5


class Database:
    """A database that the backends of several namespaces share. It translates the driver's errors.

    Args:
        engine: The engine that opens connections.
        driver: The behaviour of the driver.
        compiler: Compiles the statements on namespaces.
        connections: The source of connections for calls.
        listener: Opens connections that receive notifications; None to use the source of all calls.
    """

    def __init__(
        self,
        engine: Engine,
        driver: Driver,
        compiler: Compiler,
        connections: Connections,
        listener: Opener | None = None,
    ) -> None:
        self.engine = engine
        self.driver = driver
        self.label = driver.label
        self.closed = False
        self.namespaces = Namespaces(self, compiler)
        self._connections = connections
        self._listener = listener
        self._driver_error = driver.error
        self.fetch = connections.fetch
        """Return the rows of one reading statement. See :meth:`Connections.fetch`."""

    def read(self, work: Callable[..., _Result], *arguments: Any) -> _Result:
        """Call ``work(connection, *arguments)`` in a transaction that sees one state of the database."""
        result: _Result = self._connections.call(self._read, work, arguments)
        return result

    def _read(self, connection: Connection, work: Callable[..., _Result], arguments: tuple[Any, ...]) -> _Result:
        try:
            if connection.in_transaction:
                return work(connection, *arguments)
            return self._attempt(connection, self.driver.begin_read, work, arguments)
        except self._driver_error as error:
            raise self.driver.translated(error) from error

    def write(self, work: Callable[..., _Result], *arguments: Any) -> _Result:
        """Call ``work(connection, *arguments)`` in a transaction that writes, or in the thread's transaction under way.

        If the server undid the transaction because of a deadlock or a concurrent write, the whole transaction is run
        again, ten times at most. A commit whose answer was lost is not repeated.
        """
        result: _Result = self._connections.call_writing(self._write, work, arguments)
        return result

    def _write(self, connection: Connection, work: Callable[..., _Result], arguments: tuple[Any, ...]) -> _Result:
        if connection.in_transaction:
            connection.shared = True
            return work(connection, *arguments)
        result: _Result = self._repeated(connection, self._attempt, self.driver.begin_write, work, arguments)
        return result

    def execute(self, text: str, parameters: Any) -> int:
        """Run one writing statement as :meth:`write` does, and return how many rows it changed.

        In autocommit the statement is a transaction, and no statements begin and end one.
        """
        return self._connections.call_writing(self._execute, text, parameters)

    def _execute(self, connection: Connection, text: str, parameters: Any) -> int:
        if connection.in_transaction or not connection.in_autocommit:
            return self._write(connection, _execute, (text, parameters))
        return self._repeated(connection, _execute, text, parameters)

    def write_and_fetch(self, text: str, parameters: Any) -> list[Any]:
        """Run one writing statement that returns rows. The driver's connections must be in autocommit."""
        return self._connections.call_writing(self._write_and_fetch, text, parameters)

    def _write_and_fetch(self, connection: Connection, text: str, parameters: Any) -> list[Any]:
        return self._repeated(connection, _fetch_all, text, parameters)

    def _repeated(self, connection: Connection, action: Callable[..., _Result], *arguments: Any) -> _Result:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return action(connection, *arguments)
            except self._driver_error as error:
                lacks_namespace = self.driver.lacks_namespace(error)
                if attempt == _ATTEMPTS or not (lacks_namespace or self.driver.may_retry(error)):
                    raise self.driver.translated(error) from error
            if lacks_namespace:
                self._create_namespaces(connection)
                continue
            time.sleep(random.uniform(0, min(0.01 * 2**attempt, _LONGEST_PAUSE_SECONDS)))
        raise AssertionError("the last attempt returns or raises")

    def _create_namespaces(self, connection: Connection) -> None:
        try:
            self._attempt(connection, self.driver.begin_write, self.namespaces.create_again, ())
        except self._driver_error as error:
            raise self.driver.translated(error) from error

    def _attempt(
        self, connection: Connection, begin: str, work: Callable[..., _Result], arguments: tuple[Any, ...]
    ) -> _Result:
        with self.driver.guard(connection):
            try:
                connection.execute(begin)
                connection.in_transaction, connection.shared = True, False
                result = work(connection, *arguments)
                connection.execute("COMMIT")
            except BaseException:
                self._roll_back(connection)
                raise
            finally:
                connection.in_transaction = False
        return result

    def _roll_back(self, connection: Connection) -> None:
        try:
            self.driver.roll_back(connection)
        except self._driver_error:
            # The error that broke the transaction is being raised already. A connection that cannot roll back must not
            # keep its locks: closing it drops them.
            self._connections.discard(connection)

    def new_connection(self) -> tuple[Any, Any]:
        """Return a connection outside the pool for notifications, and the driver's connection in it.

        The caller closes the driver's connection.
        """
        pooled = self._connections.open_one() if self._listener is None else self._listener.open()
        raw = pooled.driver_connection
        pooled.detach()
        return pooled, raw

    def close(self) -> None:
        """Close the connections that were opened here."""
        self.closed = True
        self._connections.close()


class Namespaces:
    """The namespaces that one database has seen: names that stand for small integers in every other table.

    Each is looked up once, so that a namespace of a newer release is refused. Its row is made at the first write.
    Statements name the namespace and find its id themselves. If the row is gone, because the tables were emptied or an
    older copy of the database took their place, reads find nothing, and a write is run again after
    :meth:`create_again`.
    """

    def __init__(self, database: Database, compiler: Compiler) -> None:
        self._database = database
        self.known: set[str] = set()
        """The names that :meth:`find` returned."""
        columns = select(namespace_table.c.id, namespace_table.c.format)
        self._find = compiler.text(columns.where(namespace_table.c.name == bindparam("name")), "name")
        self._all = compiler.text(select(namespace_table.c.name))
        create = compiler.insert(namespace_table).values(name=bindparam("name"), format=bindparam("format"))
        self._create = compiler.text(create.on_conflict_do_nothing(), "name", "format")

    def names(self) -> list[str]:
        """Return the names of all namespaces, with those of collections."""
        return [name for (name,) in self._database.fetch(self._all, ())]

    def find(self, name: str) -> str | None:
        """Return the name of a namespace, None while nothing was ever written to it.

        Raises :class:`NewerSchemaError` for one that a newer release has written.
        """
        if name in self.known:
            return name
        rows = self._database.fetch(self._find, (name,))
        return self._checked(name, rows[0]) if rows else None

    def find_or_create(self, name: str) -> str:
        """Return the name of a namespace. If it has no row, make the row in a transaction of its own."""
        found = self.find(name)
        return self._checked(name, self._database.write(self._created, name)) if found is None else found

    def create_again(self, connection: Connection) -> None:
        """Make the missing rows of all namespaces that this database has seen."""
        for name in tuple(self.known):
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
                f"feedstore; this release reads up to format {FORMAT}: upgrade feedstore"
            )
        self.known.add(name)
        return name


def _execute(connection: Connection, text: str, parameters: Any) -> int:
    rows: int = connection.execute(text, parameters).rowcount
    return rows


def _fetch_all(connection: Connection, text: str, parameters: Any) -> list[Any]:
    rows: list[Any] = connection.execute(text, parameters).fetchall()
    return rows

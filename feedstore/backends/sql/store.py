"""What all backends on one database share: its engine, its connections, and the border where errors are translated."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Engine

from feedstore.backends.sql.activity_statements import ActivityStatements
from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.connections import Connections
from feedstore.backends.sql.database import Database
from feedstore.backends.sql.item_statements import ItemStatements
from feedstore.backends.sql.namespaces import Namespaces
from feedstore.backends.sql.opener import Opener
from feedstore.backends.sql.queue_statements import QueueStatements
from feedstore.backends.sql.timeline_statements import TimelineStatements

_Result = TypeVar("_Result")
_ATTEMPTS = 10
_LONGEST_PAUSE_SECONDS = 0.5


class Statements:
    """The statements that are the same on every database, compiled for this one."""

    def __init__(self, database: Database) -> None:
        self.activities = ActivityStatements(database.compiler)
        self.timelines = TimelineStatements(database.compiler)
        self.items = ItemStatements(database)
        self.queues = QueueStatements(database)


class Store:
    """A database that backends use together. The driver's errors end here, translated once."""

    def __init__(
        self, engine: Engine, database: Database, connections: Connections, listener: Opener | None = None
    ) -> None:
        self.engine = engine
        self.database = database
        self.label = database.label
        self.closed = False
        self._connections = connections
        self._listener = listener
        self._driver_error = database.driver_error
        self.statements = Statements(database)
        self.namespaces = Namespaces(self)

    def fetch(self, text: str, parameters: Any) -> list[Any]:
        """Return the rows of one reading statement. If the connection turns out to be lost, another one is tried once:
        a read can be repeated.
        """
        rows = self._connections.call(self._fetch, text, parameters)
        return self.read(_fetch_all, text, parameters) if rows is None else rows

    def _fetch(self, connection: Connection, text: str, parameters: Any) -> list[Any] | None:
        """Return the rows; None if the connection turned out to be lost, which is discarded."""
        try:
            return connection.execute(text, parameters).fetchall()  # type: ignore[no-any-return]
        except self._driver_error as error:
            if connection.in_transaction or not self.database.is_lost(error):
                raise self.database.translated(error) from error
            self._connections.discard(connection)
        return None

    def read(self, work: Callable[..., _Result], *arguments: Any) -> _Result:
        """Call ``work(connection, *arguments)`` in a transaction that sees one state of the database."""
        result: _Result = self._connections.call(self._read, work, arguments)
        return result

    def _read(self, connection: Connection, work: Callable[..., _Result], arguments: tuple[Any, ...]) -> _Result:
        try:
            if connection.in_transaction:
                return work(connection, *arguments)
            return self._attempt(connection, self.database.begin_read, work, arguments)
        except self._driver_error as error:
            raise self.database.translated(error) from error

    def write(self, work: Callable[..., _Result], *arguments: Any) -> _Result:
        """Call ``work(connection, *arguments)`` in a transaction that writes; inside one of the same thread, in that.

        A transaction that the server undid, because of a deadlock or of what another did meanwhile, is run again as a
        whole, ten times at most. A commit whose answer was lost is not repeated.
        """
        result: _Result = self._connections.call_writing(self._write, work, arguments)
        return result

    def _write(self, connection: Connection, work: Callable[..., _Result], arguments: tuple[Any, ...]) -> _Result:
        if connection.in_transaction:
            connection.shared = True
            return work(connection, *arguments)
        result: _Result = self._repeated(connection, self._attempt, self.database.begin_write, work, arguments)
        return result

    def execute(self, text: str, parameters: Any) -> int:
        """Run one writing statement as :meth:`write` does, and return how many rows it changed. Where the driver's
        connections are in autocommit, it needs no round trips to begin and end.
        """
        if not self.database.in_autocommit:
            return self.write(_execute, text, parameters)
        return self._connections.call_writing(self._execute, text, parameters)

    def _execute(self, connection: Connection, text: str, parameters: Any) -> int:
        if connection.in_transaction:
            connection.shared = True
            return _execute(connection, text, parameters)
        return self._repeated(connection, _execute, text, parameters)

    def write_and_fetch(self, text: str, parameters: Any) -> list[Any]:
        """Run one writing statement that returns rows, where the driver's connections are in autocommit."""
        return self._connections.call_writing(self._write_and_fetch, text, parameters)

    def _write_and_fetch(self, connection: Connection, text: str, parameters: Any) -> list[Any]:
        return self._repeated(connection, _fetch_all, text, parameters)

    def _repeated(self, connection: Connection, action: Callable[..., _Result], *arguments: Any) -> _Result:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return action(connection, *arguments)
            except self._driver_error as error:
                lacks_namespace = self.database.lacks_namespace(error)
                if attempt == _ATTEMPTS or not (lacks_namespace or self.database.may_retry(error)):
                    raise self.database.translated(error) from error
            if lacks_namespace:
                self._create_namespaces(connection)
                continue
            time.sleep(random.uniform(0, min(0.01 * 2**attempt, _LONGEST_PAUSE_SECONDS)))
        raise AssertionError("the last attempt returns or raises")

    def _create_namespaces(self, connection: Connection) -> None:
        try:
            self._attempt(connection, self.database.begin_write, self.namespaces.create_again, ())
        except self._driver_error as error:
            raise self.database.translated(error) from error

    def _attempt(
        self, connection: Connection, begin: str, work: Callable[..., _Result], arguments: tuple[Any, ...]
    ) -> _Result:
        with self.database.guard(connection):
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
            self.database.roll_back(connection)
        except self._driver_error:
            # What broke the transaction is being raised already. A connection that cannot even roll back must not keep
            # its locks: closing it drops them.
            self._connections.discard(connection)

    def new_connection(self) -> tuple[Any, Any]:
        """Return a connection outside the pool to listen on, and the driver's own in it, which the caller closes."""
        pooled = self._connections.open_one() if self._listener is None else self._listener.open()
        raw = pooled.driver_connection
        pooled.detach()
        return pooled, raw

    def close(self) -> None:
        """Close what was opened here."""
        self.closed = True
        self._connections.close()


def _execute(connection: Connection, text: str, parameters: Any) -> int:
    rows: int = connection.execute(text, parameters).rowcount
    return rows


def _fetch_all(connection: Connection, text: str, parameters: Any) -> list[Any]:
    rows: list[Any] = connection.execute(text, parameters).fetchall()
    return rows

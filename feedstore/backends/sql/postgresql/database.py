"""PostgreSQL as a database of the SQL backend."""

from __future__ import annotations

import select
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Dialect
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.sql.expression import ClauseElement

from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.database import Database
from feedstore.backends.sql.postgresql.activities import PostgresqlActivityRows
from feedstore.backends.sql.postgresql.client import Client, is_pooled
from feedstore.backends.sql.postgresql.deliveries import PostgresqlDeliveryRows
from feedstore.backends.sql.postgresql.errors import is_lost, may_retry, translate
from feedstore.backends.sql.postgresql.messages import PostgresqlMessageRows
from feedstore.backends.sql.postgresql.source import NOTIFY, PostgresqlSource, notification
from feedstore.backends.sql.postgresql.timelines import BEGIN_WRITE, PostgresqlTimelineRows
from feedstore.backends.sql.statements import Compiler
from feedstore.storage.notify.source import TopicSource

if TYPE_CHECKING:
    from feedstore.backends.sql.backend import SqlBackend
    from feedstore.backends.sql.store import Store

# A cursor holds its last result until the next statement.
_KEPT_ROWS = 100
_CHECKED = "feedstore checked for a pooler"


class PostgresqlDatabase(Database):
    """A PostgreSQL database, through psycopg 3 in autocommit: a read is one statement and one round trip.

    Parameters and results go in binary.
    """

    insert = staticmethod(insert)
    in_autocommit = True
    pushes = True
    begin_read = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    begin_write = BEGIN_WRITE
    driver_error = psycopg.Error

    def __init__(self, label: str) -> None:
        dialect: Dialect = PGDialect_psycopg(paramstyle="format")  # type: ignore[no-untyped-call]
        super().__init__(_BinaryCompiler(dialect), label)
        self.activity_rows = PostgresqlActivityRows(self.compiler)
        self.timeline_rows = PostgresqlTimelineRows(self.compiler)
        self.delivery_rows = PostgresqlDeliveryRows(self.timeline_rows)
        self.message_rows = PostgresqlMessageRows(self.compiler)

    def make_source(self, backend: SqlBackend) -> TopicSource:
        """A connection that listens."""
        return PostgresqlSource(backend)

    def notify(self, store: Store, namespace: str, digests: Sequence[bytes]) -> None:
        """One statement."""
        store.fetch(NOTIFY, notification(namespace, digests))

    def take(self, connection: Connection) -> None:
        """Engines of our own are in autocommit already; those of others are put into it for the call. One cursor serves
        all statements: to make one for each took 4 of the 43 µs of reading 25 entries.
        """
        if not connection.raw.autocommit:
            connection.raw.autocommit = connection.changed = True
        if connection.pooled is not None and not isinstance(connection.raw, Client):
            _prepare_nothing_through_a_pooler(connection.pooled.info, connection.raw)
        self._open_cursor(connection)

    def _open_cursor(self, connection: Connection) -> None:
        connection.cursor = connection.raw.cursor(binary=True)
        connection.execute = connection.cursor.execute

    def leave(self, connection: Connection) -> bool:
        """Take the connection out of autocommit, if :meth:`take` put it there, and let go of a large result.

        It no longer works if it is lost, or if an interrupt left it in the middle of a statement.
        """
        if connection.raw.pgconn.transaction_status != TransactionStatus.IDLE:
            return False
        if connection.changed:
            connection.raw.autocommit = False
        elif connection.cursor.rowcount > _KEPT_ROWS:
            self._open_cursor(connection)
        return True

    def is_stale(self, raw: Any) -> bool:
        """An idle server says nothing: if there is something to read, it is most likely the end."""
        poll = select.poll()
        poll.register(raw.fileno(), select.POLLIN)
        if not poll.poll(0):
            return False
        try:
            raw.execute("SELECT 1")
        except psycopg.Error:
            return True
        return False

    def roll_back(self, connection: Connection) -> None:
        """A connection that is lost has no transaction left. One that is in the middle of a statement is closed."""
        raw = connection.raw
        if raw is None or raw.closed:
            return
        status = raw.pgconn.transaction_status
        if status == TransactionStatus.ACTIVE:
            connection.close(invalid=True)
        elif status != TransactionStatus.IDLE:
            connection.execute("ROLLBACK")

    def translated(self, error: BaseException) -> Exception:
        """By SQLSTATE."""
        return translate(error, self.label)

    def may_retry(self, error: Exception) -> bool:
        """After a deadlock and after a failed serialization."""
        return may_retry(error)

    def lacks_namespace(self, error: Exception) -> bool:
        """By the column that must not be NULL."""
        return isinstance(error, psycopg.errors.NotNullViolation) and error.diag.column_name == "namespace_id"

    def is_lost(self, error: Exception) -> bool:
        """By SQLSTATE, and where there is none because no server answered."""
        return is_lost(error)


def _prepare_nothing_through_a_pooler(info: dict[str, Any], raw: Any) -> None:
    """Find out once for each connection of an engine that was handed in whether a pooler stands before the server. What
    is prepared there could be another client's.
    """
    if _CHECKED not in info and raw.prepare_threshold is not None:
        if is_pooled(raw):
            raw.prepare_threshold = None
        info[_CHECKED] = True


class _BinaryCompiler(Compiler):
    """Writes placeholders that ask for binary parameters; of arrays psycopg sends the text otherwise (three times the
    time for 500 activities)."""

    def text(self, statement: ClauseElement, *parameters: str) -> str:
        """Return the text with ``%b`` for each parameter."""
        return super().text(statement, *parameters).replace("%s", "%b")

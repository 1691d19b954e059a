"""The driver of PostgreSQL, psycopg 3: its transactions, and the translation of its errors by their SQLSTATE.

The states are listed at https://www.postgresql.org/docs/current/errcodes-appendix.html.
"""

from __future__ import annotations

import re
import select
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from feedstore.backends.sql.connection import Connection, Driver
from feedstore.backends.sql.postgresql.client import REFUSED_SETTINGS, Client, NoAnswerError, is_pooled
from feedstore.errors import (
    FeedstoreError,
    MissingSchemaError,
    StorageError,
    StorageFullError,
    StorageTimeoutError,
    StorageUnavailableError,
)

# A cursor holds its last result until the next statement.
_KEPT_ROWS = 100
# Each access to a member of an enumeration calls its class.
_IDLE = int(TransactionStatus.IDLE)
_CHECKED = "feedstore checked for a pooler"
_DEADLOCK, _SERIALIZATION_FAILURE = "40P01", "40001"
_BY_STATE = {
    _DEADLOCK: (StorageTimeoutError, "the transaction kept running into deadlocks with other writers"),
    _SERIALIZATION_FAILURE: (StorageTimeoutError, "concurrent writes kept undoing the transaction"),
    "57014": (StorageTimeoutError, "a statement took longer than statement_timeout"),
    "55P03": (StorageTimeoutError, "a lock was not acquired in time"),
    "25P03": (StorageTimeoutError, "the server ended an idle transaction"),
    "53100": (StorageFullError, "the server's disk is full"),
    "53300": (StorageUnavailableError, "the server has no free connection; lower pool_size"),
    "42P01": (MissingSchemaError, "it has no feedstore tables; create them with `feedstore db upgrade --store URL`"),
    "42703": (
        MissingSchemaError,
        "its feedstore tables are of another release; run `feedstore db upgrade --store URL`",
    ),
    "3F000": (MissingSchemaError, "it has no feedstore tables; create them with `feedstore db upgrade --store URL`"),
}
# Connection exceptions, refused authorization, unknown database, and the server's own end.
_UNAVAILABLE = ("08", "28", "3D", "57P")
# While it connects, libpq gives no SQLSTATE but the server's message, which begins with its severity. The message is in
# the server's language.
_FATAL = re.compile(r"\b(?:FATAL|FATALE?|PANIC|ERROR):\s")
_NOT_NOW = ("starting up", "shutting down", "recovery mode", "not yet accepting", "too many", "remaining connection")


class PostgresqlDriver(Driver):
    """The driver of PostgreSQL, in autocommit: a read is one statement and one round trip."""

    begin_read = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    # A statement after the locks must see every row that was committed before the transaction took the locks. The
    # database's default isolation level may be another one.
    begin_write = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
    error = psycopg.Error

    def take(self, connection: Connection) -> None:
        """Put a connection of an engine that was handed in into autocommit for the call, and open a cursor.

        One cursor serves all statements: a new cursor for each took 4 of the 43 µs of reading 25 entries. One poll
        object serves all checks of the socket: a new one for each takes 0.3 to 0.6 µs.
        """
        if not connection.raw.autocommit:
            connection.raw.autocommit = connection.changed = True
        connection.in_autocommit = True
        if connection.pooled is not None and not isinstance(connection.raw, Client):
            _prepare_nothing_through_a_pooler(connection.pooled.info, connection.raw)
        connection.poll = select.poll()
        connection.poll.register(connection.raw.fileno(), select.POLLIN)
        self._open_cursor(connection)

    def _open_cursor(self, connection: Connection) -> None:
        connection.cursor = connection.raw.cursor(binary=True)
        connection.execute = connection.cursor.execute

    def leave(self, connection: Connection) -> bool:
        """Take the connection out of autocommit if :meth:`take` put it there, and free a large result.

        The connection does not work if it was lost, or if an interrupt left it in the middle of a statement.
        """
        if connection.raw.pgconn.transaction_status != _IDLE:
            return False
        if connection.changed:
            connection.raw.autocommit = False
            return True
        result = connection.cursor.pgresult
        if result is not None and result.ntuples > _KEPT_ROWS:
            self._open_cursor(connection)
        return True

    def is_stale(self, connection: Connection) -> bool:
        """Return whether the server closed the connection. Until then, an idle server sends nothing."""
        if not connection.poll.poll(0):
            return False
        try:
            connection.raw.execute("SELECT 1")
        except psycopg.Error:
            return True
        return False

    def roll_back(self, connection: Connection) -> None:
        """Roll back. A connection in the middle of a statement is closed; a lost one has no transaction any more."""
        raw = connection.raw
        if raw is None or raw.closed:
            return
        status = raw.pgconn.transaction_status
        if status == TransactionStatus.ACTIVE:
            connection.close(invalid=True)
        elif status != _IDLE:
            connection.execute("ROLLBACK")

    def translated(self, error: BaseException) -> FeedstoreError:
        """Translate by SQLSTATE."""
        return translate(error, self.label)

    def may_retry(self, error: Exception) -> bool:
        """Return whether the error is a deadlock or a failed serialization."""
        return may_retry(error)

    def lacks_namespace(self, error: Exception) -> bool:
        """Return whether the column of the namespace's id was NULL."""
        return isinstance(error, psycopg.errors.NotNullViolation) and error.diag.column_name == "namespace_id"

    def is_lost(self, error: Exception) -> bool:
        """Decide by SQLSTATE, or by the error's class if no server answered."""
        return is_lost(error)


def _prepare_nothing_through_a_pooler(info: dict[str, Any], raw: Any) -> None:
    """Turn off prepared statements if a pooler stands before the server: they could belong to another client.

    It is checked once for each connection of an engine that was handed in.
    """
    if _CHECKED not in info and raw.prepare_threshold is not None:
        if is_pooled(raw):
            raw.prepare_threshold = None
        info[_CHECKED] = True


def translate(error: BaseException, label: str) -> FeedstoreError:
    """Return feedstore's error for an error of psycopg's or of a pool's. Its message never holds a password."""
    message = str(error).strip()
    if isinstance(error, PoolTimeoutError):
        return StorageTimeoutError(f"{label}: no connection of the pool was free within pool_timeout; raise pool_size")
    state = getattr(error, "sqlstate", None)
    kind, meaning = _BY_STATE.get(state or "", (None, ""))
    if kind is not None:
        return kind(f"{label}: {meaning} ({message})")
    if isinstance(error, NoAnswerError):
        return StorageTimeoutError(
            f"{label}: the server accepted a statement and did not answer ({message}); its writes may be stored or not"
        )
    if REFUSED_SETTINGS in message:
        return StorageUnavailableError(
            f"{label}: a connection pooler refuses the settings of a session; pass pooler='transaction' or 'session', "
            f"its pool_mode ({message})"
        )
    if _is_refused(message, state):
        return StorageUnavailableError(
            f"{label}: the server was reached and refused the connection; check the user, the password and the "
            f"database ({message})"
        )
    if is_lost(error) or (isinstance(error, psycopg.OperationalError) and state is None):
        return StorageUnavailableError(f"{label}: the server cannot be reached, or the connection was lost ({message})")
    return StorageError(f"{label}: PostgreSQL failed: {message}")


def may_retry(error: BaseException) -> bool:
    """Return whether the server undid the transaction because of another one."""
    return getattr(error, "sqlstate", None) in (_DEADLOCK, _SERIALIZATION_FAILURE)


def _is_refused(message: str, state: str | None) -> bool:
    """Return whether a server answered that it refuses this user, or has no such database."""
    if state is not None:
        return state.startswith(("28", "3D"))
    return bool(_FATAL.search(message)) and not any(words in message for words in _NOT_NOW)


def is_lost(error: BaseException) -> bool:
    """Return whether the error says that the connection is gone."""
    if isinstance(error, NoAnswerError):
        # A repeat on another connection would wait as long.
        return False
    state: str | None = getattr(error, "sqlstate", None)
    if state is not None:
        return state.startswith(_UNAVAILABLE)
    return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))

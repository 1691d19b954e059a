"""The driver of SQLite, sqlite3: its transactions, and the translation of its errors by SQLite's result codes."""

from __future__ import annotations

import os
import sqlite3
from contextlib import AbstractContextManager
from typing import Any

from feedstore.backends.sql.connection import Connection, Driver
from feedstore.backends.sql.sqlite.rows import NamespaceGoneError
from feedstore.errors import (
    FeedstoreError,
    InvalidValueError,
    MissingSchemaError,
    StorageError,
    StorageFullError,
    StorageTimeoutError,
    StorageUnavailableError,
)

_BY_CODE: dict[int, tuple[type[StorageError], str]] = {
    sqlite3.SQLITE_FULL: (StorageFullError, "the disk or the database is full; nothing of the call was written"),
    sqlite3.SQLITE_BUSY: (StorageTimeoutError, "another process or thread kept it locked beyond busy_timeout"),
    sqlite3.SQLITE_LOCKED: (StorageTimeoutError, "another connection of this process keeps a table locked"),
    sqlite3.SQLITE_PROTOCOL: (StorageTimeoutError, "its locks failed; check that its file system supports locks"),
    sqlite3.SQLITE_CANTOPEN: (StorageUnavailableError, "cannot open the file; check its folder and permissions"),
    sqlite3.SQLITE_READONLY: (StorageError, "the file or its folder cannot be written to"),
    sqlite3.SQLITE_NOTADB: (StorageError, "the file is not a SQLite database"),
    sqlite3.SQLITE_CORRUPT: (StorageError, "the database file is damaged"),
}
# SQLite has no result code for a missing table or column.
_BY_MESSAGE = (
    ("no such table", "it has no feedstore tables; open it with schema='migrate'"),
    ("no such column", "its feedstore tables are of another release; run 'feedstore db upgrade'"),
)


class SqliteDriver(Driver):
    """The driver of SQLite. Writers begin IMMEDIATE, so that they wait for each other only at the beginning."""

    begin_read = "BEGIN"
    begin_write = "BEGIN IMMEDIATE"
    error = sqlite3.Error

    def take(self, connection: Connection) -> None:
        """Change nothing: feedstore begins transactions itself. Refuse a driver that always begins them.

        With an ``isolation_level``, the default of the driver, it begins one before each ``INSERT``, ``UPDATE``,
        ``DELETE`` and ``REPLACE`` outside a transaction.
        """
        if getattr(connection.raw, "autocommit", None) is False:
            raise InvalidValueError("the engine opens its SQLite connections with autocommit=False; leave that out")
        # In a transaction that the application has begun, a write fails, because it begins one of its own.
        connection.in_autocommit = connection.raw.isolation_level is None and not connection.raw.in_transaction

    def leave(self, connection: Connection) -> bool:
        """Undo nothing, because :meth:`take` changes nothing."""
        return True

    def is_stale(self, connection: Connection) -> bool:
        """Return False: no server can close the connection."""
        return False

    def guard(self, connection: Connection) -> AbstractContextManager[Any]:
        """Return the driver's connection. Its context manager rolls back in C, before any signal handler runs."""
        guard: AbstractContextManager[Any] = connection.raw
        return guard

    def roll_back(self, connection: Connection) -> None:
        """Roll back, unless a full disk or a failed write has ended the transaction already."""
        if connection.raw is not None and connection.raw.in_transaction:
            connection.execute("ROLLBACK")

    def translated(self, error: BaseException) -> FeedstoreError:
        """Translate by SQLite's result code."""
        return translate(error, self.label)

    def may_retry(self, error: Exception) -> bool:
        """Return False: SQLite undoes no transaction because of another one."""
        return False

    def lacks_namespace(self, error: Exception) -> bool:
        """Return whether the look-up of the namespace's id failed, or the statement that inserts the id."""
        is_null = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_CONSTRAINT_NOTNULL
        return isinstance(error, NamespaceGoneError) or (is_null and "namespace_id" in str(error))

    def is_lost(self, error: Exception) -> bool:
        """Return False: there is no server."""
        return False


def translate(error: BaseException, path: str) -> FeedstoreError:
    """Return feedstore's error for an error of sqlite3's. Its message names the file and keeps SQLite's message."""
    message, code = str(error), primary_code(error)
    if code == sqlite3.SQLITE_IOERR and _has_no_room(path):
        return StorageFullError(f"{path}: the disk is full; nothing of the call was written ({message})")
    if code in _BY_CODE:
        kind, meaning = _BY_CODE[code]
        return kind(f"{path}: {meaning} ({message})")
    for words, meaning in _BY_MESSAGE:
        if words in message:
            return MissingSchemaError(f"{path}: {meaning} ({message})")
    return StorageError(f"{path}: SQLite failed: {message}")


def primary_code(error: BaseException) -> int | None:
    """Return SQLite's primary result code, such as ``SQLITE_BUSY``; None for an error of the Python module itself."""
    # An extended code holds the primary one in its low byte.
    extended: int | None = getattr(error, "sqlite_errorcode", None)
    return None if extended is None else extended & 0xFF


def _has_no_room(path: str) -> bool:
    # On a full disk SQLite may fail to grow its shared-memory file, and calls that an input/output error.
    try:
        return os.statvfs(os.path.dirname(path)).f_bavail == 0
    except OSError:
        return False

"""Translation of sqlite3's errors, by SQLite's result codes."""

from __future__ import annotations

import os
import sqlite3

from feedstore.errors import (
    FeedstoreError,
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
    sqlite3.SQLITE_PROTOCOL: (StorageTimeoutError, "its locks could not be had; does its file system keep locks?"),
    sqlite3.SQLITE_CANTOPEN: (StorageUnavailableError, "cannot open the file; check its folder and permissions"),
    sqlite3.SQLITE_READONLY: (StorageError, "the file or its folder cannot be written to"),
    sqlite3.SQLITE_NOTADB: (StorageError, "the file is not a SQLite database"),
    sqlite3.SQLITE_CORRUPT: (StorageError, "the database file is damaged"),
}
# SQLite has no code for a table or a column that is missing.
_BY_MESSAGE = (
    ("no such table", "it has no feedstore tables; open it with schema='migrate'"),
    ("no such column", "its feedstore tables are of another release; run 'feedstore db upgrade'"),
)


def translate(error: BaseException, path: str) -> FeedstoreError:
    """Return feedstore's error for one of sqlite3's; its text names the file and keeps SQLite's own words."""
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
    """Return SQLite's primary result code, such as ``SQLITE_BUSY``; None for an error of the Python module's own."""
    # An extended code holds the primary one in its low byte.
    extended: int | None = getattr(error, "sqlite_errorcode", None)
    return None if extended is None else extended & 0xFF


def _has_no_room(path: str) -> bool:
    # On a full disk SQLite may fail to grow its shared-memory file, and calls that an input/output error.
    try:
        return os.statvfs(os.path.dirname(path)).f_bavail == 0
    except OSError:
        return False

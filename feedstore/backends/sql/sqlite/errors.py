"""What SQLite's errors amount to."""

from __future__ import annotations

import os

from feedstore.errors import (
    FeedstoreError,
    MissingSchemaError,
    StorageError,
    StorageFullError,
    StorageTimeoutError,
    StorageUnavailableError,
)

_FULL = "database or disk is full"
_INPUT_OUTPUT = "disk I/O error"
_BY_MESSAGE = (
    (_FULL, StorageFullError, "the disk or the database is full; nothing of the call was written"),
    ("database is locked", StorageTimeoutError, "another process or thread kept it locked beyond busy_timeout"),
    ("database table is locked", StorageTimeoutError, "another connection of this process keeps a table locked"),
    ("locking protocol", StorageTimeoutError, "its locks could not be had; does its file system keep locks?"),
    ("unable to open database file", StorageUnavailableError, "cannot open the file; check its folder and permissions"),
    ("attempt to write a readonly database", StorageError, "the file or its folder cannot be written to"),
    ("file is not a database", StorageError, "the file is not a SQLite database"),
    ("file is encrypted", StorageError, "the file is not a SQLite database"),
    ("malformed", StorageError, "the database file is damaged"),
    ("no such table", MissingSchemaError, "it has no feedstore tables; open it with schema='migrate'"),
    ("no such column", MissingSchemaError, "its feedstore tables are of another release; run 'feedstore db upgrade'"),
)


def translate(error: BaseException, path: str) -> FeedstoreError:
    """Return feedstore's error for one of sqlite3's; its text names the file and keeps SQLite's own words."""
    message = str(error)
    if _INPUT_OUTPUT in message and _has_no_room(path):
        return StorageFullError(f"{path}: the disk is full; nothing of the call was written ({message})")
    for words, kind, meaning in _BY_MESSAGE:
        if words in message:
            return kind(f"{path}: {meaning} ({message})")
    return StorageError(f"{path}: SQLite failed: {message}")


def _has_no_room(path: str) -> bool:
    # On a full disk SQLite may fail to grow its shared-memory file, and calls that an input/output error.
    try:
        return os.statvfs(os.path.dirname(path)).f_bavail == 0
    except OSError:
        return False

"""The size of a SQLite database in bytes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def stored_bytes(path: Path) -> int:
    """Return the size of the file at ``path`` after a checkpoint of its write-ahead log."""
    with closing(sqlite3.connect(path)) as connection:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise RuntimeError(f"{path} is in use, so its log cannot be moved into it")
    return path.stat().st_size

"""Keeping a SQLite file's write-ahead log short while reads overlap."""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing

from feedstore.backends.sql.opener import Opener
from feedstore.errors import FeedstoreError

# The write-ahead log is copied into the file when it holds 16 MB, for each copy costs two waits for the disk; after a
# transaction that was longer it is cut back.
LOG_PAGES = 4000
LONGEST_LOG_BYTES = 64 * 2**20
_MORE_BYTES = LONGEST_LOG_BYTES
_WRITES_PER_CHECK = 16
_LONGEST_WAIT_MILLISECONDS = 5000
_logger = logging.getLogger("feedstore.backends.sql")


class WriteAheadLog:
    """Empties the log after a write that left it longer than 64 MB. Every call is made under the writers' lock.

    SQLite's own checkpoints begin the log again only at a moment at which no read is under way, which may never come
    while the reads of several threads overlap. This one keeps other writers out and waits up to 5 seconds. Reads go on:
    those that begin once the log is copied read from the file alone.
    """

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._path = f"{opener.engine.url.database}-wal"
        self._writes = 0
        self._longest = LONGEST_LOG_BYTES

    def shorten(self) -> None:
        """Look at the log's length once in 16 calls, and empty a log that is too long. Never fails: the write is
        stored.
        """
        self._writes += 1
        if self._writes % _WRITES_PER_CHECK or self._bytes() <= self._longest:
            return
        try:
            emptied = self._empty()
        except (sqlite3.Error, FeedstoreError) as error:
            emptied = False
            _logger.warning("cannot empty the write-ahead log %s: %s", self._path, error)
        # A read of more than 5 seconds, perhaps another process's, keeps the log; do not wait for it at each write.
        self._longest = LONGEST_LOG_BYTES if emptied else self._bytes() + _MORE_BYTES

    def _bytes(self) -> int:
        try:
            return os.stat(self._path).st_size
        except OSError:
            return 0

    def _empty(self) -> bool:
        # A connection of its own, whose wait for locks is short even if a signal handler raises.
        with closing(self._opener.open()) as pooled:
            execute = pooled.driver_connection.execute
            execute(f"PRAGMA busy_timeout={_LONGEST_WAIT_MILLISECONDS}")
            busy: int = execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            return not busy

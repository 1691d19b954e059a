"""Engines for SQLite files, the settings of their connections, and the write-ahead log."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.pool import NullPool

from feedstore.backends.sql.address import Address
from feedstore.errors import FeedstoreError

# SQLite copies the log into the file when the log holds 16 MB, because each copy costs two waits for the disk. It cuts
# the log back after a transaction that was longer.
LOG_PAGES = 4000
LONGEST_LOG_BYTES = 64 * 2**20
_MORE_BYTES = LONGEST_LOG_BYTES
_WRITES_PER_CHECK = 16
_LONGEST_WAIT_MILLISECONDS = 5000
_logger = logging.getLogger("feedstore.backends.sql")
_CACHED_STATEMENTS = 256
_PAUSE_SECONDS = 0.01


def make_engine(address: Address, options: dict[str, Any]) -> Engine:
    """Return an engine for a file. Its connections run without the driver's implicit transactions."""
    engine = create_engine(
        address.url,
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args={
            "timeout": options["busy_timeout"],
            "check_same_thread": False,
            "cached_statements": _CACHED_STATEMENTS,
        },
    )
    settings = (
        f"PRAGMA synchronous={options['synchronous']}",
        f"PRAGMA cache_size=-{options['cache_size'] * 1024}",
        f"PRAGMA wal_autocheckpoint={LOG_PAGES}",
        f"PRAGMA journal_size_limit={LONGEST_LOG_BYTES}",
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, record: object) -> None:
        for setting in settings:
            connection.execute(setting)

    return engine


def turn_on_write_ahead_log(engine: Engine, busy_timeout: float) -> None:
    """Switch the file to write-ahead logging, in which readers and a writer do not wait for each other.

    The file keeps the mode. SQLite does not apply its own timeout here, so this function repeats the attempt until
    ``busy_timeout`` ends. A file that cannot be written to stays as it is.
    """
    pooled = engine.raw_connection()
    deadline = time.monotonic() + busy_timeout
    try:
        while not _switched(pooled.driver_connection, may_wait=time.monotonic() < deadline):
            time.sleep(_PAUSE_SECONDS)
    finally:
        pooled.close()


def _switched(connection: Any, may_wait: bool) -> bool:
    try:
        connection.execute("PRAGMA journal_mode=WAL").fetchone()
    except sqlite3.OperationalError as error:
        if "readonly" in str(error):
            return True
        if "locked" in str(error) and may_wait:
            return False
        raise
    return True


class WriteAheadLog:
    """The write-ahead log of a file, which is emptied after a write that left it longer than 64 MB.

    SQLite's own checkpoints restart the log only while no read is under way, which may never happen while the reads of
    several threads overlap. This checkpoint keeps other writers out and waits up to 5 seconds for reads to end. New
    reads go on: once the log is copied, they read the file alone. Call every method under the writers' lock.
    """

    def __init__(self, open_connection: Callable[[], Any], path: str) -> None:
        self._open = open_connection
        self._path = f"{path}-wal"
        self._writes = 0
        self._longest = LONGEST_LOG_BYTES

    def shorten(self) -> None:
        """Empty the log if it is too long, which is checked at every 16th call. It never fails: the write is stored."""
        self._writes += 1
        if self._writes % _WRITES_PER_CHECK or self._bytes() <= self._longest:
            return
        try:
            emptied = self._empty()
        except (sqlite3.Error, FeedstoreError) as error:
            emptied = False
            _logger.warning("cannot empty the write-ahead log %s: %s", self._path, error)
        # A read of more than 5 seconds, perhaps in another process, keeps the log. Do not wait for it at each write.
        self._longest = LONGEST_LOG_BYTES if emptied else self._bytes() + _MORE_BYTES

    def _bytes(self) -> int:
        try:
            return os.stat(self._path).st_size
        except OSError:
            return 0

    def _empty(self) -> bool:
        # A connection of its own, whose wait for locks is short even if a signal handler raises.
        with closing(self._open()) as pooled:
            execute = pooled.driver_connection.execute
            execute(f"PRAGMA busy_timeout={_LONGEST_WAIT_MILLISECONDS}")
            busy: int = execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            return not busy

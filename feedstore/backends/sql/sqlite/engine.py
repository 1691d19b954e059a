"""Engines for SQLite files, and how a connection is set up."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.pool import NullPool

from feedstore.backends.sql.address import Address
from feedstore.backends.sql.sqlite.log import LOG_PAGES, LONGEST_LOG_BYTES

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
    """Switch the file to write-ahead logging, which it keeps: readers and a writer then do not wait for each other.

    SQLite does not wait for locks here, however long its timeout, so that is done by hand. A file that cannot be
    written to stays as it is.
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

"""A hand-written queue on each driver, without a bound and without receipts that detect a late consumer."""

from __future__ import annotations

import sqlite3
import time
from abc import ABC, abstractmethod
from typing import Any

import msgpack

HIDDEN_SECONDS = 30.0


class RawQueue(ABC):
    """A queue whose messages are pushed, received one by one in their order, hidden for a while, and removed."""

    def push(self, message: Any) -> None:
        """Add a message at the end."""
        self.add(msgpack.packb(message))

    def receive(self) -> tuple[Any, Any]:
        """Return the argument of :meth:`ack`, and the message."""
        receipt, data = self.take()
        return receipt, msgpack.unpackb(data)

    @abstractmethod
    def add(self, data: bytes) -> None:
        """Store bytes at the end."""

    @abstractmethod
    def take(self) -> tuple[Any, bytes]:
        """Return the oldest visible message with the values that remove it, and hide the message."""

    @abstractmethod
    def ack(self, receipt: Any) -> None:
        """Remove a received message."""


class RawRedisQueue(RawQueue):
    """A stream and a consumer group."""

    def __init__(self, url: str) -> None:
        import redis

        self._client: Any = redis.Redis.from_url(url)
        self._client.xgroup_create("raw", "group", "0", mkstream=True)

    def add(self, data: bytes) -> None:
        self._client.xadd("raw", {"m": data})

    def take(self) -> tuple[Any, bytes]:
        ((_, ((place, fields),)),) = self._client.xreadgroup("group", "one", {"raw": ">"}, count=1)
        return place, fields[b"m"]

    def ack(self, receipt: Any) -> None:
        pipeline = self._client.pipeline(transaction=False)
        pipeline.xack("raw", "group", receipt)
        pipeline.xdel("raw", receipt)
        pipeline.execute()


class RawSqliteQueue(RawQueue):
    """A table, one transaction for each step."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=normal"):
            self._connection.execute(statement)
        self._connection.execute("CREATE TABLE raw (place INTEGER PRIMARY KEY, visible_at REAL, data BLOB)")

    def add(self, data: bytes) -> None:
        self._connection.execute("INSERT INTO raw (visible_at, data) VALUES (0, ?)", (data,))

    def take(self) -> tuple[Any, bytes]:
        execute, now = self._connection.execute, time.time()
        execute("BEGIN IMMEDIATE")
        find = "SELECT place, data FROM raw WHERE visible_at <= ? ORDER BY place LIMIT 1"
        place, data = execute(find, (now,)).fetchone()
        execute("UPDATE raw SET visible_at = ? WHERE place = ?", (now + HIDDEN_SECONDS, place))
        execute("COMMIT")
        return place, data

    def ack(self, receipt: Any) -> None:
        self._connection.execute("DELETE FROM raw WHERE place = ?", (receipt,))


class RawPostgresqlQueue(RawQueue):
    """A table, one statement for each step."""

    _TAKE = (
        "WITH chosen AS (SELECT place FROM raw WHERE visible_at <= statement_timestamp() ORDER BY place LIMIT 1 "
        "FOR UPDATE SKIP LOCKED) UPDATE raw SET visible_at = statement_timestamp() + interval '30 seconds' "
        "FROM chosen WHERE raw.place = chosen.place RETURNING raw.place, raw.data"
    )

    def __init__(self, url: str) -> None:
        import psycopg

        self._connection = psycopg.connect(url, autocommit=True)
        columns = "place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, visible_at timestamptz, data bytea"
        self._connection.execute(f"CREATE TABLE raw ({columns})".encode())

    def add(self, data: bytes) -> None:
        self._connection.execute("INSERT INTO raw (visible_at, data) VALUES (statement_timestamp(), %b)", (data,))

    def take(self) -> tuple[Any, bytes]:
        row: Any = self._connection.execute(self._TAKE, binary=True).fetchone()
        return row[0], row[1]

    def ack(self, receipt: Any) -> None:
        self._connection.execute("DELETE FROM raw WHERE place = %b", (receipt,))

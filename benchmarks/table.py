"""The backend table: the store, the raw driver and the product's aims of each backend."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from benchmarks import cassandra_server, postgresql_server, redis_server
from benchmarks.processor import SharedProcessor
from benchmarks.product import ProductSide
from benchmarks.raw.memory import RawMemorySide
from benchmarks.raw.sqlite import RawSqliteSide
from benchmarks.side import Side
from benchmarks.sqlite_file import stored_bytes
from benchmarks.traced import traced_bytes
from feedstore import connect

_BULK = ("timeline_add_many", "timeline_add_many_shuffled")
_FAN_OUT = ("fan_out_1_to_100", "fan_out_1_to_800", "fan_out_25_to_100", "fan_out_25_to_800")
_FEW_FAN_OUT = tuple(f"few_{name}" for name in _FAN_OUT)
_READS = ("newest_25", "newest_25_hydrated")

_MOST_DATABASES = 1000


class Laboratory(ABC):
    """A backend's place to measure in. It opens new, empty stores, and removes them when it is closed.

    ``aims`` are the ratios that the product aims at, by the operation's name. ``has_ancestor`` is True if
    stream_framework runs on such stores.
    """

    driver: ClassVar[str]
    aims: ClassVar[Mapping[str, float]]
    has_ancestor: ClassVar[bool] = False

    @classmethod
    def why_unavailable(cls) -> str | None:
        """Return the missing requirement of the backend on this machine, or None."""
        return None

    @abstractmethod
    def new_url(self) -> str:
        """Return the URL of a new, empty store."""

    @abstractmethod
    def open_product(self) -> Side:
        """Return the product's side on a store of its own."""

    @abstractmethod
    def open_raw(self) -> Side:
        """Return the raw driver's side on a store of its own."""

    def ancestor_arguments(self) -> Sequence[str]:
        """Return the arguments of stream_framework's process for a new, empty store, if the backend has_ancestor."""
        raise NotImplementedError(f"stream_framework does not run on {type(self).__name__}")

    @abstractmethod
    def settle(self) -> None:
        """Do the background work of the stores after they were filled, which would run some time later."""

    @abstractmethod
    def close(self) -> None:
        """Remove the stores."""


class MemoryLaboratory(Laboratory):
    """Stores in this process."""

    driver = "sortedcontainers"
    has_ancestor = True
    aims: ClassVar = {
        **dict.fromkeys([*_BULK, *_FAN_OUT], 0.4),
        **dict.fromkeys(["newest_25", "newest_25_hydrated"], 0.5),
    }

    def new_url(self) -> str:
        return "memory://"

    def open_product(self) -> Side:
        return ProductSide(connect(self.new_url()), traced_bytes)

    def open_raw(self) -> Side:
        return RawMemorySide()

    def ancestor_arguments(self) -> Sequence[str]:
        return ("memory",)

    def settle(self) -> None:
        """Do nothing: the stores have no background work."""

    def close(self) -> None:
        """Do nothing: the stores end with their sides."""


class SqliteLaboratory(Laboratory):
    """Files in a temporary folder."""

    driver = "sqlite3"
    aims: ClassVar = {
        **dict.fromkeys(["activities_add_many", *_BULK, *_FAN_OUT, "newest_25"], 0.7),
        "newest_25_hydrated": 0.6,
    }

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="feedstore-benchmarks-")
        self._numbers = count()

    def new_url(self) -> str:
        return f"sqlite:///{self._new_path()}"

    def open_product(self) -> Side:
        path = self._new_path()
        return ProductSide(connect(f"sqlite:///{path}"), lambda: stored_bytes(path))

    def open_raw(self) -> Side:
        return RawSqliteSide(self._new_path())

    def _new_path(self) -> Path:
        return Path(self._folder.name) / f"{next(self._numbers)}.db"

    def settle(self) -> None:
        """Do nothing: the stores have no background work."""

    def close(self) -> None:
        self._folder.cleanup()


class PostgresqlLaboratory(Laboratory):
    """Databases on one server, which does not wait for the disk and shares one processor with this process."""

    driver = "psycopg"
    aims: ClassVar = {}

    @classmethod
    def why_unavailable(cls) -> str | None:
        return postgresql_server.why_unavailable()

    def __init__(self) -> None:
        self._processor = SharedProcessor()
        self._server = postgresql_server.start()
        self._databases: list[str] = []

    def open_product(self) -> Side:
        url = self.new_url()
        return ProductSide(connect(url), lambda: postgresql_server.database_bytes(url))

    def open_raw(self) -> Side:
        # The driver is an extra, which other backends do not need.
        from benchmarks.raw.postgresql import RawPostgresqlSide

        return RawPostgresqlSide(self.new_url())

    def new_url(self) -> str:
        name: str = self._server.create_database()
        self._databases.append(name)
        url: str = self._server.url(name)
        return url

    def settle(self) -> None:
        """Do the work of autovacuum, which may otherwise begin during a pair."""
        for name in self._databases:
            postgresql_server.vacuum(self._server.url(name))

    def close(self) -> None:
        for name in self._databases:
            self._server.drop_database(name)
        self._server.stop()
        self._processor.release()


class RedisLaboratory(Laboratory):
    """Databases on one server, reached through its socket.

    The server writes nothing to the disk, and shares one processor with this process while it is open.
    """

    driver = "redis-py"
    has_ancestor = True
    aims: ClassVar = {
        **dict.fromkeys([*_BULK, "newest_25_hydrated"], 0.7),
        **dict.fromkeys([*_FAN_OUT, *_FEW_FAN_OUT, "newest_25"], 0.8),
        "activities_add_many": 0.6,
    }

    @classmethod
    def why_unavailable(cls) -> str | None:
        return redis_server.why_unavailable()

    def __init__(self) -> None:
        self._databases = count()
        self._processor = SharedProcessor()
        self._server = redis_server.start("--databases", str(_MOST_DATABASES))

    def open_product(self) -> Side:
        # The driver is an extra, which other backends do not need.
        from benchmarks.raw.redis import used_bytes

        client = self._server.client()
        return ProductSide(connect(self.new_url()), lambda: used_bytes(client))

    def open_raw(self) -> Side:
        from benchmarks.raw.redis import RawRedisSide

        return RawRedisSide(str(self._server.socket), next(self._databases))

    def ancestor_arguments(self) -> Sequence[str]:
        return ("redis", str(self._server.socket), str(next(self._databases)))

    def new_url(self) -> str:
        return f"{self._server.socket_url}?db={next(self._databases)}"

    def settle(self) -> None:
        """Do nothing: the stores have no background work."""

    def close(self) -> None:
        self._server.stop()
        self._processor.release()


class RedisStringsLaboratory(RedisLaboratory):
    """As :class:`RedisLaboratory`; the raw side has a string for each timeline instead of a sorted set."""

    has_ancestor = False

    def open_raw(self) -> Side:
        from benchmarks.raw.redis_strings import RawRedisStringsSide

        return RawRedisStringsSide(str(self._server.socket), next(self._databases))


class CassandraLaboratory(Laboratory):
    """Keyspaces on one node, which shares all processors of the machine with this process."""

    driver = "cassandra-driver"
    has_ancestor = True
    aims: ClassVar = dict.fromkeys(["activities_add_many", *_BULK, *_FAN_OUT, *_READS], 0.8)

    @classmethod
    def why_unavailable(cls) -> str | None:
        return cassandra_server.why_unavailable()

    def __init__(self) -> None:
        self._server = cassandra_server.start()

    def open_product(self) -> Side:
        keyspace = self._new_keyspace()
        return ProductSide(connect(self._server.url(keyspace)), lambda: self._server.stored_bytes(keyspace))

    def open_raw(self) -> Side:
        # The driver is an extra, which other backends do not need.
        from benchmarks.raw.cassandra import RawCassandraSide

        keyspace = self._new_keyspace()
        with connect(self._server.url(keyspace)) as backend:
            excess = backend.abilities.fan_out_excess
        hosts, port = self._server.hosts, self._server.port
        return RawCassandraSide(hosts, port, keyspace, excess, lambda: self._server.stored_bytes(keyspace))

    def new_url(self) -> str:
        url: str = self._server.url(self._new_keyspace())
        return url

    def ancestor_arguments(self) -> Sequence[str]:
        return ("cassandra", self._server.hosts[0], str(self._server.port), self._new_keyspace())

    def _new_keyspace(self) -> str:
        name: str = self._server.create_keyspace()
        return name

    def settle(self) -> None:
        """Flush all tables to files, which a full memory may otherwise cause during a pair."""
        self._server.flush()

    def close(self) -> None:
        self._server.stop()


LABORATORIES: Mapping[str, type[Laboratory]] = {
    "memory": MemoryLaboratory,
    "sqlite": SqliteLaboratory,
    "postgresql": PostgresqlLaboratory,
    "redis": RedisLaboratory,
    "redis_strings": RedisStringsLaboratory,
    "cassandra": CassandraLaboratory,
}

"""Reading the keys of other applications."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from redis import Redis
from redis.connection import Connection, ConnectionPool, SSLConnection, UnixDomainSocketConnection

from feedstore.backends.redis.address import SOCKET, parse_address
from feedstore.backends.redis.errors import DRIVER_ERRORS, translated
from feedstore.backends.redis.options import connection_arguments, read_options
from feedstore.errors import InvalidValueError

_SCANNED = 1000
_MEMBERS_A_READ = 1000


class ForeignRedis:
    """A database of another application in one Redis server, of any version with SCAN (2.8). It is only read.

    Every method raises :class:`~feedstore.errors.StorageError` or a subclass of it if the server does not answer.

    Args:
        url: ``redis://…``, ``rediss://…`` or ``unix://…``, with the options of connections in its query.

    Attributes:
        label: The address without the user and the password.
    """

    def __init__(self, url: str) -> None:
        address = parse_address(url)
        self.label = address.label
        if address.is_cluster or address.is_sentinel:
            raise InvalidValueError(f"{self.label}: pass the URL of one server, redis://host:port/database")
        options = read_options(address.query, {})
        arguments = {**address.connection_arguments(), **connection_arguments(options), "protocol": 2}
        arguments.pop("max_connections", None)
        kind: Any = SSLConnection if address.is_encrypted else Connection
        if address.scheme == SOCKET:
            kind = UnixDomainSocketConnection
        self._client = Redis(connection_pool=ConnectionPool(connection_class=kind, **arguments))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._client.connection_pool.disconnect()

    def run_id(self) -> str:
        """Return the id of the server's run. The cursors of a run mean nothing in another one."""
        return str(self._asked(self._client.info, "server")["run_id"])

    def keys(self, cursor: int = 0) -> Iterator[tuple[int, list[bytes]]]:
        """Yield the keys of the database in parts of about 1,000, each with the cursor after it, which is 0 at the end.

        A key that exists during the whole scan is yielded once or more.
        """
        while True:
            cursor, found = self._asked(self._client.scan, cursor, count=_SCANNED)
            yield cursor, found
            if cursor == 0:
                return

    def fields(self, key: bytes | str, cursor: int = 0) -> Iterator[tuple[int, dict[bytes, bytes]]]:
        """Yield the fields of a hash with their values, as :meth:`keys` yields keys."""
        while True:
            cursor, found = self._asked(self._client.hscan, key, cursor, count=_SCANNED)
            yield cursor, found
            if cursor == 0:
                return

    def types(self, keys: Sequence[bytes]) -> list[str]:
        """Return the types of keys, in one round trip."""
        return [one.decode() for one in self._together([("TYPE", key) for key in keys])]

    def lengths(self, keys: Sequence[bytes]) -> list[int]:
        """Return the lengths of sorted sets, in one round trip."""
        return self._together([("ZCARD", key) for key in keys])

    def lists(self, keys: Sequence[bytes | str]) -> list[list[bytes]]:
        """Return the items of lists, in one round trip."""
        return self._together([("LRANGE", key, 0, -1) for key in keys])

    def values(self, places: Sequence[tuple[str, str]]) -> list[bytes | None]:
        """Return the values of fields, given as the key of a hash and the field, in one round trip."""
        return self._together([("HGET", *place) for place in places])

    def first_members(self, keys: Sequence[bytes], most: int) -> list[list[tuple[bytes, float]]]:
        """Return the members of sorted sets with the highest scores, with these scores, in one round trip."""
        return [_pairs(one) for one in self._together([("ZREVRANGE", key, 0, most - 1, "WITHSCORES") for key in keys])]

    def members(self, key: bytes) -> Iterator[list[tuple[bytes, float]]]:
        """Yield the members of a sorted set with their scores, from the highest score, in parts of 1,000."""
        start = 0
        while True:
            words = ("ZREVRANGE", key, start, start + _MEMBERS_A_READ - 1, "WITHSCORES")
            (found,) = self._together([words])
            if found:
                yield _pairs(found)
            if len(found) < 2 * _MEMBERS_A_READ:
                return
            start += _MEMBERS_A_READ

    def _together(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        if not commands:
            return []
        pipeline: Any = self._client.pipeline(transaction=False)
        for words in commands:
            pipeline.execute_command(*words)
        answers: list[Any] = self._asked(pipeline.execute)
        return answers

    def _asked(self, ask: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        try:
            return ask(*arguments, **options)
        except DRIVER_ERRORS as error:
            raise translated(error, self.label) from error


def _pairs(found: list[bytes]) -> list[tuple[bytes, float]]:
    return [(member, float(score)) for member, score in zip(found[::2], found[1::2], strict=True)]

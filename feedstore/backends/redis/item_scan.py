"""Scans of the items of one key-value storage, in the order of their keys, over one bucket or all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from feedstore.backends.redis.command import Command, call_script
from feedstore.backends.redis.keys import Keys
from feedstore.backends.redis.scripts import SCAN
from feedstore.backends.redis.session import RedisSession
from feedstore.errors import StoredDataError
from feedstore.shown import WHOLE_KEY, shown

_CHUNK = 256
_HELD = 1024
_LEAST_CHUNK = 8
# No byte of UTF-8 is 0xff, so every key with a prefix is less than the prefix with this byte after it.
_AFTER_EVERY_KEY = b"\xff"

_Item = tuple[bytes, "bytes | None"]


class ItemScan:
    """A walk over the items whose keys begin with a prefix, after the key ``after`` if there is one.

    It holds about 1,024 items at most, or the smallest parts of 256 buckets.
    """

    def __init__(
        self, session: RedisSession, name: str, prefix: str, after: str | None, reverse: bool, has_values: bool
    ) -> None:
        self._session = session
        self._name = name
        self._reverse = reverse
        self._has_values = has_values
        self._lowest, self._highest = b"[" + prefix.encode(), b"(" + prefix.encode() + _AFTER_EVERY_KEY
        self._prefix = prefix
        self._first = None if after is None else after.encode()

    def keys(self) -> Iterator[str]:
        """Yield the keys."""
        return (_decoded(self._name, key) for key, _ in self._found())

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Yield the keys with their bytes."""
        for key, value in self._found():
            decoded = _decoded(self._name, key)
            if value is None:
                raise StoredDataError(
                    f"the item {shown(decoded, WHOLE_KEY)} of the key-value storage {shown(self._name)} has lost its "
                    "value"
                )
            yield decoded, value

    def _found(self) -> Iterator[_Item]:
        """Yield the items of all buckets in the order of the keys.

        Each bucket returns one part at a time. The items up to the last key of each part are complete.
        """
        names = self._session.keys()
        buckets = names.buckets_of_items(self._prefix)
        size = _CHUNK if len(buckets) == 1 else max(_LEAST_CHUNK, _HELD // len(buckets))
        parts: dict[int, list[_Item]] = {bucket: [] for bucket in buckets}
        last = dict.fromkeys(buckets, self._first)
        open_buckets = list(buckets)
        while open_buckets:
            wanted = [bucket for bucket in open_buckets if len(parts[bucket]) <= size // 2]
            for bucket, part in zip(wanted, self._fetched({one: last[one] for one in wanted}, size), strict=True):
                parts[bucket] += part
                if part:
                    last[bucket] = part[-1][0]
                if len(part) < size:
                    open_buckets.remove(bucket)
            yield from self._complete(parts, [last[bucket] or b"" for bucket in open_buckets])

    def _complete(self, parts: dict[int, list[_Item]], last: Sequence[bytes]) -> list[_Item]:
        """Take from the parts the items that no later part can precede, and return them in order."""
        if not last:
            complete = [item for part in parts.values() for item in part]
            parts.clear()
        else:
            limit = max(last) if self._reverse else min(last)
            complete = []
            for bucket, part in parts.items():
                count = sum((key >= limit) if self._reverse else (key <= limit) for key, _ in part)
                complete += part[:count]
                parts[bucket] = part[count:]
        return sorted(complete, reverse=self._reverse, key=lambda item: item[0])

    def _fetched(self, last: dict[int, bytes | None], size: int) -> list[list[_Item]]:
        """Return the next part of each bucket after its last returned key, with one round trip."""
        names = self._session.keys()
        answers = self._session.store.send([self._command(names, bucket, key, size) for bucket, key in last.items()])
        if self._has_values:
            return [list(zip(keys, values, strict=True)) for keys, values in answers]
        return [[(key, None) for key in keys] for keys in answers]

    def _command(self, names: Keys, bucket: int, last: bytes | None, size: int) -> Command:
        index, values = names.of_items(bucket, self._name)
        bounds = (self._bound(self._highest, last), self._lowest)
        if not self._reverse:
            bounds = (self._bound(self._lowest, last), self._highest)
        name = "ZREVRANGEBYLEX" if self._reverse else "ZRANGEBYLEX"
        if self._has_values:
            return call_script(names.tag(bucket), SCAN, (index, values), (name, *bounds, size))
        return Command(names.tag(bucket), (name, index, *bounds, "LIMIT", 0, size))

    def _bound(self, bound: bytes, last: bytes | None) -> bytes:
        """Return the bound to begin with: after the last key, or ``bound`` if the last key is outside of it."""
        if last is None or (last > bound[1:] if self._reverse else last < bound[1:]):
            return bound
        return b"(" + last


def _decoded(name: str, key: bytes) -> str:
    try:
        return key.decode()
    except UnicodeDecodeError:
        raise StoredDataError(
            f"the key-value storage {shown(name)} holds the key {shown(key, WHOLE_KEY)}, which is not UTF-8; it is "
            "damaged"
        ) from None

"""Reading the fields of all that the hashes of a namespace hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from feedstore.backends.redis.command import Command
from feedstore.backends.redis.keys import Keys
from feedstore.backends.redis.store import Store

_MOST_PER_TRIP = 10_000
_SCANNED_PER_TRIP = 1_000
_MOST_WHOLE = 10_000
"""The length up to which a hash is read by one command; a longer one is scanned, 1,000 fields a trip."""


def lengths_of(store: Store, keys: Keys, hashes: Sequence[str]) -> list[int]:
    """Return how many fields each bucket's hash has. One round trip; a key of another type is an error."""
    return store.send([Command(keys.tag(bucket), ("HLEN", hashes[bucket])) for bucket in keys.all_buckets])


def fields_of(store: Store, keys: Keys, hashes: Sequence[str]) -> Iterator[dict[int, list[bytes]]]:
    """Yield ``{bucket: fields}`` of the hashes, which are one for each bucket.

    One round trip for their lengths, and one for each 10,000 fields or so; a hash of more than 10,000 fields is
    scanned, with one for each 1,000 of its fields. A scan may return a field twice, and returns each that stays.
    """
    part: list[int] = []
    size = 0
    for bucket, length in enumerate(lengths_of(store, keys, hashes)):
        if length > _MOST_WHOLE:
            yield from ({bucket: fields} for fields in _scanned(store, keys, hashes, bucket))
            continue
        if part and size + length > _MOST_PER_TRIP:
            yield _fetched(store, keys, hashes, part)
            part, size = [], 0
        if length:
            part.append(bucket)
            size += length
    if part:
        yield _fetched(store, keys, hashes, part)


def _fetched(store: Store, keys: Keys, hashes: Sequence[str], part: list[int]) -> dict[int, list[bytes]]:
    answers = store.send([Command(keys.tag(bucket), ("HKEYS", hashes[bucket])) for bucket in part])
    return dict(zip(part, answers, strict=True))


def _scanned(store: Store, keys: Keys, hashes: Sequence[str], bucket: int) -> Iterator[list[bytes]]:
    cursor: Any = b"0"
    while True:
        scan = Command(keys.tag(bucket), ("HSCAN", hashes[bucket], cursor, "COUNT", _SCANNED_PER_TRIP))
        cursor, found = store.ask(scan)
        yield found[::2]
        if int(cursor) == 0:
            return

"""Reading the names of all that the hashes of a namespace hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from feedstore.backends.redis.command import Command
from feedstore.backends.redis.keys import Keys
from feedstore.backends.redis.store import Store

_MOST_AT_ONCE = 10_000


def lengths_of(store: Store, keys: Keys, hashes: Sequence[str]) -> list[int]:
    """Return how many fields each bucket's hash has. One round trip; a key of another type is an error."""
    return store.send([Command(keys.tag(bucket), ("HLEN", hashes[bucket])) for bucket in keys.all_buckets])


def fields_of(store: Store, keys: Keys, hashes: Sequence[str]) -> Iterator[dict[int, list[bytes]]]:
    """Yield ``{bucket: fields}`` of the hashes, which are one for each bucket.

    One round trip for their lengths, and one for each 10,000 fields or so; a hash is never cut in two.
    """
    part: list[int] = []
    size = 0
    for bucket, length in enumerate(lengths_of(store, keys, hashes)):
        if part and size + length > _MOST_AT_ONCE:
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

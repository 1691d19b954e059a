"""Walks over a namespace: the fields of its hashes, and the names of its keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from feedstore.backends.redis.cluster import slot_of
from feedstore.backends.redis.command import Command
from feedstore.backends.redis.keys import Keys, keys_begin
from feedstore.backends.redis.store import Store

_MOST_PER_TRIP = 10_000
_SCANNED_PER_TRIP = 1_000
_MOST_WHOLE = 10_000
"""The length up to which a hash is read by one command; a longer one is scanned, 1,000 fields a trip."""


def lengths_of(store: Store, keys: Keys, hashes: Sequence[str]) -> list[int]:
    """Return how many fields each bucket's hash has. One round trip; a key of another type is an error."""
    return store.send([Command(keys.tag(bucket), ("HLEN", hashes[bucket])) for bucket in keys.all_buckets])


def fields_of(
    store: Store, keys: Keys, hashes: Sequence[str], left_out: bytes | None = None
) -> Iterator[dict[int, list[bytes]]]:
    """Yield ``{bucket: fields}`` of the hashes, which are one for each bucket, without the fields of one value.

    One round trip for their lengths, and one for each 10,000 fields or so; a hash of more than 10,000 fields is
    scanned, with one for each 1,000 of its fields. A scan may return a field twice, and returns each that stays.
    """
    part: list[int] = []
    size = 0
    for bucket, length in enumerate(lengths_of(store, keys, hashes)):
        if length > _MOST_WHOLE:
            yield from ({bucket: fields} for fields in _scanned(store, keys, hashes, bucket, left_out))
            continue
        if part and size + length > _MOST_PER_TRIP:
            yield _fetched(store, keys, hashes, part, left_out)
            part, size = [], 0
        if length:
            part.append(bucket)
            size += length
    if part:
        yield _fetched(store, keys, hashes, part, left_out)


def _fetched(
    store: Store, keys: Keys, hashes: Sequence[str], part: list[int], left_out: bytes | None
) -> dict[int, list[bytes]]:
    word = "HKEYS" if left_out is None else "HGETALL"
    answers = store.send([Command(keys.tag(bucket), (word, hashes[bucket])) for bucket in part])
    if left_out is not None:
        answers = [_without(answer, left_out) for answer in answers]
    return dict(zip(part, answers, strict=True))


def _scanned(
    store: Store, keys: Keys, hashes: Sequence[str], bucket: int, left_out: bytes | None
) -> Iterator[list[bytes]]:
    cursor: Any = b"0"
    while True:
        scan = Command(keys.tag(bucket), ("HSCAN", hashes[bucket], cursor, "COUNT", _SCANNED_PER_TRIP))
        cursor, found = store.ask(scan)
        yield found[::2] if left_out is None else _without(found, left_out)
        if int(cursor) == 0:
            return


def _without(found: list[bytes] | dict[bytes, bytes], left_out: bytes) -> list[bytes]:
    # With RESP3, a client that was handed in returns the fields of HGETALL as a dict.
    pairs = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
    return [field for field, value in pairs if value != left_out]


def key_names_of(store: Store, keys: Keys) -> Iterator[bytes]:
    """Yield the part after the hash tag of every Redis key of a namespace, of all its collections; some twice.

    A server scans all of its keys, 1,000 in a round trip. The nodes of a Cluster list the keys of each bucket's slot:
    one round trip for their numbers, and one for each 10,000 keys or so, or for one slot with more.
    """
    begin = keys_begin(keys.namespace)
    for found in _listed(store, keys) if store.is_cluster else _scanned_keys(store, keys, begin):
        for key in found:
            _, mark, part = key.partition(b"}")
            if mark and key.startswith(begin):
                yield part


def _scanned_keys(store: Store, keys: Keys, begin: bytes) -> Iterator[list[bytes]]:
    cursor: Any = b"0"
    while True:
        words = ("SCAN", cursor, "MATCH", begin + b"*", "COUNT", _SCANNED_PER_TRIP)
        cursor, found = store.ask(Command(keys.namespace, words))
        yield found
        if int(cursor) == 0:
            return


def _listed(store: Store, keys: Keys) -> Iterator[list[bytes]]:
    tags = [keys.tag(bucket) for bucket in keys.all_buckets]
    counts = store.send([Command(tag, ("CLUSTER", "COUNTKEYSINSLOT", slot_of(tag))) for tag in tags])
    commands: list[Command] = []
    size = 0
    for tag, count in zip(tags, counts, strict=True):
        if commands and size + count > _MOST_PER_TRIP:
            yield from store.send(commands)
            commands, size = [], 0
        if count:
            commands.append(Command(tag, ("CLUSTER", "GETKEYSINSLOT", slot_of(tag), count)))
            size += count
    if commands:
        yield from store.send(commands)

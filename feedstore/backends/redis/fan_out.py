"""Deliveries to many timelines as writes of the script."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import compress, groupby, islice, repeat
from operator import is_
from typing import cast

from feedstore.backends.redis.batch import (
    DELIVER,
    FAN_OUT,
    FINISH,
    MOST_READ,
    SHARE,
    Items,
    Write,
    most_of_a_fan_out,
)
from feedstore.backends.redis.keys import Keys, as_bytes, payloads_of
from feedstore.errors import InvalidValueError
from feedstore.ids import id_to_bytes
from feedstore.shown import WHOLE_KEY, shown
from feedstore.storage.timeline_hooks import Limits

NO_LIMIT = -1
MOST_NUMBER = 2**53
MOST_IDS = 1000
"""Of more ids than these, a delivery is not a part of a fan-out but writes of its own."""

_MOST_ITEMS = 2000
_MOST_BYTES = 1_000_000


def in_parts(serialized: Mapping[int, bytes]) -> list[Items]:
    """Return ``{id: payload}`` as the items of writes, in parts that each take the server a moment only."""
    # The scripts merge sorted ids.
    ordered = sorted(serialized)
    ids, payloads = list(map(id_to_bytes, ordered)), [serialized[one] for one in ordered]
    if not any(payloads):
        return [(ids[first : first + _MOST_ITEMS], None) for first in range(0, len(ids), _MOST_ITEMS)]
    parts: list[tuple[list[bytes], list[bytes]]] = [([], [])]
    size = 0
    for activity_id, payload in zip(ids, payloads, strict=True):
        if parts[-1][0] and (len(parts[-1][0]) == _MOST_ITEMS or size + len(payload) > _MOST_BYTES):
            parts.append(([], []))
            size = 0
        parts[-1][0].append(activity_id)
        parts[-1][1].append(payload)
        size += len(payload)
    return list(parts)


def is_plain(parts: list[Items]) -> bool:
    """Return whether entries are ids alone, few enough for a fan-out."""
    return len(parts) == 1 and parts[0][1] is None and len(parts[0][0]) <= MOST_IDS


def fan_out_writes(names: Keys, keys: Collection[str], items: Items, length: int) -> list[Write]:
    """Return the writes that add the same ids to timelines and trim each.

    On one server a write reaches several buckets, on a Cluster one.
    """
    groups_of_writes = _grouped(names, keys, most_of_a_fan_out(len(items[0])))
    return [_fan_out(names, groups, items, length) for groups in groups_of_writes]


def fan_out_each(names: Keys, plain: Mapping[str, Items], length: int) -> list[Write]:
    """Return the writes that add to each timeline ids of its own and trim it."""
    most = most_of_a_fan_out(max(len(ids) for ids, _ in plain.values()))
    writes = []
    for groups in _grouped(names, plain, most):
        each: list[Items] = [plain[key] for group in groups.values() for key in group]
        writes.append(_fan_out(names, groups, each, length))
    return writes


def _fan_out(names: Keys, groups: dict[int, list[str]], items: Items | list[Items], length: int) -> Write:
    touched = (*(names.directories[bucket] for bucket in groups), *names.timelines_of(groups))
    return Write(FAN_OUT, next(iter(groups)), touched, items, (length, [len(group) for group in groups.values()]))


def _grouped(names: Keys, keys: Collection[str], most: int) -> list[dict[int, list[str]]]:
    """Return the keys of the timelines of one write each, by bucket."""
    grouped = names.grouped(keys)
    if len(keys) <= most and not names.is_spread:
        return [grouped]
    parts: list[dict[int, list[str]]] = []
    room = 0
    for bucket, group in grouped.items():
        for first in range(0, len(group), most):
            piece = group[first : first + most]
            if names.is_spread or len(piece) > room:
                parts.append({})
                room = most
            parts[-1][bucket] = piece
            room -= len(piece)
    return parts


def add_plain(names: Keys, key: str, items: Items) -> Write:
    """Return the write that adds ids to one timeline, as a fan-out, which takes half of the server's time."""
    bucket = names.bucket_of(key)
    directory, timeline, side = names.of_timeline(bucket, key)
    # On a Cluster, a script with an absent key waits for a slot that moves.
    touched = (directory, timeline) if names.is_spread else (directory, timeline, side)
    return Write(FAN_OUT, bucket, touched, items, (NO_LIMIT, [1]))


def add_writes(names: Keys, key: str, parts: list[Items], length: int, declares_payloads: bool) -> list[Write]:
    """Return the writes that add entries to one timeline; the last one trims it."""
    bucket = names.bucket_of(key)
    touched = names.of_timeline(bucket, key)
    # On a Cluster, a script with an absent key waits for a slot that moves.
    with_payloads = declares_payloads or parts[0][1] is not None or not names.is_spread
    lengths = [*[NO_LIMIT] * (len(parts) - 1), length]
    return [
        Write("add", bucket, touched if with_payloads else touched[:2], part, (most,))
        for part, most in zip(parts, lengths, strict=True)
    ]


def deliver_writes(names: Keys, key: str, parts: list[Items], limits: Limits) -> list[Write]:
    """Return the writes that add entries to one timeline and its companions within limits; the last one trims it.

    Raises:
        InvalidValueError: on a Cluster, if a companion lies in another bucket than its timeline.
    """
    bucket = names.bucket_of(key)
    touched = list(names.of_timeline(bucket, key))
    for suffix in limits.companions:
        other = names.bucket_of(key + suffix)
        if names.is_spread and other != bucket:
            raise InvalidValueError(
                f"the timeline {shown(key, WHOLE_KEY)} and its companion {shown(key + suffix, WHOLE_KEY)} may lie on "
                "different nodes of the Redis Cluster, which cannot write both in one step: put the part that their "
                "keys share in braces, such as {bob}:home and {bob}:home:unseen"
            )
        touched += names.of_timeline(other, key + suffix)
    most = length_of(limits.max_per_payload)
    lengths = [*[NO_LIMIT] * (len(parts) - 1), length_of(limits.max_length)]
    return [
        Write(DELIVER, bucket, tuple(touched), part, (most, length, length_of(limits.slack) if length >= 0 else 0))
        for part, length in zip(parts, lengths, strict=True)
    ]


def entry_of_all(deliveries: Mapping[str, Mapping[int, bytes]]) -> Items | None:
    """Return the items of the one entry with a payload that all timelines receive, or None if they receive others.

    A fan-out to aggregated feeds is such a delivery. To sort its timelines one by one takes 0.7 µs for each.
    """
    serialized = next(iter(deliveries.values()))
    if len(serialized) != 1 or not all(map(is_, deliveries.values(), repeat(serialized))):
        return None
    (items,) = in_parts(serialized)
    return None if items[1] is None else items


def share_writes(names: Keys, keys: Collection[str], items: Items, limits: Limits) -> list[Write]:
    """Return the writes that add the same entry with a payload to timelines, with slack."""
    writes = []
    for groups in _grouped(names, keys, most_of_a_fan_out(1)):
        sizes = [len(group) for group in groups.values()]
        directories = (names.directories[bucket] for bucket in groups)
        touched = (*directories, *names.timelines_of(groups), *names.payloads_of(groups))
        arguments = (length_of(limits.max_per_payload), length_of(limits.max_length), length_of(limits.slack), sizes)
        writes.append(Write(SHARE, next(iter(groups)), touched, items, arguments))
    return writes


def reading_shares(write: Write, positions: Sequence[int]) -> Iterator[Write]:
    """Yield the shares of those timelines of a share whose payloads are to be read, of as many as a script may read."""
    every = list(write.timelines())
    _, length, slack, _ = write.arguments
    most = max(1, MOST_READ // (length + slack + 1))
    for first in range(0, len(positions), most):
        part = [every[position] for position in positions[first : first + most]]
        sizes = [len(list(group)) for _, group in groupby(directory for directory, _, _ in part)]
        directories, timelines, sides = zip(*part, strict=True)
        touched = (*dict.fromkeys(directories), *timelines, *sides)
        yield write._replace(keys=touched, arguments=(*write.arguments[:-1], sizes), reads_payloads=True)


def length_of(limit: int | None) -> int:
    """Return a limit as the script reads it."""
    return NO_LIMIT if limit is None else min(limit, MOST_NUMBER)


def parts_of_fan_out(write: Write) -> list[Write]:
    """Return the writes of one timeline each that a fan-out or a shared delivery stands for."""
    if write.kind == SHARE:
        return [
            Write(
                DELIVER, write.bucket, tuple(filter(None, touched)), write.items, write.arguments[:-1], may_replace=True
            )
            for touched in write.timelines()
        ]
    length = write.arguments[0]
    singles = []
    for position, (directory, timeline, _) in enumerate(write.timelines()):
        items = write.items[position] if isinstance(write.items, list) else write.items
        singles.append(Write("add", write.bucket, (directory, timeline), items, (length,)))
    return singles


def without(write: Write, named: set[bytes]) -> list[Write]:
    """Return a fan-out without the named timelines, and writes of these alone, which name their payloads."""
    singles = parts_of_fan_out(write)
    apart = [with_payloads(one) for one in singles if as_bytes(one.keys[1]) in named]
    if not apart:
        return [write]
    is_kept = [as_bytes(one.keys[1]) not in named for one in singles]
    if not any(is_kept):
        return apart
    flags = iter(is_kept)
    sizes = [sum(islice(flags, size)) for size in write.arguments[1]]
    used = [(directory, size) for directory, size in zip(write.keys, sizes, strict=False) if size]
    timelines = compress((one.keys[1] for one in singles), is_kept)
    rest = write._replace(
        keys=(*(directory for directory, _ in used), *timelines),
        items=list(compress(write.items, is_kept)) if isinstance(write.items, list) else write.items,
        arguments=(write.arguments[0], [size for _, size in used]),
    )
    return [rest, *apart]


def with_payloads(write: Write) -> Write:
    """Return a write of one timeline with the payloads among its keys."""
    directory, timeline, *named = write.keys
    return write if named else write._replace(keys=(directory, timeline, payloads_of(directory, timeline)))


def finishing(write: Write) -> Write:
    """Return the write that drops the entries that a write of one timeline could not drop."""
    kind = "trim" if write.kind == "trim" else FINISH
    length = write.arguments[1] if write.kind == DELIVER else write.arguments[-1]
    return write._replace(kind=kind, items=None, arguments=(length,))


def remaining(write: Write, position: int) -> Write:
    """Return the write of the entries from a position on, which belong in chunks."""
    ids, data = cast("Items", write.items)
    items = ids[position:], None if data is None else data[position:]
    return write._replace(items=items, reaches_chunks=True)

"""Writes of a batch: queued while the storages' hooks run, and sent together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import msgpack

from feedstore.backends.redis.command import Command
from feedstore.backends.redis.keys import Keys, marker_key
from feedstore.backends.redis.scripts import WRITE
from feedstore.storage.transaction import Pending, Transaction

_Result = TypeVar("_Result")

FLUSH = "flush"
"""The write that removes all timelines of a bucket; ``execution`` makes others of it, which name their keys."""

FORGET = "forget"
"""The write that removes the timelines, and payloads, whose keys it has."""

MOST_WORK = 4000
"""The work of a script that does not have to be atomic."""

_WORK_OF_A_WRITE = 16
_WORK_OF_AN_ITEM = 8
_ITEM_KINDS = ("upsert", "discard")
_BYTES_A_UNIT = 500

Items = tuple[list[bytes], list[bytes] | None]
"""Ids, and the bytes of each if there are any. Writes that share them are the same object."""


class Write(NamedTuple):
    """One write of the script: what it is called, the bucket and the keys it touches, its items and its arguments."""

    kind: str
    bucket: int
    keys: tuple[str | bytes, ...]
    items: Items | None = None
    arguments: tuple[Any, ...] = ()


class RedisTransaction(Transaction):
    """The writes of one batch, in order, which its backend sends when all hooks have added theirs."""

    __slots__ = ("_pending", "namespaces", "writes")

    def __init__(self) -> None:
        self.writes: list[Write] = []
        self.namespaces: list[str] = []
        self._pending: list[tuple[Pending[Any], slice, Callable[[list[Any]], Any]]] = []

    def add(self, namespace: str, writes: Sequence[Write], result: Callable[[list[Any]], _Result]) -> Pending[_Result]:
        """Add writes of a namespace. Once they are sent, ``result`` makes the pending result of their counts."""
        first = len(self.writes)
        self.writes.extend(writes)
        self.namespaces.extend([namespace] * len(writes))
        pending: Pending[_Result] = Pending()
        self._pending.append((pending, slice(first, len(self.writes)), result))
        return pending

    def settle(self, counts: list[Any]) -> None:
        """Settle every pending result with the counts of all writes, in their order."""
        for pending, part, result in self._pending:
            pending.settle(result(counts[part]))


def in_one_script(
    keys: Keys, writes: Sequence[Write], expiry: int, is_atomic: bool = True, further: Sequence[Keys] = ()
) -> Command:
    """Return the command that carries out writes of a namespace and of ``further`` ones, whose markers it checks; with
    ``is_atomic`` all or none.
    """
    places: dict[int, int] = {}
    items: list[Items] = []
    program = []
    for write in writes:
        words: list[Any] = [write.kind, len(write.keys)]
        if write.items is not None:
            place = places.get(id(write.items))
            if place is None:
                items.append(write.items)
                place = places[id(write.items)] = len(items)
            words.append(place)
        program.append([*words, *write.arguments])
    packed = msgpack.packb([items, program, [str(one.buckets) for one in further]], use_bin_type=False)
    touched: list[str | bytes] = [marker_key(one.namespace) for one in further]
    touched += [key for write in writes for key in write.keys]
    return keys.write_script(keys.tag(writes[0].bucket), WRITE, touched, (packed, expiry, int(is_atomic)))


def in_scripts(keys: Keys, writes: Sequence[Write], expiry: int) -> tuple[list[Command], list[int]]:
    """Return commands that carry out writes, and the position of each of their counts.

    A script stays short enough not to keep the server from others. On a Cluster each reaches the keys of one bucket;
    the writes of one bucket keep their order.
    """
    groups: dict[int, list[int]] = {}
    for position, write in enumerate(writes):
        groups.setdefault(write.bucket if keys.is_spread else 0, []).append(position)
    commands, positions = [], []
    for group in groups.values():
        for part in _parts(writes, group):
            commands.append(in_one_script(keys, [writes[position] for position in part], expiry, is_atomic=False))
            positions.extend(part)
    return commands, positions


def work_of(writes: Iterable[Write]) -> int:
    """Return about how many microseconds of the server's time writes take."""
    return sum(map(_work, writes))


def _parts(writes: Sequence[Write], group: list[int]) -> list[list[int]]:
    parts: list[list[int]] = [[]]
    size = 0
    for position in group:
        work = _work(writes[position])
        if parts[-1] and size + work > MOST_WORK:
            parts.append([])
            size = 0
        parts[-1].append(position)
        size += work
    return parts


def _work(write: Write) -> int:
    if write.kind == FORGET:
        return _WORK_OF_A_WRITE + 5 * len(write.keys)
    if write.items is None:
        length = sum(len(argument) for argument in write.arguments if isinstance(argument, (bytes, str)))
        base = _WORK_OF_AN_ITEM if write.kind in _ITEM_KINDS else _WORK_OF_A_WRITE
        return base + length // _BYTES_A_UNIT
    ids, data = write.items
    if data is None:
        return _WORK_OF_A_WRITE + len(ids)
    return 2 * _WORK_OF_A_WRITE + 2 * len(ids) + sum(map(len, data)) // _BYTES_A_UNIT

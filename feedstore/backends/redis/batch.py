"""Writes of a batch: queued while the storages' hooks run, and sent together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import msgpack

from feedstore.backends.redis.command import Command, call_script
from feedstore.backends.redis.keys import Keys
from feedstore.backends.redis.scripts import WRITE
from feedstore.storage.transaction import Pending, Transaction

_Result = TypeVar("_Result")

FLUSH = "flush"
"""The write that removes all timelines of a bucket."""

_MOST_WRITES = 1000
_MOST_BYTES = 1_000_000

Items = tuple[list[bytes], list[bytes] | None]
"""Ids, and the bytes of each if there are any. Writes that share them are the same object."""


class Write(NamedTuple):
    """One write of the script: what it is called, the bucket and the keys it touches, its items and its arguments."""

    kind: str
    bucket: int
    keys: tuple[str, ...]
    items: Items | None = None
    arguments: tuple[Any, ...] = ()


class RedisTransaction(Transaction):
    """The writes of one batch, in order, which its backend sends when all hooks have added theirs."""

    __slots__ = ("_pending", "writes")

    def __init__(self) -> None:
        self.writes: list[Write] = []
        self._pending: list[tuple[Pending[Any], slice, Callable[[list[Any]], Any]]] = []

    def add(self, writes: Sequence[Write], result: Callable[[list[Any]], _Result]) -> Pending[_Result]:
        """Add writes. Once they are sent, ``result`` makes the pending result of their counts."""
        first = len(self.writes)
        self.writes.extend(writes)
        pending: Pending[_Result] = Pending()
        self._pending.append((pending, slice(first, len(self.writes)), result))
        return pending

    def settle(self, counts: list[Any]) -> None:
        """Settle every pending result with the counts of all writes, in their order."""
        for pending, part, result in self._pending:
            pending.settle(result(counts[part]))


def in_one_script(keys: Keys, writes: Sequence[Write], expiry: int) -> Command:
    """Return the command that carries out writes, all or none."""
    places: dict[int, int] = {}
    items: list[Items] = []
    program = []
    for write in writes:
        words: list[Any] = [write.kind]
        if write.items is not None:
            place = places.get(id(write.items))
            if place is None:
                items.append(write.items)
                place = places[id(write.items)] = len(items)
            words.append(place)
        program.append([*words, *write.arguments])
    packed = msgpack.packb([items, program], use_bin_type=False)
    touched = [key for write in writes for key in write.keys]
    return call_script(keys.tag(writes[0].bucket), WRITE, touched, (packed, expiry), writes=True)


def in_scripts(keys: Keys, writes: Sequence[Write], expiry: int, spread: bool) -> tuple[list[Command], list[int]]:
    """Return commands that carry out writes, and the position of each of their counts.

    A script stays short enough not to keep the server from others. With ``spread``, on a Cluster, each reaches the keys
    of one bucket; the writes of one bucket keep their order.
    """
    groups: dict[int, list[int]] = {}
    for position, write in enumerate(writes):
        groups.setdefault(write.bucket if spread else 0, []).append(position)
    commands, positions = [], []
    for group in groups.values():
        for part in _parts(writes, group):
            commands.append(in_one_script(keys, [writes[position] for position in part], expiry))
            positions.extend(part)
    return commands, positions


def _parts(writes: Sequence[Write], group: list[int]) -> list[list[int]]:
    parts: list[list[int]] = [[]]
    size = 0
    for position in group:
        weight = _weight(writes[position])
        if parts[-1] and (len(parts[-1]) >= _MOST_WRITES or size + weight > _MOST_BYTES):
            parts.append([])
            size = 0
        parts[-1].append(position)
        size += weight
    return parts


def _weight(write: Write) -> int:
    """Return about how much work a write is, in bytes."""
    if write.kind == FLUSH:
        # Nobody knows how many timelines there are.
        return _MOST_BYTES
    if write.items is None:
        return 100 + sum(len(argument) for argument in write.arguments if isinstance(argument, (bytes, str)))
    ids, data = write.items
    return 100 + 40 * len(ids) + sum(map(len, data or ()))

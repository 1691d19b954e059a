"""Writes, which scripts carry out, and their division into scripts."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import Any, NamedTuple, TypeVar, cast

import msgpack

from feedstore.backends.redis.command import Command
from feedstore.backends.redis.keys import Keys
from feedstore.backends.redis.scripts import WRITE
from feedstore.errors import FeedstoreError
from feedstore.storage.session import Pending, Transaction

_Result = TypeVar("_Result")

FLUSH = "flush"
"""The write that removes all timelines of a bucket. ``execution`` replaces it by ``FORGET`` writes with their keys."""

FORGET = "forget"
"""The write that removes the timelines and payloads with the given keys."""

FAN_OUT = "fan_out"
"""The write that adds ids to many timelines, without payloads, and trims each."""

SHARE = "share"
"""The write that adds one entry with a payload to many timelines, with limits and slack."""

REMOVE = "remove"
"""The write that removes ids from a timeline."""

DELIVER = "deliver"
"""The write that adds entries to a timeline and its companions, with limits."""

FINISH = "finish"
"""The write that drops the surplus that an earlier write left in a timeline: it was too large for one script."""

COMPARE = "compare"
"""The write of an item that needs the item to have the expected bytes."""

MOST_WORK = 4000
"""The most work, in microseconds of the server, of a script that need not be atomic."""

MOST_READ = 10_000
"""The most payloads that a script reads, unless it is an atomic batch or reads those of one timeline."""

KEYS_WITHOUT_PAYLOADS = 2
"""The number of keys of a write of one timeline that does not name the payloads: they would be the third key."""

_OF_TIMELINES = ("add", REMOVE, "trim", "delete", DELIVER, FINISH)
_ADDING_AND_TRIMMING = (FAN_OUT, "add", "trim", FINISH)
_REMOVING_ITEMS = ("unset", "clear", "discard", "empty")
_KEYS_OF_TIMELINE = 3
_WORK_OF_A_WRITE = 16
_WORK_OF_AN_ITEM = 8
_WORK_OF_A_CHUNK = 50
_ITEM_KINDS = ("upsert", "discard", COMPARE)
_BYTES_A_UNIT = 500
# The microseconds for one timeline of a fan-out. A script that need not be atomic holds fewer of them than its time
# would allow, 250 timelines or 10,000 deliveries: the server runs the first script while the next one arrives.
_WORK_OF_A_FAN_OUT = 5
_SHARE_OF_A_FAN_OUT = 16
_SHARE_OF_A_DELIVERY = 0.4
# A delivery with max_per_payload searches the list of its timeline's payloads. If the timeline has chunks, the delivery
# reads all payloads.
_SEARCHED_A_UNIT, _MOST_SEARCHED = 64, 2048
_PAYLOADS_A_UNIT = 4
_LIKELY_PAYLOADS = 200

Items = tuple[list[bytes], list[bytes] | None]
"""Ids, and the payload of each, or None without payloads. Writes with the same items share one object."""


class Write(NamedTuple):
    """One write of a script.

    Attributes:
        kind: The name of its kind in the script.
        bucket: The bucket of its keys.
        keys: The keys that it touches.
        items: Its items. A fan-out may have a list of them, one for each timeline.
        arguments: Its other arguments.
        unmet: The error to raise if the condition of this write does not hold in an atomic batch.
        may_replace: Whether a key of the write may become one of another type. On a Cluster, its script waits for a
            slot that moves.
        reaches_chunks: Whether an earlier script has found that its ids belong in chunks, and left them.
        reads_payloads: Whether an earlier script has found that its timelines have used up their slack, and left them.
    """

    kind: str
    bucket: int
    keys: tuple[str | bytes, ...]
    items: Items | list[Items] | None = None
    arguments: tuple[Any, ...] = ()
    unmet: FeedstoreError | None = None
    may_replace: bool = False
    reaches_chunks: bool = False
    reads_payloads: bool = False

    @property
    def is_of_timeline(self) -> bool:
        """Whether the write changes one timeline, and possibly its companions."""
        return self.kind in _OF_TIMELINES

    def timelines(self) -> Iterator[tuple[str | bytes, str | bytes, str | bytes | None]]:
        """Yield the keys of the directory, the timeline, and the payloads, or None, of each timeline of the write."""
        if self.kind == FAN_OUT:
            sizes = self.arguments[1]
            position = len(sizes)
            end = position + sum(sizes)
            side = self.keys[end] if end < len(self.keys) else None
            for directory, size in zip(self.keys, sizes, strict=False):
                yield from ((directory, timeline, side) for timeline in self.keys[position : position + size])
                position += size
        elif self.kind == SHARE:
            sizes = self.arguments[-1]
            directories = chain.from_iterable(map(repeat, self.keys, sizes))
            middle = len(sizes) + sum(sizes)
            yield from zip(directories, self.keys[len(sizes) : middle], self.keys[middle:], strict=True)
        elif self.is_of_timeline:
            for first in range(0, len(self.keys), _KEYS_OF_TIMELINE):
                directory, timeline, *payloads = self.keys[first : first + _KEYS_OF_TIMELINE]
                yield directory, timeline, payloads[0] if payloads else None


class RedisTransaction(Transaction):
    """The writes of one batch, in order. The backend sends them after all hooks have added theirs."""

    __slots__ = ("_pending", "writes")

    def __init__(self) -> None:
        self.writes: list[Write] = []
        self._pending: list[tuple[Pending[Any], slice, Callable[[list[Any]], Any]]] = []

    def add(self, writes: Sequence[Write], result: Callable[[list[Any]], _Result]) -> Pending[_Result]:
        """Add writes. After they were sent, ``result`` reduces their counts to the pending result."""
        first = len(self.writes)
        self.writes.extend(writes)
        pending: Pending[_Result] = Pending()
        self._pending.append((pending, slice(first, len(self.writes)), result))
        return pending

    def settle(self, counts: list[Any]) -> None:
        """Settle every pending result with the counts of all writes, in their order."""
        for pending, part, result in self._pending:
            pending.settle(result(counts[part]))


def in_one_script(keys: Keys, writes: Sequence[Write], expiry: int, is_atomic: bool = True) -> Command:
    """Return the command that carries out writes. With ``is_atomic`` it carries out all of them or none."""
    places: dict[int, int] = {}
    items: list[Items] = []

    def place_of(one: Items) -> int:
        place = places.get(id(one))
        if place is None:
            items.append(one)
            place = places[id(one)] = len(items)
        return place

    program = []
    for write in writes:
        words: list[Any] = [write.kind, len(write.keys)]
        if isinstance(write.items, list):
            words.append([place_of(one) for one in write.items])
        elif write.items is not None:
            words.append(place_of(write.items))
        program.append([*words, *write.arguments])
    packed = msgpack.packb([items, program], use_bin_type=False)
    touched = [key for write in writes for key in write.keys]
    may_replace = not keys.is_spread
    if keys.is_spread and (any(one.may_replace for one in writes) or (is_atomic and _may_touch_an_emptied_key(writes))):
        touched.append(keys.absent(writes[0].bucket))
        may_replace = True
    arguments = (packed, expiry, int(is_atomic), int(may_replace))
    return keys.write_script(keys.tag(writes[0].bucket), WRITE, touched, arguments)


def _of_ids_alone(keys: Keys, write: Write, expiry: int) -> Command | None:
    """Return the command that adds the same ids to timelines, or None for another write."""
    if write.kind != FAN_OUT or write.items is None:
        return None
    if isinstance(write.items, list) and len(write.items) > 1:
        return None
    ids, data = write.items[0] if isinstance(write.items, list) else write.items
    if data is not None:
        return None
    length, sizes = write.arguments
    arguments = ("", expiry, 0, int(not keys.is_spread), length, len(sizes), sum(sizes), msgpack.packb(sizes), *ids)
    return keys.write_script(keys.tag(write.bucket), WRITE, write.keys, arguments)


def _of_one_share(keys: Keys, write: Write, expiry: int) -> Command | None:
    """Return the command that adds one entry with a payload to timelines, or None for another write."""
    if write.kind != SHARE:
        return None
    (activity_id,), (payload,) = cast("tuple[list[bytes], list[bytes]]", write.items)
    most, length, slack, sizes = write.arguments
    packed = (length, len(sizes), sum(sizes), msgpack.packb(sizes))
    arguments = (SHARE, expiry, 0, int(not keys.is_spread), *packed, activity_id, payload, most, slack)
    return keys.write_script(keys.tag(write.bucket), WRITE, write.keys, arguments)


def in_scripts(keys: Keys, writes: Sequence[Write], expiry: int) -> tuple[list[Command], list[int]]:
    """Return the commands that carry out writes, and the positions of the writes in the order of their counts.

    Each script is short enough not to block the server for other clients. On a Cluster, each script has the keys of one
    bucket. The writes of one bucket keep their order. If an earlier script may leave a part of a write to a later round
    trip, the positions end before the first write that must not be carried out before that part.
    """
    if len(writes) == 1:
        return [_in_short_script(keys, writes, expiry)], [0]
    groups: dict[int, list[int]] = {}
    for position, write in enumerate(writes):
        groups.setdefault(write.bucket if keys.is_spread else 0, []).append(position)
    commands, positions = [], []
    for group in groups.values():
        for part in _up_to_conflict(writes, _parts(writes, group)):
            commands.append(_in_short_script(keys, [writes[position] for position in part], expiry))
            positions.extend(part)
    return commands, positions


def _in_short_script(keys: Keys, writes: Sequence[Write], expiry: int) -> Command:
    """Return the command that carries out writes, of which some may remain to be done."""
    command = None
    if len(writes) == 1:
        command = _of_ids_alone(keys, writes[0], expiry) or _of_one_share(keys, writes[0], expiry)
    return command or in_one_script(keys, writes, expiry, is_atomic=False)


def _may_touch_an_emptied_key(writes: Sequence[Write]) -> bool:
    """Return whether a write touches a hash of items that an earlier write may empty, or payloads that it deletes.

    The script deletes keys of timelines after all its other calls, but payloads may become a key of another type.
    """
    reduced: set[str | bytes] = set()
    for write in writes:
        if not reduced.isdisjoint(write.keys):
            return True
        if write.kind in _REMOVING_ITEMS:
            reduced.update(write.keys)
        elif write.kind == "delete":
            reduced.update(write.keys[KEYS_WITHOUT_PAYLOADS:])
        elif write.kind == FORGET:
            reduced.update(write.keys[1 + write.arguments[0] :])
    return False


def work_of(writes: Iterable[Write]) -> int:
    """Return an estimate of the server's time for writes, in microseconds."""
    return sum(map(_work, writes))


def most_of_a_fan_out(ids: int) -> int:
    """Return the number of timelines of a fan-out of ``ids`` entries in a script that need not be atomic."""
    return max(1, int(MOST_WORK / max(_SHARE_OF_A_FAN_OUT, _SHARE_OF_A_DELIVERY * ids)))


def _parts(writes: Sequence[Write], group: list[int]) -> list[list[int]]:
    parts: list[list[int]] = [[]]
    size = 0
    for position in group:
        work = _share(writes[position])
        if parts[-1] and size + work > MOST_WORK:
            parts.append([])
            size = 0
        parts[-1].append(position)
        size += work
    return parts


def _up_to_conflict(writes: Sequence[Write], parts: list[list[int]]) -> list[list[int]]:
    """Return the parts up to the first write whose timelines an earlier part may leave unfinished.

    Adds and trims to the same length have the same result in any order, and so do removals: they do not conflict.
    """
    if len(parts) == 1:
        return parts
    effects = _effects_of([(position, writes[position]) for part in parts for position in part])
    different = set(effects.values())
    if len(different) == 1 and None not in different:
        return parts
    unfinished: dict[Hashable, set[str | bytes]] = {}
    for number, part in enumerate(parts):
        for place, position in enumerate(part):
            effect, timelines = effects[position], _timelines_of(writes[position])
            for other, left in unfinished.items():
                if (other is None or other != effect) and not left.isdisjoint(timelines):
                    return [*parts[:number], part[:place]] if place else parts[:number]
        for position in part:
            write = writes[position]
            timelines = _timelines_of(write)
            # A script finishes a deletion that names the payloads, unless an earlier write of it is unfinished.
            is_deletion = write.kind == "delete" and len(write.keys) > KEYS_WITHOUT_PAYLOADS
            if not is_deletion or any(not left.isdisjoint(timelines) for left in unfinished.values()):
                unfinished.setdefault(effects[position], set()).update(timelines)
    return parts


def _effects_of(placed: Iterable[tuple[int, Write]]) -> dict[int, Hashable]:
    """Return the effect of the write at each position, None if its order matters.

    If the same id is shared with several payloads, the last one must win.
    """
    effects: dict[int, Hashable] = {}
    payloads: dict[bytes, set[bytes]] = {}
    shared: dict[int, set[bytes]] = {}
    for position, write in placed:
        effects[position] = _effect_of(write)
        if write.kind == SHARE:
            (activity_id,), (payload,) = cast("tuple[list[bytes], list[bytes]]", write.items)
            shared[position] = payloads.setdefault(activity_id, set())
            shared[position].add(payload)
    return effects | {position: None for position, different in shared.items() if len(different) > 1}


def _effect_of(write: Write) -> Hashable:
    """Return the limits to which a write only adds and trims, negative for none, or the kind of a removal.

    None stands for other writes.
    """
    if write.kind == REMOVE:
        return REMOVE
    if write.kind == SHARE:
        return write.arguments[:-1]
    return write.arguments[0] if write.kind in _ADDING_AND_TRIMMING else None


def _timelines_of(write: Write) -> tuple[str | bytes, ...]:
    if write.kind == FAN_OUT:
        return write.keys[len(write.arguments[1]) :]
    if write.kind == SHARE:
        sizes = write.arguments[-1]
        return write.keys[len(sizes) : len(sizes) + sum(sizes)]
    return write.keys[1::_KEYS_OF_TIMELINE] if write.is_of_timeline else ()


def _share(write: Write) -> int:
    """Return the work that counts for a write in a script that need not be atomic."""
    if write.kind == SHARE:
        _, length, slack, _ = write.arguments
        read = (length + slack) // _PAYLOADS_A_UNIT if write.reads_payloads else 0
        return int((_SHARE_OF_A_FAN_OUT + read) * len(_timelines_of(write)))
    if write.kind != FAN_OUT:
        return _work(write)
    timelines, deliveries = _size_of_fan_out(write)
    return int(max(_SHARE_OF_A_FAN_OUT * timelines, _SHARE_OF_A_DELIVERY * deliveries))


def _size_of_fan_out(write: Write) -> tuple[int, int]:
    """Return the number of timelines and the number of deliveries of a fan-out."""
    timelines = sum(write.arguments[1])
    if isinstance(write.items, list):
        return timelines, sum(len(ids) for ids, _ in write.items)
    return timelines, timelines * len(write.items[0] if write.items else ())


def _work(write: Write) -> int:
    if write.kind == FORGET:
        return _WORK_OF_A_WRITE + 5 * len(write.keys)
    if write.kind == SHARE:
        return (2 * _WORK_OF_A_WRITE + 2) * len(_timelines_of(write))
    if write.kind == FAN_OUT:
        timelines, deliveries = _size_of_fan_out(write)
        return _WORK_OF_A_FAN_OUT * timelines + deliveries
    if write.items is None or isinstance(write.items, list):
        length = sum(len(argument) for argument in write.arguments if isinstance(argument, (bytes, str)))
        base = _WORK_OF_AN_ITEM if write.kind in _ITEM_KINDS else _WORK_OF_A_WRITE
        return base + length // _BYTES_A_UNIT
    ids, data = write.items
    chunks = _WORK_OF_A_CHUNK * len(ids) if write.reaches_chunks else 0
    if data is None and write.kind != DELIVER:
        return _WORK_OF_A_WRITE + len(ids) + chunks
    work = 2 * _WORK_OF_A_WRITE + 2 * len(ids) + sum(map(len, data or ())) // _BYTES_A_UNIT + chunks
    return work * len(write.keys) // _KEYS_OF_TIMELINE + _read_by(write) if write.kind == DELIVER else work


def _read_by(write: Write) -> int:
    """Return the estimated work of finding equal payloads in a delivery's timeline."""
    most, length, slack = write.arguments
    if most < 0 or slack:
        return 0
    entries = _LIKELY_PAYLOADS if length < 0 else int(length)
    return entries // _SEARCHED_A_UNIT if entries <= _MOST_SEARCHED else min(entries, MOST_READ) // _PAYLOADS_A_UNIT


def total(counts: list[Any]) -> int | None:
    """Return the sum of the counts."""
    return int(sum(counts))


def nothing(counts: list[Any]) -> None:
    """Return None, the result of a call without a count."""

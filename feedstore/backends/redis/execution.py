"""The execution of writes: many short scripts, or one that is all or nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, Protocol, cast

from feedstore.backends.redis.batch import (
    FAN_OUT,
    FINISH,
    FLUSH,
    FORGET,
    KEYS_WITHOUT_PAYLOADS,
    SHARE,
    Write,
    in_one_script,
    in_scripts,
    work_of,
)
from feedstore.backends.redis.command import Command
from feedstore.backends.redis.fan_out import (
    finishing,
    parts_of_fan_out,
    reading_shares,
    remaining,
    with_payloads,
    without,
)
from feedstore.backends.redis.keys import Keys, as_bytes, payloads_of, timelines_begin
from feedstore.errors import AtomicityError, FeedstoreError, StorageUnavailableError

MOST_ATOMIC_WORK = 20_000
"""The work of a script that is an atomic batch."""

MOST_FLUSHED_ATOMICALLY = 2000
"""The most timelines that an atomic batch may flush."""

_FLUSHED_PER_TRIP = 250
_AGAIN, _TRIM, _REST, _TOO_MANY, _UNMET = b"AGAIN", b"TRIM", b"REST", b"TOO_MANY", b"UNMET"
_REASONS = {
    b"trim": "it would trim {} entries, and 4,000 is the bound",
    b"read": "it would read {} payloads to find those that are equal, and 40,000 is the bound",
}
_ATTEMPTS = 20
_PARTS = 4
_Placed = tuple[int, Write]
_States = dict["str | bytes", dict[bytes, bytes]]


class CommandStore(Protocol):
    """The part of a store with which writes are carried out."""

    label: str

    @property
    def expiry(self) -> int:
        """The milliseconds after which an idle timeline expires; 0 for never."""

    def send(self, commands: Sequence[Command]) -> list[Any]:
        """Return the replies to commands, in one round trip."""

    def ask(self, command: Command) -> Any:
        """Return the reply to one command."""

    def write(self, keys: Keys, commands: Sequence[Command]) -> list[Any]:
        """Return the replies to scripts that write, in one round trip."""


class Execution:
    """Carries out writes of one namespace."""

    def __init__(self, store: CommandStore, keys: Keys) -> None:
        self._store = store
        self._keys = keys

    def spread(self, writes: Sequence[Write]) -> list[int]:
        """Carry out writes in order, in scripts of a few milliseconds each, and return the count of each.

        One round trip; more where timelines have payloads that their writes did not name, or more entries to drop or
        chunks to change than one script may, or where writes of other scripts must wait for such work. A flush is two
        for each 250 timelines of a bucket.
        """
        counts = [0] * len(writes)
        if len(writes) == 1 and writes[0].kind != FLUSH:
            self._run([(0, writes[0])], counts)
            return counts
        for is_flush, places in groupby(range(len(writes)), lambda place: writes[place].kind == FLUSH):
            if is_flush:
                self._flush({writes[place].keys[0]: writes[place].bucket for place in places})
            else:
                self._run([(place, writes[place]) for place in places], counts)
        return counts

    def _run(self, pending: Sequence[_Placed], counts: list[int]) -> None:
        if len(pending) > 1:
            pending = _with_same_payloads(pending)
        while pending:
            commands, order = in_scripts(self._keys, [write for _, write in pending], self._store.expiry)
            answers = chain.from_iterable(self._store.write(self._keys, commands))
            left: list[tuple[int, _Placed]] = []
            for position, answer in zip(order, answers, strict=True):
                place, write = pending[position]
                count = answer or 0
                if isinstance(answer, list):
                    count = answer[1]
                    left += [(position, (place, one)) for one in _rest(write, answer)]
                if write.kind != FINISH:
                    counts[place] += count
            if len(order) < len(pending):
                left += [(position, pending[position]) for position in set(range(len(pending))).difference(order)]
            pending = [placed for _, placed in sorted(left, key=itemgetter(0))]

    def _flush(self, buckets: dict[str | bytes, int]) -> None:
        cursors: dict[str | bytes, Any] = dict.fromkeys(buckets, b"0")
        while cursors:
            answers = self._store.send(
                [self._scan(buckets[directory], directory, cursor) for directory, cursor in cursors.items()]
            )
            writes: list[Write] = []
            for directory, (_, found) in zip(cursors, answers, strict=True):
                writes += self._forgetting(buckets[directory], directory, found)
            self._run(list(enumerate(writes)), [0] * len(writes))
            cursors = _unfinished(cursors, answers)

    def _scan(self, bucket: int, directory: str | bytes, cursor: Any) -> Command:
        return Command(self._keys.tag(bucket), ("HSCAN", directory, cursor, "COUNT", _FLUSHED_PER_TRIP))

    def _forgetting(self, bucket: int, directory: str | bytes, found: list[bytes]) -> list[Write]:
        """Return the writes that remove the timelines of a part of a directory, given as fields and states."""
        beginning = timelines_begin(directory)
        states = dict(zip(found[::2], found[1::2], strict=True))
        damaged = [field for field in states if not field.startswith(beginning)]
        if damaged:
            self._store.ask(Command(self._keys.tag(bucket), ("HDEL", directory, *damaged), writes=True))
        timelines = [field for field in states if field.startswith(beginning)]
        writes = []
        for first in range(0, len(timelines), _FLUSHED_PER_TRIP):
            part = timelines[first : first + _FLUSHED_PER_TRIP]
            payloads = [payloads_of(directory, field) for field in part if states[field].startswith(b"1")]
            writes.append(Write(FORGET, bucket, (directory, *part, *payloads), None, (len(part), False)))
        return writes

    def at_once(self, writes: Sequence[Write]) -> list[Any]:
        """Carry out writes in one script, all or none, and return the count of each.

        One round trip; more where timelines have payloads that their writes did not name, or something is flushed.
        Raises :class:`AtomicityError` for more work than one script may be, before anything is written.
        """
        _check_work(work_of(writes))
        named: Counter[int] = Counter()
        for _ in range(_ATTEMPTS):
            planned = self._planned(writes, named)
            command = in_one_script(self._keys, [write for _, write in planned], self._store.expiry)
            (answer,) = self._store.write(self._keys, [command])
            if answer[0] == _UNMET:
                raise cast("FeedstoreError", planned[answer[1]][1].unmet)
            if answer[0] == _TOO_MANY:
                raise _too_much(_REASONS[answer[2]].format(answer[1]))
            if answer[0] != _AGAIN:
                counts = [0] * len(writes)
                for (place, _), count in zip(planned, answer, strict=True):
                    counts[place] += count or 0
                return counts
            named.update({planned[position][0] for position in answer[1]})
        raise StorageUnavailableError(
            f"{self._store.label}: timelines changed {_ATTEMPTS} times while an atomic batch was to flush them"
        )

    def _planned(self, writes: Sequence[Write], named: Counter[int]) -> list[_Placed]:
        """Return the writes of an atomic batch with all their keys, given which of them need payloads."""
        planned: list[_Placed] = []
        for place, write in enumerate(writes):
            ones = parts_of_fan_out(write) if write.kind == SHARE else [write]
            for _ in range(named[place]):
                ones = [declaring for one in ones for declaring in _declaring(one)]
            planned += [(place, one) for one in ones]
        planned = _with_same_payloads(planned)
        states = self._states_in({write.keys[0]: write.bucket for write in writes if write.kind == FLUSH})
        return [(place, _named_flush(planned, position, states)) for position, (place, _) in enumerate(planned)]

    def _states_in(self, buckets: dict[str | bytes, int]) -> _States:
        """Return the states of the timelines of directories. Raises if an atomic batch may not flush so many."""
        tags = {directory: self._keys.tag(bucket) for directory, bucket in buckets.items()}
        counts = self._store.send([Command(tag, ("HLEN", directory)) for directory, tag in tags.items()])
        if sum(counts) > MOST_FLUSHED_ATOMICALLY:
            raise _too_much(f"it would flush {sum(counts)} timelines, and {MOST_FLUSHED_ATOMICALLY} is the bound")
        states: _States = {directory: {} for directory in buckets}
        cursors: dict[Any, Any] = {directory: b"0" for directory, count in zip(buckets, counts, strict=True) if count}
        while cursors:
            answers = self._store.send(
                [
                    Command(tags[directory], ("HSCAN", directory, cursor, "COUNT", MOST_FLUSHED_ATOMICALLY))
                    for directory, cursor in cursors.items()
                ]
            )
            for directory, (_, found) in zip(cursors, answers, strict=True):
                states[directory].update(zip(found[::2], found[1::2], strict=True))
            cursors = _unfinished(cursors, answers)
        return states


def _unfinished(cursors: dict[Any, Any], answers: list[Any]) -> dict[Any, Any]:
    """Return the cursors of the scans that have more to return."""
    return {scanned: cursor for scanned, (cursor, _) in zip(cursors, answers, strict=True) if int(cursor) != 0}


def _named_flush(planned: list[_Placed], position: int, states_in: _States) -> Write:
    """Return a flush of an atomic batch as the write that names all keys; another write as it is."""
    flush = planned[position][1]
    if flush.kind != FLUSH:
        return flush
    directory = flush.keys[0]
    states = states_in[directory]
    payloads = {payloads_of(directory, field) for field, state in states.items() if state.startswith(b"1")}
    timelines: set[bytes] = set(states)
    for _, write in planned[:position]:
        for place, timeline, its_payloads in write.timelines():
            if place == directory:
                timelines.add(as_bytes(timeline))
                payloads.update({as_bytes(its_payloads)} if its_payloads is not None else ())
    return Write(FORGET, flush.bucket, (directory, *timelines, *payloads), None, (len(timelines), True))


def _with_same_payloads(pending: Sequence[_Placed]) -> list[_Placed]:
    """Return the writes so that all of a timeline name its payloads if one does, and are carried out in their order."""
    named = {
        as_bytes(timeline)
        for _, write in pending
        if write.kind not in (FAN_OUT, SHARE)
        for _, timeline, payloads in write.timelines()
        if payloads is not None
    }
    if not named:
        return list(pending)
    result: list[_Placed] = []
    for place, write in pending:
        if write.kind == FAN_OUT:
            result += [(place, one) for one in without(write, named)]
        elif write.is_of_timeline and as_bytes(write.keys[1]) in named:
            result.append((place, with_payloads(write) if len(write.keys) == KEYS_WITHOUT_PAYLOADS else write))
        else:
            result.append((place, write))
    return result


def _declaring(write: Write) -> list[Write]:
    """Return the writes that have the effect of a write, with the payloads of all its timelines among their keys."""
    if write.kind == SHARE:
        return parts_of_fan_out(write)
    if write.kind == FAN_OUT:
        return [with_payloads(one) for one in parts_of_fan_out(write)]
    if write.kind == FORGET:
        directory, *keys = write.keys
        timelines = keys[: write.arguments[0]]
        touched = (directory, *timelines, *(payloads_of(directory, key) for key in timelines))
        return [write._replace(keys=touched)]
    if write.is_of_timeline:
        return [with_payloads(write) if len(write.keys) == KEYS_WITHOUT_PAYLOADS else write._replace(may_replace=True)]
    return [write]


def _rest(write: Write, answer: list[Any]) -> list[Write]:
    """Return the write that finishes a write, by the marker in place of its count."""
    if answer[0] == _TRIM:
        return [finishing(write)]
    if answer[0] == _REST:
        return [remaining(write, answer[2])]
    if answer[0] == _AGAIN:
        return _declaring(write)
    singles = parts_of_fan_out(write)
    return [
        *(with_payloads(singles[position]) for position in answer[2]),
        *(finishing(singles[position]) for position in answer[3]),
        *(reading_shares(write, answer[4]) if len(answer) > _PARTS else ()),
    ]


def _check_work(work: int) -> None:
    if work > MOST_ATOMIC_WORK:
        raise _too_much(
            f"this one is estimated at {work // 1000} milliseconds, and {MOST_ATOMIC_WORK // 1000} is the bound"
        )


def _too_much(reason: str) -> AtomicityError:
    return AtomicityError(
        "an atomic batch on Redis is one script, and the server answers no other client while it runs; "
        f"{reason}: make smaller batches, or leave atomic=True out"
    )

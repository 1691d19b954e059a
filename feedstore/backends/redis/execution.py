"""The execution of writes: many short scripts, or one that is all or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any

from feedstore.backends.redis.batch import FLUSH, FORGET, Write, in_one_script, in_scripts, work_of
from feedstore.backends.redis.command import Command
from feedstore.backends.redis.keys import Keys
from feedstore.errors import AtomicityError, StorageUnavailableError

if TYPE_CHECKING:
    from feedstore.backends.redis.store import Store

MOST_ATOMIC_WORK = 20_000
"""The work of a script that is an atomic batch."""

MOST_FLUSHED_ATOMICALLY = 2000
"""How many timelines an atomic batch may flush."""

_FLUSHED_PER_TRIP = 250
_AGAIN, _TRIM, _TOO_MANY = b"AGAIN", b"TRIM", b"TOO_MANY"
_TRIM_AFTER_ADD = "finish"
_ATTEMPTS = 20
_KEYS_OF_TIMELINE = 2
_States = dict["str | bytes", dict[bytes, bytes]]


class Execution:
    """Carries out writes of one namespace."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys

    def spread(self, writes: Sequence[Write]) -> list[int]:
        """Carry out writes in order, in scripts of a few milliseconds each, and return what each counts.

        One round trip; a second one where timelines have payloads that their writes did not name, or have more entries
        to drop than one script may. A flush is two for each 250 timelines of a bucket.
        """
        counts = [0] * len(writes)
        for is_flush, places in groupby(range(len(writes)), lambda place: writes[place].kind == FLUSH):
            if is_flush:
                self._flush({writes[place].bucket for place in places})
            else:
                self._run({place: writes[place] for place in places}, counts)
        return counts

    def _run(self, pending: dict[int, Write], counts: list[int]) -> None:
        if len(pending) > 1:
            self._declare_same_payloads(pending)
        while pending:
            order = list(pending)
            commands, places = in_scripts(self._keys, list(pending.values()), self._store.expiry)
            answers = chain.from_iterable(self._store.write(self._keys, commands))
            left: dict[int, Write] = {}
            for place, answer in zip((order[place] for place in places), answers, strict=True):
                write, count = pending[place], answer or 0
                if isinstance(answer, list):
                    what, count = answer
                    left[place] = _trimming(write) if what == _TRIM else self._with_payloads(write)
                if write.kind != _TRIM_AFTER_ADD:
                    counts[place] += count
            pending = {place: left[place] for place in sorted(left)}

    def _declare_same_payloads(self, pending: dict[int, Write]) -> None:
        """Let all writes of a timeline name its payloads if one does, so that all are carried out in their order."""
        named = {write.keys[1] for write in pending.values() if _is_of_timeline(write) and _names_payloads(write)}
        if named:
            for place, write in pending.items():
                if _is_of_timeline(write) and write.keys[1] in named:
                    pending[place] = self._with_payloads(write)

    def _with_payloads(self, write: Write) -> Write:
        """Return a write with the payloads of its timelines among its keys."""
        if _names_payloads(write):
            return write
        timelines = write.keys[1 : 1 + write.arguments[0]] if write.kind == FORGET else write.keys[1:2]
        return write._replace(keys=(write.keys[0], *timelines, *(self._keys.payloads_of(key) for key in timelines)))

    def _flush(self, buckets: set[int]) -> None:
        cursors: dict[int, Any] = dict.fromkeys(sorted(buckets), b"0")
        while cursors:
            answers = self._store.send([self._scan(bucket, cursor) for bucket, cursor in cursors.items()])
            writes: list[Write] = []
            for bucket, (_, found) in zip(cursors, answers, strict=True):
                writes += self._forgetting(bucket, found)
            self._run(dict(enumerate(writes)), [0] * len(writes))
            cursors = _unfinished(cursors, answers)

    def _scan(self, bucket: int, cursor: Any) -> Command:
        directory = self._keys.directories[bucket]
        return Command(self._keys.tag(bucket), ("HSCAN", directory, cursor, "COUNT", _FLUSHED_PER_TRIP))

    def _forgetting(self, bucket: int, found: list[bytes]) -> list[Write]:
        """Return the writes that remove the timelines of a part of a directory, given as fields and states."""
        keys, directory = self._keys, self._keys.directories[bucket]
        states = dict(zip(found[::2], found[1::2], strict=True))
        damaged = [field for field in states if not keys.is_timeline(bucket, field)]
        if damaged:
            self._store.ask(Command(keys.tag(bucket), ("HDEL", directory, *damaged), writes=True))
        timelines = [field for field in states if keys.is_timeline(bucket, field)]
        writes = []
        for first in range(0, len(timelines), _FLUSHED_PER_TRIP):
            part = timelines[first : first + _FLUSHED_PER_TRIP]
            payloads = [keys.payloads_of(field) for field in part if states[field].startswith(b"1")]
            writes.append(Write(FORGET, bucket, (directory, *part, *payloads), None, (len(part), False)))
        return writes

    def at_once(self, writes: Sequence[Write], further: Sequence[Keys] = ()) -> list[Any]:
        """Carry out writes in one script, all or none, and return what each counts.

        On one server the writes may be of ``further`` namespaces too. One round trip; more where timelines have
        payloads that their writes did not name, or something is flushed. Raises :class:`AtomicityError` for more work
        than one script may be, before anything is written.
        """
        _check_work(work_of(writes))
        named: set[int] = set()
        for _ in range(_ATTEMPTS):
            planned = {
                place: self._with_payloads(write) if place in named and write.kind != FLUSH else write
                for place, write in enumerate(writes)
            }
            self._declare_same_payloads(planned)
            states = self._states_in({write.keys[0]: write.bucket for write in writes if write.kind == FLUSH})
            planned = {place: self._named_flush(planned, place, states) for place in planned}
            command = in_one_script(self._keys, list(planned.values()), self._store.expiry, True, further)
            (counts,) = self._store.write(self._keys, [command], further)
            if counts[0] == _TOO_MANY:
                raise _too_much(f"it would trim {counts[1]} entries, and 4,000 is the bound")
            if counts[0] != _AGAIN:
                return list(counts)
            named.update(counts[1])
        raise StorageUnavailableError(
            f"{self._store.label}: timelines changed {_ATTEMPTS} times while an atomic batch was to flush them"
        )

    def _named_flush(self, planned: dict[int, Write], place: int, states_in: _States) -> Write:
        """Return a flush of an atomic batch as the write that names all keys; another write as it is."""
        flush = planned[place]
        if flush.kind != FLUSH:
            return flush
        directory = flush.keys[0]
        states = states_in[directory]
        payloads = {self._keys.payloads_of(field) for field, state in states.items() if state.startswith(b"1")}
        timelines: set[Any] = set(states)
        for other, write in planned.items():
            if other < place and _is_of_timeline(write) and write.keys[0] == directory:
                timelines.add(_as_bytes(write.keys[1]))
                payloads.update(map(_as_bytes, write.keys[_KEYS_OF_TIMELINE:]))
        return Write(FORGET, flush.bucket, (directory, *timelines, *payloads), None, (len(timelines), True))

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


def _trimming(write: Write) -> Write:
    kind = "trim" if write.kind == "trim" else _TRIM_AFTER_ADD
    return write._replace(kind=kind, items=None, arguments=write.arguments[-1:])


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


def _is_of_timeline(write: Write) -> bool:
    return write.kind in ("add", "remove", "trim", "delete", _TRIM_AFTER_ADD)


def _names_payloads(write: Write) -> bool:
    if write.kind == FORGET:
        return len(write.keys) == 1 + 2 * int(write.arguments[0])
    return len(write.keys) > _KEYS_OF_TIMELINE


def _as_bytes(key: str | bytes) -> bytes:
    return key if isinstance(key, bytes) else key.encode()

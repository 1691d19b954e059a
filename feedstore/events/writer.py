"""Saving and removing stored events, with all entries of their indexes."""

from __future__ import annotations

import itertools
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from feedstore.errors import AtomicityError, ConditionFailedError, StorageTimeoutError
from feedstore.events.event import Event
from feedstore.events.layout import (
    CHUNK,
    COLLECTION,
    DAYS,
    FLAGS,
    SAVES,
    SECONDS_A_DAY,
    VERSIONS,
    EntryIds,
    EntrySerializer,
    EventSerializer,
    IndexEntry,
    StoredEvent,
    all_key,
    body_id_of,
    day_of,
    entry_of,
    flag_days_key,
    flag_key,
    named,
    save_entry,
    sources_key,
)
from feedstore.ids import id_to_bytes
from feedstore.storage import AtomicScope, Backend, Batch

MOST_SAVES = 10_000
"""The number of saves that a live search may have to read in one step."""
_LARGE_SAVE = 50
_MOST_LARGE_SAVES = 1000
"""The number of saves that the store records after a large one, whose record takes up to 8,000 bytes."""
_STRIPES = 256
_VERSION_BYTES = 8
_ATTEMPTS = 1000
_ATTEMPTS_TOGETHER = 8
"""The number of attempts after which a chunk is split, because other processes change some of its events."""
_Step = Callable[[Batch], object]
_Part = TypeVar("_Part")


class EventWriter:
    """The writes of an event store.

    On a backend whose atomic batches hold any writes, each chunk is one atomic batch. Elsewhere the body of an event is
    its point of commit: the index entries are written before it, and the entries of the replaced event are removed
    after it. Readers ignore entries that do not belong to the stored body, so no reader sees a part of a save.

    Replacing and removing depend on an earlier read. Where atomic batches may have preconditions, a stripe of ids has
    a version in a key-value storage, which these batches require and change. There, a save of an event of a day that is
    over changes the version of that day too, so that a day is removed from an index only if no save adds to it.
    """

    def __init__(self, backend: Backend) -> None:
        abilities = backend.abilities
        self.backend = backend
        self.bodies = backend.activity_storage(EventSerializer, name=COLLECTION)
        self.index = backend.timeline_storage(EntrySerializer, name=COLLECTION)
        self.notifier = backend.notifier(COLLECTION)
        self.is_atomic = abilities.atomic_scope == AtomicScope.BACKEND
        self.is_conditional = self.is_atomic and abilities.conditional_batches
        self._versions = backend.kv_storage(VERSIONS)
        self._entry_ids = EntryIds()

    def save(self, events: Sequence[Event]) -> None:
        """Save up to a chunk of events that have different ids."""
        try:
            for _ in range(_attempts(events)):
                if self._try_to_save(events):
                    self.notifier.publish_stored([SAVES])
                    return
        except AtomicityError:
            # The events together are more work than one atomic batch of this backend may hold.
            if len(events) == 1:
                raise
        if len(events) == 1:
            raise _contended()
        for half in _halves(events):
            self.save(half)

    def remove(self, stored: Sequence[StoredEvent]) -> list[StoredEvent]:
        """Remove events that are still stored as they were read, and return those that were."""
        for _ in range(_attempts(stored)):
            versions = self._read_versions([each.body_id for each in stored])
            current = {each.body_id: each.entry for each in self.bodies.get_many([each.body_id for each in stored])}
            same = [each for each in stored if current.get(each.body_id) == each.entry]
            if not same:
                return []
            try:
                counts = self._remove(same, versions)
            except ConditionFailedError:
                continue
            # Another process may have removed a single event between the reading and this removal.
            return [] if len(same) == 1 and counts == 0 else same
        if len(stored) == 1:
            raise _contended()
        return [each for half in _halves(stored) for each in self.remove(half)]

    def _try_to_save(self, events: Sequence[Event]) -> bool:
        """Save events; return False if another process changed an event that this one replaces."""
        ids = [body_id_of(event.id) for event in events]
        replaced = self.bodies.get_many(ids)
        versions = self._read_versions([each.body_id for each in replaced])
        if replaced and self.is_conditional:
            replaced = self.bodies.get_many([each.body_id for each in replaced])
        take = self._entry_ids.take
        stored = [
            StoredEvent(body_id, entry_of(event.timestamp, take()), event)
            for body_id, event in zip(ids, events, strict=True)
        ]
        steps = self._steps_of_save(stored, replaced)
        try:
            if self.is_atomic:
                self._write_together(steps, versions)
            else:
                self._write_in_order(steps)
        except ConditionFailedError:
            return False
        return True

    def _steps_of_save(self, stored: list[StoredEvent], replaced: list[StoredEvent]) -> list[_Step]:
        """Return the writes of a save as functions of a batch, in the order that keeps every reader consistent."""
        entries = _index_entries(stored)
        gone = _keys_of(replaced)
        most_saves = MOST_SAVES if len(stored) <= _LARGE_SAVE else min(MOST_SAVES, _MOST_LARGE_SAVES)
        # Changing versions is no precondition, so saves of one day do not exclude each other.
        tokens = {key: secrets.token_bytes(_VERSION_BYTES) for key in self._day_keys(stored)}

        def clean(batch: Batch) -> None:
            for key, ids in gone.items():
                self.index.remove_many(key, ids, batch_interface=batch)
            # Its time is that of the last step, so that a live search finds the record of a slow save.
            saved = save_entry(each.body_id for each in stored)
            self.index.add_to_many([SAVES], [saved], max_length=most_saves, batch_interface=batch)

        def add(batch: Batch) -> None:
            for key, token in tokens.items():
                self._versions.upsert(key, token, batch_interface=batch)
            self.index.add_to_each(entries, batch_interface=batch)

        return [
            add,
            lambda batch: self.bodies.add_many(stored, batch_interface=batch),
            clean,
        ]

    def _remove(self, stored: Sequence[StoredEvent], versions: dict[str, bytes | None]) -> int | None:
        """Remove bodies and then their entries; return how many bodies were there, None without exact counts."""
        gone = _keys_of(stored)

        def clean(batch: Batch) -> None:
            for key, ids in gone.items():
                self.index.remove_many(key, ids, batch_interface=batch)

        steps = [lambda batch: self.bodies.remove_many([each.body_id for each in stored], batch_interface=batch), clean]
        if self.is_atomic:
            return self._write_together(steps, versions)
        return self._write_in_order(steps)

    def _day_keys(self, stored: Iterable[StoredEvent]) -> list[str]:
        """Return the keys of the versions of the days of events that are over; nothing without preconditions."""
        if not self.is_conditional:
            return []
        today = time.time() - SECONDS_A_DAY
        return sorted({_day_key(day_of(event.timestamp)) for _, _, event in stored if event.timestamp < today})

    def day_version(self, day: int) -> bytes | None:
        """Return the version of a day: saves change it once the day is over. One round trip."""
        return self._versions.fetch_many([_day_key(day)]).get(_day_key(day))

    def drop_day(
        self, day: int, version: bytes | None, directories: Iterable[str], keys: Iterable[str]
    ) -> bytes | None:
        """Remove a day from directories, and delete timelines.

        Returns:
            The day's new version, or None if another process has changed the version: then nothing is removed.
        """
        key, token = _day_key(day), secrets.token_bytes(_VERSION_BYTES)
        try:
            with self.backend.batch(atomic=True) as batch:
                if version is None:
                    self._versions.insert(key, token, batch_interface=batch)
                else:
                    self._versions.replace(key, version, token, batch_interface=batch)
                for directory in directories:
                    self.index.remove_many(directory, [day], batch_interface=batch)
                for timeline in keys:
                    self.index.delete(timeline, batch_interface=batch)
        except ConditionFailedError:
            return None
        return token

    def _write_together(self, steps: Sequence[_Step], versions: dict[str, bytes | None]) -> int | None:
        """Write all steps in one atomic batch, and return the result of the first write."""
        with self.backend.batch(atomic=True) as batch:
            for key, version in versions.items():
                if version is None:
                    self._versions.insert(key, _next_version(version), batch_interface=batch)
                else:
                    self._versions.replace(key, version, _next_version(version), batch_interface=batch)
            for step in steps:
                step(batch)
        first: int | None = batch.results[len(versions)]
        return first

    def _write_in_order(self, steps: Sequence[_Step]) -> int | None:
        """Write each step in a batch of its own, and return the result of the first write."""
        results: list[int | None] = []
        for step in steps:
            with self.backend.batch() as batch:
                step(batch)
            results += batch.results
        return results[0]

    def _read_versions(self, body_ids: Iterable[int]) -> dict[str, bytes | None]:
        """Return the versions of the stripes of ids, None for those that have none; nothing without preconditions."""
        if not self.is_conditional:
            return {}
        keys = sorted({f"version:{body_id % _STRIPES:02x}" for body_id in body_ids})
        found = self._versions.fetch_many(keys) if keys else {}
        return {key: found.get(key) for key in keys}


def _index_entries(stored: Iterable[StoredEvent]) -> dict[str, list[IndexEntry]]:
    """Return the entries of all indexes for stored events, by the key of the timeline."""
    entries: dict[str, list[IndexEntry]] = defaultdict(list)
    # By day, and by day and flag, because making a key costs more than keeping an entry.
    of_days: dict[int, list[IndexEntry]] = {}
    of_flags: dict[tuple[int, str], list[IndexEntry]] = {}
    sources: set[tuple[int, str]] = set()
    for body_id, entry, event in stored:
        day = day_of(event.timestamp)
        one = IndexEntry(entry, id_to_bytes(body_id))
        sources.add((day, event.source))
        found = of_days.get(day)
        if found is None:
            found = of_days[day] = entries[all_key(day)]
            entries[DAYS].append(IndexEntry(day, b""))
        found.append(one)
        for flag in event.tags:
            found = of_flags.get((day, flag))
            if found is None:
                found = of_flags[day, flag] = entries[flag_key(flag, day)]
                entries[flag_days_key(flag)].append(IndexEntry(day, b""))
            found.append(one)
    entries[FLAGS] = [named(flag) for flag in dict.fromkeys(flag for _, flag in of_flags)]
    for day, source in sources:
        entries[sources_key(day)].append(named(source))
    return {key: found for key, found in entries.items() if found}


def _keys_of(stored: Iterable[StoredEvent]) -> dict[str, list[int]]:
    """Return the ids of the entries of stored events, by the key of the timeline."""
    keys: dict[str, list[int]] = defaultdict(list)
    for _, entry, event in stored:
        day = day_of(event.timestamp)
        keys[all_key(day)].append(entry)
        for flag in event.tags:
            keys[flag_key(flag, day)].append(entry)
    return keys


def _day_key(day: int) -> str:
    return f"day:{day % _STRIPES:02x}"


def _attempts(some: Sequence[object]) -> int:
    return _ATTEMPTS if len(some) == 1 else _ATTEMPTS_TOGETHER


def _halves(some: Sequence[_Part]) -> tuple[Sequence[_Part], Sequence[_Part]]:
    middle = len(some) // 2
    return some[:middle], some[middle:]


def _next_version(version: bytes | None) -> bytes:
    return (int.from_bytes(version or b"", "big") + 1).to_bytes(8, "big")


def _contended() -> StorageTimeoutError:
    return StorageTimeoutError(f"other processes changed the same events {_ATTEMPTS} times during the write; try again")


def chunks_of(events: Iterable[Event]) -> Iterator[tuple[int, list[Event]]]:
    """Yield ``(number, events)`` of up to :data:`CHUNK` events; of events with one id in a chunk, the last is kept."""
    iterator = iter(events)
    while chunk := list(itertools.islice(iterator, CHUNK)):
        yield len(chunk), list({event.id: event for event in chunk}.values())

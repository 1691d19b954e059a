"""Timelines in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from feedstore.backends.memory.entries import Entries
from feedstore.backends.memory.journal import Journal
from feedstore.backends.memory.session import MemorySession
from feedstore.errors import InvalidTypeError
from feedstore.shown import shown
from feedstore.storage import Bounds, TimelineStorage
from feedstore.storage.page import EntryColumns
from feedstore.storage.session import AUTOCOMMIT, Pending, Transaction
from feedstore.storage.timeline_hooks import Entry, Limits

_NO_ENTRIES = Entries()
_NONE: list[int] = []


class InMemoryTimelineStorage(TimelineStorage):
    """A timeline storage over sorted lists of ids. ``InMemoryTimelineStorage()`` alone makes a private store.

    Adds, removals, ``index_of`` and ``contains`` cost O(log n) in a timeline of n, ``count`` and the floor O(1), and
    slices O(log n + result) at any depth.
    """

    session: MemorySession

    def _private_session(self) -> MemorySession:
        return MemorySession()

    def _check_payloads(self, entries: Iterable[tuple[int, Any]]) -> None:
        """Accept any object of the serializer: memory can keep all of them."""

    def _entries(self, key: str) -> Entries:
        return self.session.space.timelines.get(key, _NO_ENTRIES)

    def add_to_storage(
        self, key: str, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """Add entries, with O(log n) work for each."""
        return self.session.write(self._add_several_to_many, [key], serialized_activities, None)

    def _entries_to_write(self, key: str) -> Entries:
        timelines = self.session.space.timelines
        entries = timelines.get(key)
        if entries is None:
            entries = timelines[key] = Entries()
        return entries

    def _add_to_many(
        self,
        keys: list[str],
        serialized: Mapping[int, bytes],
        max_length: int | None,
        transaction: Transaction = AUTOCOMMIT,
    ) -> Pending[int | None]:
        """Add entries to many timelines under one lock, with O(log n) work for each delivery."""
        add = self._add_several_to_many if len(serialized) > 1 else self._add_one_to_many
        return self.session.write(add, keys, serialized, max_length)

    def _add_one_to_many(
        self,
        journal: Journal,
        keys: list[str],
        serialized: Mapping[int, bytes],
        max_length: int | None,
        max_per_payload: int | None = None,
        slack: int = 0,
    ) -> int:
        ((activity_id, payload),) = serialized.items()
        added, timelines = 0, self.session.space.timelines
        longest = (max_length or 0) + slack
        for key in keys:
            entries = timelines.get(key)
            if entries is None:
                entries = timelines[key] = Entries()
            added += entries.add_one(journal, activity_id, payload)
            if slack:
                if len(entries.ids) <= longest:
                    continue
                entries.limit_all(journal, max_per_payload)
            elif max_per_payload is not None:
                entries.limit_one(journal, payload, max_per_payload)
            if max_length is not None:
                entries.trim(journal, max_length)
        return added

    def _add_several_to_many(
        self, journal: Journal, keys: list[str], serialized: Mapping[int, bytes], max_length: int | None
    ) -> int:
        added = 0
        for key in keys:
            entries = self._entries_to_write(key)
            added += len(entries.add(journal, serialized))
            if max_length is not None:
                entries.trim(journal, max_length)
        return added

    def _add_to_each(
        self, deliveries: Mapping[str, Mapping[int, bytes]], limits: Limits, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """Add entries under one lock, with O(log n) work for each delivery.

        With ``slack``, a delivery that applies the limits to a timeline of n entries costs O(n). Without it, the first
        delivery with ``max_per_payload`` does.
        """
        if limits.max_per_payload is not None or limits.slack:
            different = list({id(each): each for each in deliveries.values()}.values())
            for serialized in different:
                for payload in serialized.values():
                    if payload.__class__ is not bytes and limits.max_per_payload is not None:
                        raise InvalidTypeError(
                            f"max_per_payload compares payloads of bytes, but the serializer returned {shown(payload)}"
                        )
            if len(different) == len(different[0]) == 1 and not limits.companions:
                max_length, most, slack = limits.max_length, limits.max_per_payload, limits.slack
                return self.session.write(
                    self._add_one_to_many, list(deliveries), different[0], max_length, most, slack
                )
        return self.session.write(self._deliver_to_each, deliveries, limits)

    def _deliver_to_each(self, journal: Journal, deliveries: Mapping[str, Mapping[int, bytes]], limits: Limits) -> int:
        max_length, max_per_payload, suffixes, slack = limits
        added, timelines = 0, self.session.space.timelines
        for key, serialized in deliveries.items():
            entries = timelines.get(key)
            if entries is None:
                entries = timelines[key] = Entries()
            new, dropped = entries.add(journal, serialized), _NONE
            if slack:
                if len(entries) > (max_length or 0) + slack:
                    entries.limit_all(journal, max_per_payload)
                    entries.trim(journal, max_length or 0)
            elif max_per_payload is not None:
                dropped = entries.limit(journal, serialized.values(), max_per_payload)
            if max_length is not None and not slack:
                dropped = dropped + entries.trim(journal, max_length)
            added += len(new)
            if suffixes and (new or dropped):
                arrived = {activity_id: serialized[activity_id] for activity_id in new}
                for suffix in suffixes:
                    companion = self._entries_to_write(key + suffix)
                    companion.add(journal, arrived)
                    companion.remove(journal, dropped)
        return added

    def remove_from_storage(
        self, key: str, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """Remove entries, with O(log n) work for each."""
        return self._remove_from_many([key], serialized_activities, transaction)

    def _remove_from_many(
        self, keys: list[str], serialized: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        return self.session.write(self._remove_entries, keys, serialized)

    def _remove_entries(self, journal: Journal, keys: list[str], serialized: Mapping[int, bytes]) -> int:
        return sum(self._entries(key).remove(journal, serialized) for key in keys)

    def _get_slice(self, key: str, start: int, stop: int | None, bounds: Bounds, descending: bool) -> list[Entry]:
        """Return a slice, with O(log n + result) work."""
        with self.session.lock:
            return self._entries(key).slice(start, stop, bounds, descending)

    def _get_many_slices(
        self, keys: list[str], start: int, stop: int | None, bounds: Bounds, descending: bool
    ) -> dict[str, list[tuple[int, bytes]]]:
        with self.session.lock:
            timelines = self.session.space.timelines
            return {key: timelines[key].slice(start, stop, bounds, descending) for key in keys if key in timelines}

    def _get_many_pages(
        self, keys: list[str], limit: int, bounds: Bounds, descending: bool
    ) -> dict[str, tuple[list[tuple[int, bytes]], int | None]]:
        with self.session.lock:
            return {key: self._get_page(key, limit, bounds, descending) for key in keys}

    def _get_columns(self, key: str, limit: int, bounds: Bounds) -> EntryColumns:
        with self.session.lock:
            entries = self._entries(key)
            return EntryColumns(*entries.columns(limit, bounds), entries.floor())

    def get_index_of(self, key: str, activity_id: int) -> int | None:
        """Return a position, with O(log n) work."""
        with self.session.lock:
            return self._entries(key).index_of(activity_id)

    def _contains(self, key: str, activity_id: int) -> bool:
        with self.session.lock:
            return activity_id in self._entries(key).ids

    def _contains_many(self, key: str, activity_ids: list[int]) -> set[int]:
        """Return the ids that a timeline holds, with O(log n) work for each, or O(n) together if they are many."""
        with self.session.lock:
            return set(self._entries(key).present(activity_ids))

    def _count(self, key: str) -> int:
        with self.session.lock:
            return len(self._entries(key))

    def _count_within(self, key: str, bounds: Bounds) -> int:
        """Count entries within bounds, with O(log n) work."""
        with self.session.lock:
            return self._entries(key).count(bounds)

    def _trim(self, key: str, length: int, transaction: Transaction = AUTOCOMMIT) -> Pending[int | None]:
        return self.session.write(self._trim_entries, key, length)

    def _trim_entries(self, journal: Journal, key: str, length: int) -> int:
        return len(self._entries(key).trim(journal, length))

    def _delete(self, key: str, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        return self.session.write(self._remove_timeline, key)

    def _remove_timeline(self, journal: Journal, key: str) -> None:
        journal.remove_item(self.session.space.timelines, key)

    def _floor(self, key: str) -> int | None:
        with self.session.lock:
            return self._entries(key).floor()

    def _keys(self) -> Iterator[str]:
        with self.session.lock:
            keys = [key for key, entries in self.session.space.timelines.items() if len(entries)]
        yield from keys

    def _flush(self, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        return self.session.write(self._remove_all)

    def _remove_all(self, journal: Journal) -> None:
        journal.replace(self.session.space, "timelines", {})

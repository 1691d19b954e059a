"""Timeline storages that are broken in one way each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from feedstore.backends.memory import InMemoryActivityStorage, InMemoryTimelineStorage
from feedstore.storage import ActivityStorage, Bounds
from feedstore.storage.bounds import EVERYTHING
from feedstore.storage.session import AUTOCOMMIT, Pending, Transaction

Entry = tuple[int, bytes]


class FloatOrder(InMemoryTimelineStorage):
    """Orders by the id as a double, as a Redis score is."""

    def _get_slice(self, key: str, start: int, stop: int | None, bounds: Bounds, descending: bool) -> list[Entry]:
        entries = super()._get_slice(key, 0, None, EVERYTHING, False)
        within = [entry for entry in entries if float(bounds.lowest) <= float(entry[0]) <= float(bounds.highest)]
        return sorted(within, key=lambda entry: float(entry[0]), reverse=descending)[start:stop]


class StopIsACount(InMemoryTimelineStorage):
    """Takes the stop for the number of entries that are wanted."""

    def _get_slice(self, key: str, start: int, stop: int | None, bounds: Bounds, descending: bool) -> list[Entry]:
        last = None if stop is None else start + stop
        return super()._get_slice(key, start, last, bounds, descending)


class FilterIsInclusive(InMemoryTimelineStorage):
    """Lets the entry at an excluded bound in."""

    def _get_slice(self, key: str, start: int, stop: int | None, bounds: Bounds, descending: bool) -> list[Entry]:
        wider = bounds if bounds.is_everything else Bounds(bounds.lowest, bounds.highest + 1)
        return super()._get_slice(key, start, stop, wider, descending)


class PositionsBeforeFilter(InMemoryTimelineStorage):
    """Slices first and filters then."""

    def _get_slice(self, key: str, start: int, stop: int | None, bounds: Bounds, descending: bool) -> list[Entry]:
        entries = super()._get_slice(key, start, stop, EVERYTHING, descending)
        return [entry for entry in entries if bounds.lowest <= entry[0] <= bounds.highest]


class OrderingIsIgnored(InMemoryTimelineStorage):
    """Gives every slice newest first."""

    def _get_slice(self, key: str, start: int, stop: int | None, bounds: Bounds, descending: bool) -> list[Entry]:
        return super()._get_slice(key, start, stop, bounds, True)


class DuplicatesCount(InMemoryTimelineStorage):
    """Counts existing entries as new."""

    def add_to_storage(
        self, key: str, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        super().add_to_storage(key, serialized_activities)
        return Pending(len(serialized_activities))


class EditsAreIgnored(InMemoryTimelineStorage):
    """Keeps the payload that was there first."""

    def add_to_storage(
        self, key: str, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        new = {one: data for one, data in serialized_activities.items() if not self._contains(key, one)}
        return super().add_to_storage(key, new)


class LateArrivalsAreDropped(InMemoryTimelineStorage):
    """Refuses entries that are older than the floor."""

    def add_to_storage(
        self, key: str, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        floor = self._floor(key) or 0
        return super().add_to_storage(key, {k: v for k, v in serialized_activities.items() if k >= floor})


class TrimKeepsOneMore(InMemoryTimelineStorage):
    """Is off by one."""

    def _trim(self, key: str, length: int, transaction: Transaction = AUTOCOMMIT) -> Pending[int | None]:
        return super()._trim(key, length + 1)


class TrimKeepsTheOldest(InMemoryTimelineStorage):
    """Trims at the wrong end."""

    def _trim(self, key: str, length: int, transaction: Transaction = AUTOCOMMIT) -> Pending[int | None]:
        newest = self._get_slice(key, 0, max(0, self._count(key) - length), EVERYTHING, True)
        return self.remove_from_storage(key, dict(newest))


class FloorIsLost(InMemoryTimelineStorage):
    """Never says that anything was trimmed."""

    def _floor(self, key: str) -> int | None:
        return None


class FloorIsTheNewestDropped(InMemoryTimelineStorage):
    """Says that the entry which went is still there."""

    def _floor(self, key: str) -> int | None:
        floor = super()._floor(key)
        return None if floor is None else floor - 1


class FloorIsTheOldestKept(InMemoryTimelineStorage):
    """Lets late arrivals lower the floor."""

    def _floor(self, key: str) -> int | None:
        oldest = self._get_slice(key, 0, 1, EVERYTHING, False)
        return oldest[0][0] if oldest and super()._floor(key) is not None else None


class DeleteKeepsTheFloor(InMemoryTimelineStorage):
    """Deletes the entries alone."""

    def _delete(self, key: str, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        self._trim(key, 0)
        return Pending(None)


class RemoveRaisesTheFloor(InMemoryTimelineStorage):
    """Takes a removal for a trim."""

    def remove_from_storage(
        self, key: str, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        removed = super().remove_from_storage(key, serialized_activities)
        entries = self._entries(key)
        if removed.result:
            entries.newest_dropped = max(*serialized_activities, entries.newest_dropped or 0, 0)
        return removed


class CursorSkips(InMemoryTimelineStorage):
    """Begins each page one id too far."""

    def _get_page(self, key: str, limit: int, bounds: Bounds, descending: bool) -> tuple[list[Entry], int | None]:
        skipping = bounds if bounds.is_everything else Bounds(bounds.lowest + 1, bounds.highest - 1)
        return super()._get_page(key, limit, skipping, descending)


class CursorRepeats(InMemoryTimelineStorage):
    """Begins each page with the entry that the one before ended with."""

    def _get_page(self, key: str, limit: int, bounds: Bounds, descending: bool) -> tuple[list[Entry], int | None]:
        return super()._get_page(key, limit, Bounds(bounds.lowest - 1, bounds.highest + 1), descending)


class IndexFromTheOldest(InMemoryTimelineStorage):
    """Counts positions from the wrong end."""

    def get_index_of(self, key: str, activity_id: int) -> int | None:
        position = super().get_index_of(key, activity_id)
        return None if position is None else self._count(key) - 1 - position


class IndexOfTheAbsent(InMemoryTimelineStorage):
    """Gives the position at which an absent id would stand."""

    def get_index_of(self, key: str, activity_id: int) -> int | None:
        return len(self._get_slice(key, 0, None, Bounds(lowest=activity_id + 1), True))


class CountGoesUpOnly(InMemoryTimelineStorage):
    """Keeps a counter that removals forget."""

    def _count(self, key: str) -> int:
        return super()._count(key) + (1 if super()._floor(key) is None and not len(self._entries(key)) else 0)


class KeysOfEmptyTimelines(InMemoryTimelineStorage):
    """Yields timelines that have lost all their entries."""

    def _keys(self) -> Iterator[str]:
        with self.session.lock:
            keys = list(self.session.space.timelines)
        yield from keys


class KeysAreCut(InMemoryTimelineStorage):
    """Ends a key at its first NUL, as a C string."""

    def add_to_storage(
        self, key: str, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        return super().add_to_storage(key.partition("\0")[0], serialized_activities)


class FanOutCountsWhatStayed(InMemoryTimelineStorage):
    """Counts deliveries after trimming."""

    def _add_to_many(
        self,
        keys: list[str],
        serialized: Mapping[int, bytes],
        max_length: int | None,
        transaction: Transaction = AUTOCOMMIT,
    ) -> Pending[int | None]:
        before = sum(map(self._count, keys))
        super()._add_to_many(keys, serialized, max_length)
        return Pending(sum(map(self._count, keys)) - before)


class FanOutTrimsTheFirst(InMemoryTimelineStorage):
    """Trims one timeline of many."""

    def _add_to_many(
        self,
        keys: list[str],
        serialized: Mapping[int, bytes],
        max_length: int | None,
        transaction: Transaction = AUTOCOMMIT,
    ) -> Pending[int | None]:
        added = super()._add_to_many(keys, serialized, None)
        if max_length is not None:
            self._trim(keys[0], max_length)
        return added


class FanOutDeliversWhatFits(InMemoryTimelineStorage):
    """Keeps the first that came instead of the newest."""

    def _add_to_many(
        self,
        keys: list[str],
        serialized: Mapping[int, bytes],
        max_length: int | None,
        transaction: Transaction = AUTOCOMMIT,
    ) -> Pending[int | None]:
        room = [key for key in keys if max_length is None or self._count(key) < max_length]
        return super()._add_to_many(room, serialized, max_length) if room else Pending(0)


class RemovesFromTheFirst(InMemoryTimelineStorage):
    """Removes from one timeline of many."""

    def _remove_from_many(
        self, keys: list[str], serialized: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        return super()._remove_from_many(keys[:1], serialized)


class ManySlicesInAnyOrder(InMemoryTimelineStorage):
    """Slices many timelines newest first in any ordering."""

    def _get_many_slices(
        self, keys: list[str], start: int, stop: int | None, bounds: Bounds, descending: bool
    ) -> dict[str, list[Entry]]:
        return super()._get_many_slices(keys, start, stop, bounds, True)


class HydratesFromItsOwnBackend(InMemoryTimelineStorage):
    """Hydrates from its own activities, not from the given storage."""

    def _get_hydrated_slice(
        self, activities: ActivityStorage, key: str, start: int, stop: int | None, bounds: Bounds, descending: bool
    ) -> list[tuple[int, bytes | None]]:
        own = InMemoryActivityStorage(backend=self.session)
        return super()._get_hydrated_slice(own, key, start, stop, bounds, descending)


class HydratedPagesSkipTheGone(InMemoryTimelineStorage):
    """Leaves removed activities out of the counts of pages."""

    def _get_hydrated_slice(
        self, activities: ActivityStorage, key: str, start: int, stop: int | None, bounds: Bounds, descending: bool
    ) -> list[tuple[int, bytes | None]]:
        entries = super()._get_hydrated_slice(activities, key, start, stop, bounds, descending)
        return [entry for entry in entries if entry[1] is not None]


class FlushLeavesOne(InMemoryTimelineStorage):
    """Flushes all timelines but one."""

    def _flush(self, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        for key in sorted(self._keys())[1:]:
            self._delete(key)
        return Pending(None)


class FlushTakesActivities(InMemoryTimelineStorage):
    """Flushes another storage too."""

    def _flush(self, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        InMemoryActivityStorage(backend=self.session).flush()
        return super()._flush()


class LosesConcurrentAdds(InMemoryTimelineStorage):
    """Reads, changes and writes back without a lock."""

    def add_to_storage(
        self, key: str, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        entries = dict(self._get_slice(key, 0, None, EVERYTHING, True))
        new = len(serialized_activities.keys() - entries.keys())
        self.session.yield_to_other_threads()  # type: ignore[attr-defined]
        with self.session.lock:
            floor = self._entries(key).newest_dropped
            self._delete(key)
            super().add_to_storage(key, {**entries, **serialized_activities})
            self._entries(key).newest_dropped = floor
        return Pending(new)


MUTANTS: tuple[type[InMemoryTimelineStorage], ...] = tuple(
    mutant for mutant in list(globals().values()) if isinstance(mutant, type) and mutant.__module__ == __name__
)

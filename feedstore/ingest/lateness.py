"""Deliveries that come too late: older than the last entry of a full timeline."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import pairwise

from feedstore.activity import Activity
from feedstore.ingest.chunk import Chunk
from feedstore.storage import TimelineStorage

Row = tuple[Activity, tuple[str, ...]]


class LateDeliveries:
    """Counts the deliveries that find ``max_length`` newer entries in their timeline, and are trimmed at once.

    They are counted row by row, as if each row were delivered on its own, rows that repeat within a chunk once, and as
    the store is before the chunk; what others write meanwhile is not seen.

    An input in the order of time, or nearly so, costs one look at each reader's newest entry and nothing more: a row
    can come too late only if it is older than something that was stored before, or if ``max_length`` newer rows came
    before it. Then the last entries of its readers' timelines are looked at; where the rows of the chunk are out of
    order, all their newer entries.
    """

    def __init__(self, timelines: TimelineStorage, max_length: int) -> None:
        self._timelines = timelines
        self._max_length = max_length
        self._newest_stored = -1
        self._newest_rows: list[int] = []
        self._readers_seen: set[str] = set()
        self._groups_seen: set[int] = set()

    def count(self, chunk: Chunk) -> int:
        """Return how many deliveries of a chunk come too late; to be called once for each, before it is stored."""
        self._look_at_new_readers(chunk)
        rows = [(activity, readers) for activity, readers in chunk if readers]
        late = self._late_rows(rows)
        if not late:
            return 0
        if _is_in_order(rows):
            return self._count_older_than_last(late)
        return self._count_in_turn(rows, late)

    def _look_at_new_readers(self, chunk: Chunk) -> None:
        new: dict[str, None] = {}
        for _, readers in chunk:
            if id(readers) not in self._groups_seen:
                self._groups_seen.add(id(readers))
                new.update(dict.fromkeys(key for key in readers if key not in self._readers_seen))
        if new:
            self._readers_seen.update(new)
            slices = self._timelines.get_many_slices(new, 0, 1)
            stored = [entries[0].serialization_id for entries in slices.values() if entries]
            self._newest_stored = max([self._newest_stored, *stored])

    def _late_rows(self, rows: Iterable[Row]) -> list[Row]:
        """Return the rows that may come too late for one of their readers."""
        late = []
        newest = self._newest_rows
        for row in rows:
            activity_id = row[0].serialization_id
            index = bisect_left(newest, activity_id)
            if activity_id <= self._newest_stored or len(newest) - index >= self._max_length:
                late.append(row)
            newest.insert(index, activity_id)
        del newest[: -self._max_length]
        return late

    def _count_older_than_last(self, late: list[Row]) -> int:
        """Count where the rows of the chunk are in order: then none of them pushes out one that comes behind it."""
        slices = self._timelines.get_many_slices(_keys_of(late), self._max_length - 1, self._max_length)
        last = {key: entries[0].serialization_id for key, entries in slices.items() if entries}
        return sum(activity.serialization_id < last.get(key, 0) for activity, readers in late for key in readers)

    def _count_in_turn(self, rows: list[Row], late: list[Row]) -> int:
        """Count by carrying the deliveries out, one after the other, on the ids that each timeline holds."""
        oldest = min(activity.serialization_id for activity, _ in late)
        slices = self._timelines.get_many_slices(
            _keys_of(late), 0, self._max_length, filter_kwargs={"activity_id__gte": oldest}
        )
        held = {key: [entry.serialization_id for entry in reversed(entries)] for key, entries in slices.items()}
        return sum(
            self._is_pushed_out(held[key], activity.serialization_id)
            for activity, readers in rows
            for key in readers
            if key in held
        )

    def _is_pushed_out(self, held: list[int], activity_id: int) -> bool:
        """Return whether a full timeline holds newer ids alone; else put this one into it."""
        index = bisect_left(held, activity_id)
        if index < len(held) and held[index] == activity_id:
            return False
        if len(held) - index >= self._max_length:
            return True
        held.insert(index, activity_id)
        del held[: -self._max_length]
        return False


def _is_in_order(rows: list[Row]) -> bool:
    ids = [activity.serialization_id for activity, _ in rows]
    return all(earlier < later for earlier, later in pairwise(ids))


def _keys_of(rows: Iterable[Row]) -> Iterable[str]:
    return dict.fromkeys(key for _, readers in rows for key in readers)

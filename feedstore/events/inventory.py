"""The indexes of an event store as a whole: counts, names, and the removal of empty parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from feedstore.events.layout import (
    CHUNK,
    DAYS,
    FLAGS,
    IndexEntry,
    all_key,
    day_of,
    first_entry,
    flag_days_key,
    flag_key,
    last_entry,
    sources_key,
)
from feedstore.events.query import Query
from feedstore.events.writer import EventWriter
from feedstore.ids import id_from_bytes
from feedstore.storage import Filter


class Inventory:
    """Counts, names, and the removal of empty parts, over the indexes that the writer keeps."""

    def __init__(self, writer: EventWriter) -> None:
        self._writer = writer
        self._index = writer.index

    def count(self, query: Query) -> int:
        """Return the number of index entries within the bounds of a query that has one flag at most."""
        first, last = day_of(query.start), day_of(query.end)
        flag = query.flags[0] if query.flags else None
        within: Filter = {
            "activity_id__gte": first_entry(query.start),
            "activity_id__lte": last_entry(query.end),
        }
        total = 0
        for day in self._days(flag, first, last):
            is_whole = first < day < last
            total += self._index.count(_key(flag, day), None if is_whole else within)
        return total

    def sources(self) -> list[str]:
        """Return the names of the sources, sorted."""
        return sorted({name for day in self._days(None) for name in self._names(sources_key(day))})

    def flags(self) -> list[str]:
        """Return the flags that at least one event carries, sorted."""
        return sorted(flag for flag in self._names(FLAGS) if self._is_used(flag))

    def _is_used(self, flag: str) -> bool:
        return any(self._index.count(flag_key(flag, day)) for day in self._days(flag))

    def _names(self, key: str) -> Iterator[str]:
        for entry in self._walk(key):
            yield entry.payload.decode()

    def _days(self, flag: str | None, first: int = 0, last: int | None = None) -> Iterator[int]:
        """Yield the days on which events, or those with a flag, were saved."""
        for entry in self._walk(DAYS if flag is None else flag_days_key(flag), first, last):
            yield entry.serialization_id

    def _walk(self, key: str, first: int = 0, last: int | None = None) -> Iterator[IndexEntry]:
        """Yield the entries of a timeline within bounds, lowest first, in chunks."""
        lowest = first
        while True:
            within: Filter = {"activity_id__gte": lowest}
            if last is not None:
                within["activity_id__lte"] = last
            entries = self._index.get_slice(key, 0, CHUNK, within, ("activity_id",))
            yield from entries
            if len(entries) < CHUNK:
                return
            lowest = entries[-1].serialization_id + 1

    def tidy(self, end: float) -> None:
        """Remove the days and the flags that hold no event, up to a time, and entries that belong to no event."""
        flags = list(self._names(FLAGS))
        last = day_of(end)
        for day in list(self._days(None, 0, last)):
            if self._writer.is_atomic:
                for key in (all_key(day), *(flag_key(flag, day) for flag in flags)):
                    self._remove_leftovers(key, end)
            if self._remove_if_empty(DAYS, day, all_key(day)):
                self._index.delete(sources_key(day))
        for flag in flags:
            for day in list(self._days(flag, 0, last)):
                self._remove_if_empty(flag_days_key(flag), day, flag_key(flag, day))

    def _remove_leftovers(self, key: str, end: float) -> None:
        """Remove entries up to a time whose body was saved again later, or was removed."""
        for chunk in _chunks(self._walk(key, 0, last_entry(end))):
            bodies = self._writer.bodies.get_many(id_from_bytes(entry.payload) for entry in chunk)
            held = {each.entry for each in bodies}
            left = [entry.serialization_id for entry in chunk if entry.serialization_id not in held]
            if left:
                self._index.remove_many(key, left)

    def _remove_if_empty(self, directory: str, day: int, key: str) -> bool:
        """Remove a day from a directory if its timeline is empty; return whether it is."""
        if self._index.count(key):
            return False
        self._index.remove(directory, day)
        if self._index.count(key):
            # A save has added an event between the count and the removal.
            self._index.add(directory, IndexEntry(day, b""))
            return False
        return True


def _key(flag: str | None, day: int) -> str:
    return all_key(day) if flag is None else flag_key(flag, day)


def _chunks(entries: Iterable[IndexEntry]) -> Iterator[list[IndexEntry]]:
    chunk: list[IndexEntry] = []
    for entry in entries:
        chunk.append(entry)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk

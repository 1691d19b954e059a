"""The indexes of an event store as a whole: counts, names, and the removal of empty parts."""

from __future__ import annotations

import time
from collections.abc import Container, Iterable, Iterator
from itertools import islice

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
    named,
    sources_key,
)
from feedstore.events.query import Query
from feedstore.events.writer import EventWriter
from feedstore.storage import Filter

_FLAGS_AT_A_TIME = 100
_DAYS_UNTIL_REMOVAL = 2
"""The number of days until a day is over in the clock of each process."""


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
        return sorted(
            {name for day in self._days(None) if self._is_held(day) for name in self._names(sources_key(day))}
        )

    def days_of(self, source: str) -> list[int]:
        """Return the days on which a source had events. One round trip for each day that holds events."""
        entry = named(source).serialization_id
        return [day for day in self._days(None) if self._index.contains(sources_key(day), entry)]

    def drop_source(self, source: str, day: int) -> None:
        """Remove a source from those of a day."""
        self._index.remove(sources_key(day), named(source).serialization_id)

    def _is_held(self, day: int) -> bool:
        """Return whether a day holds entries. Days without entries are removed where preconditions allow it."""
        return self._writer.is_conditional or self._index.count(all_key(day)) > 0

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

    def tidy(self, end: float, pruned: Container[tuple[int, str]], with_leftovers: bool) -> None:
        """Remove the days that hold no event, and the entries that belong to no event, up to a time.

        It does so on backends whose atomic batches have preconditions. Elsewhere an entry may belong to a save that is
        running, and a save may add to an empty day. A day stays until it is over everywhere, because its saves do not
        change its version before. Costs one read for each flag, and a few for each day.

        Args:
            end: The latest time.
            pruned: The days and flags from which events were removed.
            with_leftovers: Whether to look for entries that belong to no event, which reads all events up to the time.
        """
        if not self._writer.is_conditional:
            return
        last = day_of(end)
        flags_by_day: dict[int, list[str]] = {day: [] for day in self._days(None, 0, last)}
        for flag in list(self._names(FLAGS)):
            for day in self._days(flag, 0, last):
                flags_by_day.setdefault(day, []).append(flag)
        for day, flags in flags_by_day.items():
            if with_leftovers:
                self._remove_leftovers(day, flags, end)
            if day < day_of(time.time()) - _DAYS_UNTIL_REMOVAL:
                self._drop_if_empty(day, flags, pruned)

    def _remove_leftovers(self, day: int, flags: Iterable[str], end: float) -> None:
        """Remove entries up to a time that have no body, and those whose body belongs to no event."""
        entries = self._walk(all_key(day), 0, last_entry(end))
        while chunk := [entry.serialization_id for entry in islice(entries, CHUNK)]:
            self._writer.remove_unplaced(chunk)
            held = {each.entry for each in self._writer.bodies.get_many(chunk)}
            left = [entry for entry in chunk if entry not in held]
            if left:
                # A process that dies here leaves the entries of all events, by which the next call finds the others.
                for flag in flags:
                    self._writer.times.remove_many(flag_key(flag, day), left)
                self._writer.times.remove_many(all_key(day), left)

    def _drop_if_empty(self, day: int, flags: Iterable[str], pruned: Container[tuple[int, str]]) -> None:
        """Remove a day that holds no event, or from the days of the flags that no event of it carries any more."""
        version = self._writer.day_version(day)
        is_empty = not self._index.count(all_key(day))
        unused = [
            flag for flag in flags if is_empty or ((day, flag) in pruned and not self._index.count(flag_key(flag, day)))
        ]
        # An atomic batch holds a bounded number of writes, and each of them renews the version for the next.
        for at in range(0, len(unused), _FLAGS_AT_A_TIME):
            some = unused[at : at + _FLAGS_AT_A_TIME]
            version = self._writer.drop_day(day, version, map(flag_days_key, some), [])
            if version is None:
                return
        if is_empty:
            self._writer.drop_day(day, version, [DAYS], [sources_key(day)])


def _key(flag: str | None, day: int) -> str:
    return all_key(day) if flag is None else flag_key(flag, day)

"""Searches: iterators over the stored events of a range of time."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, compress, islice
from operator import itemgetter

from feedstore.errors import FeedstoreError
from feedstore.events.event import Event
from feedstore.events.failures import raise_reading
from feedstore.events.layout import (
    CHUNK,
    DAYS,
    TIME_SHIFT,
    StoredEvent,
    all_key,
    contents_of,
    day_of,
    first_entry,
    flag_days_key,
    flag_key,
    last_entry,
)
from feedstore.events.query import Query, search_cursor
from feedstore.events.reader import Body, EventReader
from feedstore.storage import Bounds, Filter

MOST_OF_ONE_TIME = 10_000
"""The number of events of one and the same time that a search sorts in memory. If there are more, the search reads all
of them again for each so many that it returns."""
_SMALL_CHUNK = 64
_MOST_DAYS_WITHOUT_DIRECTORY = 3
_DAYS_AT_A_TIME = 1000
_body: Callable[[Body], bytes] = itemgetter(1)
_event: Callable[[StoredEvent], Event] = itemgetter(2)


@dataclass
class SearchStatistics:
    """The work of a search until now.

    Attributes:
        days: The number of days whose index was read; 0 where the bodies are the index.
        flags: The number of days for each flag whose index was read, the rarest of the search's flags on that day. None
            stands for the index of all events. Empty where the bodies are the index.
        entries_read: The number of index entries that were read, or of bodies where those are the index.
        bodies_read: The number of events that were read.
        events_returned: The number of events that were returned.
    """

    days: int = 0
    flags: dict[str | None, int] = field(default_factory=dict)
    entries_read: int = 0
    bodies_read: int = 0
    events_returned: int = 0


class Search(Iterator[Event]):
    """An iterator over the events that a search finds. It reads chunks of bounded size.

    An event that is saved, replaced or deleted during the search may or may not be returned. An event that is moved to
    another time during the search may be returned at both times. After an error the next call goes on after the last
    returned event. Once the store is closed, each call raises an :class:`EventReadException`.

    Attributes:
        statistics: The work of the search until now.
    """

    def __init__(self, reader: EventReader, query: Query, check_open: Callable[[], None]) -> None:
        self.statistics = SearchStatistics()
        self._check_open = check_open
        self._reader = reader
        self._query = query
        self._size = CHUNK
        if query.limit is not None and query.limit < _SMALL_CHUNK and query.pattern is None:
            self._size = _SMALL_CHUNK
        self._last: Event | None = None
        self._found: Iterator[Event] = self._limited()

    @property
    def cursor(self) -> str | None:
        """The cursor that continues the search after the last returned event; None before the first."""
        return None if self._last is None else search_cursor(self._last, self._query.descending)

    def __next__(self) -> Event:
        self._check_open()
        try:
            self._last = event = next(self._found)
        except StopIteration:
            raise
        except BaseException as error:
            self._resume()
            if isinstance(error, FeedstoreError):
                raise_reading(error)
            raise
        self.statistics.events_returned += 1
        return event

    def _resume(self) -> None:
        """Let the next call go on after the last returned event: an error has ended the generator."""
        if self._last is not None:
            self._query = replace(self._query, after=(self._last.timestamp, self._last.id))
        self._found = self._limited()

    def close(self) -> None:
        """End the search: it returns no further event."""
        self._found = iter(())

    def _limited(self) -> Iterator[Event]:
        limit = self._query.limit
        rest = None if limit is None else limit - self.statistics.events_returned
        # Without a frame of Python for each event.
        return islice(map(_event, self.stored()), rest)

    def stored(self) -> Iterator[StoredEvent]:
        """Return the stored events that meet all conditions but the limit, ordered by time and id."""
        return chain.from_iterable(self._lists())

    def _lists(self) -> Iterator[list[StoredEvent]]:
        """Yield the events of :meth:`stored` in lists."""
        query = self._query
        start, end = query.start, query.end
        if query.after is not None:
            start, end = (start, min(end, query.after[0])) if query.descending else (max(start, query.after[0]), end)
        if start > end:
            return
        bounds = Bounds(first_entry(start), last_entry(end))
        if not query.flags and self._reader.reads_bodies_alone:
            # They are in the order of all times, so no day costs a read of its own.
            yield from self._of_key(None, bounds)
            return
        for day in self._days(day_of(start), day_of(end)):
            flag = self._rarest_flag(day)
            if flag is None and self._query.flags:
                continue
            self.statistics.days += 1
            self.statistics.flags[flag] = self.statistics.flags.get(flag, 0) + 1
            yield from self._of_key(all_key(day) if flag is None else flag_key(flag, day), bounds)

    def _days(self, first: int, last: int) -> Iterator[int]:
        """Yield the days that may hold events, in the order of the search."""
        if last - first < _MOST_DAYS_WITHOUT_DIRECTORY:
            yield from sorted(range(first, last + 1), reverse=self._query.descending)
            return
        directory, *others = [flag_days_key(flag) for flag in self._query.flags] or [DAYS]
        bounds = Bounds(first, last)
        while not bounds.is_empty and (days := self._read_days(directory, bounds)):
            held = set(days)
            for other in others:
                held = self._reader.times.contains_many(other, held)
            yield from sorted(held, reverse=self._query.descending)
            bounds = bounds.after(days[-1], self._query.descending)

    def _read_days(self, directory: str, bounds: Bounds) -> list[int]:
        within: Filter = {"activity_id__gte": bounds.lowest, "activity_id__lte": bounds.highest}
        ordering = ("-activity_id",) if self._query.descending else ("activity_id",)
        found = self._reader.times.get_slice(directory, 0, _DAYS_AT_A_TIME, within, ordering)
        return [entry.serialization_id for entry in found]

    def _rarest_flag(self, day: int) -> str | None:
        """Return the flag of the search that is the rarest on a day; None without flags, or if one has no events."""
        flags = self._query.flags
        if len(flags) < 2:
            return flags[0] if flags else None
        counts = {flag: self._reader.times.count(flag_key(flag, day)) for flag in flags}
        rarest = min(flags, key=counts.__getitem__)
        return rarest if counts[rarest] else None

    def _of_key(self, key: str | None, bounds: Bounds) -> Iterator[list[StoredEvent]]:
        """Yield lists of the events of a timeline, or of all, within the bounds, ordered by time and id."""
        descending = self._query.descending
        group: list[StoredEvent] = []
        while entries := self._entries(key, bounds):
            found = self._stored(entries)
            if len(entries) < self._size:
                group += found
                break
            # Events of the last time may follow in the next chunk.
            last = entries[-1][0]
            bounds = bounds.after(last, descending)
            time = last >> TIME_SHIFT
            end = len(found)
            while end and found[end - 1].entry >> TIME_SHIFT == time:
                end -= 1
            if end or (group and group[-1].entry >> TIME_SHIFT != time):
                yield self._sorted(group + found[:end])
                group.clear()
            group += found[end:]
            if len(group) > MOST_OF_ONE_TIME:
                group.clear()
                first = time << TIME_SHIFT
                whole = Bounds(first, first | (1 << TIME_SHIFT) - 1)
                yield from self._of_one_time(key, whole)
                bounds = bounds.after(whole.lowest if descending else whole.highest, descending)
        yield self._sorted(group)

    def _of_one_time(self, key: str | None, bounds: Bounds) -> Iterator[list[StoredEvent]]:
        """Yield lists of any number of events of one time, ordered by id, and keep a bounded number in memory."""
        descending = self._query.descending
        choose = heapq.nlargest if descending else heapq.nsmallest
        last: str | None = None

        def is_after(own_id: str) -> bool:
            return last is None or (own_id < last if descending else own_id > last)

        while True:
            found = self._unordered(key, bounds)
            chosen = choose(MOST_OF_ONE_TIME, (each for each in found if is_after(each.event.id)), key=_own_id)
            yield chosen
            if len(chosen) < MOST_OF_ONE_TIME:
                return
            last = chosen[-1].event.id

    def _unordered(self, key: str | None, bounds: Bounds) -> Iterator[StoredEvent]:
        """Yield the events within bounds in the order of their entries."""
        while entries := self._entries(key, bounds):
            yield from self._stored(entries)
            bounds = bounds.after(entries[-1][0], self._query.descending)

    def _sorted(self, stored: list[StoredEvent]) -> list[StoredEvent]:
        """Sort events, which are in the order of their entries, by time and id."""
        if len({each[0] >> TIME_SHIFT for each in stored}) < len(stored):
            stored.sort(key=_place, reverse=self._query.descending)
        return stored

    def _entries(self, key: str | None, bounds: Bounds) -> Sequence[tuple[int, bytes | None]]:
        """Return the first entries of a timeline within bounds with their bodies, in the order of the search."""
        if bounds.is_empty:
            return []
        return self._reader.read_slice(key, self._size, bounds, self._query.descending)

    def _stored(self, entries: Sequence[tuple[int, bytes | None]]) -> list[StoredEvent]:
        """Return the events of entries that meet all conditions of the search.

        The body decides about the flags: an event that was saved again may have lost them since its entry was read.
        """
        query = self._query
        bodies = [(entry, body) for entry, body in entries if body is not None]
        self.statistics.entries_read += len(entries)
        self.statistics.bodies_read += len(bodies)
        if query.pattern is not None:
            bodies = self._matching(bodies, query.pattern.search)
        stored = self._reader.load(bodies)
        if query.flags:
            flags = set(query.flags)
            stored = [each for each in stored if flags.issubset(each[2].tags)]
        if query.after is not None:
            stored = [each for each in stored if not query.is_passed(each[2])]
        return stored

    def _matching(self, bodies: list[Body], search: Callable[[bytes], object]) -> list[Body]:
        try:
            return list(compress(bodies, map(search, contents_of(map(_body, bodies)))))
        except (ValueError, TypeError, IndexError):
            # One of them is damaged; this names it.
            self._reader.load(bodies)
            raise


def _own_id(stored: StoredEvent) -> str:
    return stored.event.id


def _place(stored: StoredEvent) -> tuple[float, str]:
    event = stored[2]
    return event.timestamp, event.id

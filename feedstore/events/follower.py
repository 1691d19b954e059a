"""Live searches: the stored events, and then those that are saved."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator

from feedstore.errors import EventReadException
from feedstore.events.event import Event
from feedstore.events.failures import reading
from feedstore.events.layout import CHUNK, SAVES, TIME_SHIFT, IndexEntry, StoredEvent, body_ids_of
from feedstore.events.query import Query
from feedstore.events.search import Search, SearchStatistics
from feedstore.events.writer import EventWriter

_MARGIN = (5 * 10**9) << TIME_SHIFT
"""Saves are ordered by the clocks of their processes. A save whose clock or whose commit is late by up to five seconds
is found."""
_MOST_REMEMBERED = 10_000


class Follower(Iterator[Event]):
    """An iterator over the stored events that a search finds and then, as they are saved, over those that follow.

    Later events come in the order of their saves. Each event is returned once for each save. The iterator waits for
    the notifier between saves, and ends when it is closed, or the store is. It costs a subscription of the backend.
    """

    def __init__(self, writer: EventWriter, search: Search, query: Query) -> None:
        self._index, self._bodies = writer.index, writer.bodies
        self._search = search
        self._query = query
        self._changed = threading.Event()
        self._closed = False
        # The ids of bodies that were saved during the search, and the entry under which it returned them.
        self._pending: dict[int, int | None] = {}
        self._returned: dict[int, int] = {}
        self._seen: dict[int, None] = {}
        self._position: int | None = None
        self._subscription = writer.notifier.subscribe(lambda keys: self._changed.set(), on_close=self._end)
        self._subscription.add([SAVES])
        self._begin()
        self._found = self._limited()

    @property
    def statistics(self) -> SearchStatistics:
        """The work of the search in the stored events until now."""
        return self._search.statistics

    def __next__(self) -> Event:
        with reading():
            return next(self._found)

    def close(self) -> None:
        """End the search, also one that waits in another thread. A second call does nothing."""
        self._end()
        self._subscription.close()

    def _end(self) -> None:
        self._closed = True
        self._changed.set()

    def _begin(self) -> None:
        """Start after the saves that are stored now."""
        newest = self._index.get_slice(SAVES, 0, 1)
        if newest:
            self._position = newest[0].serialization_id
            self._seen = dict.fromkeys(each.serialization_id for each in self._recent_saves())

    def _limited(self) -> Generator[Event]:
        for number, each in enumerate(self._all(), 1):
            if self._closed:
                return
            yield each.event
            if number == self._query.limit:
                return

    def _all(self) -> Iterator[StoredEvent]:
        """Yield the stored events that meet the conditions, and then those that are saved."""
        for number, each in enumerate(self._search.stored()):
            if number % CHUNK == 0:
                self._collect()
            self._remember(each)
            yield each
        while not self._closed:
            self._collect()
            yield from self._saved()
            self._changed.wait()
            self._changed.clear()

    def _remember(self, stored: StoredEvent) -> None:
        if stored.body_id in self._pending:
            self._pending[stored.body_id] = stored.entry
        if len(self._returned) >= _MOST_REMEMBERED:
            self._returned.pop(next(iter(self._returned)))
        self._returned[stored.body_id] = stored.entry

    def _collect(self) -> None:
        """Note the ids of the events that were saved since the last call."""
        is_found = self._position is None
        floor = 0 if self._position is None else self._position
        for save in self._recent_saves():
            is_found = is_found or save.serialization_id == floor
            if save.serialization_id not in self._seen:
                self._seen[save.serialization_id] = None
                self._pending.update((one, self._returned.get(one)) for one in body_ids_of(save))
                self._position = max(self._position or 0, save.serialization_id)
        if not is_found:
            raise EventReadException(
                "the live search fell too far back: the store has dropped saves that it has not read"
            )
        if self._position is not None:
            lowest = self._position - _MARGIN
            self._seen = {one: None for one in self._seen if one >= lowest}

    def _recent_saves(self) -> Iterable[IndexEntry]:
        """Yield the saves from the margin before the position on."""
        lowest = 0 if self._position is None else max(self._position - _MARGIN, 0)
        while saves := self._index.get_slice(SAVES, 0, CHUNK, {"activity_id__gte": lowest}, ("activity_id",)):
            yield from saves
            if len(saves) < CHUNK:
                return
            lowest = saves[-1].serialization_id + 1

    def _saved(self) -> Iterator[StoredEvent]:
        """Yield the collected events that meet the conditions and were not returned before."""
        pending, self._pending = self._pending, {}
        ids = list(pending)
        for at in range(0, len(ids), CHUNK):
            found = self._bodies.get_many(ids[at : at + CHUNK])
            for each in found:
                if each.entry != pending[each.body_id] and self._query.accepts(each.event):
                    yield each

"""Live searches: the stored events, and then those that are saved."""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Generator, Iterator

from feedstore.errors import EventReadException
from feedstore.events.event import Event
from feedstore.events.failures import reading
from feedstore.events.layout import CHUNK, SAVES, TIME_SHIFT, IndexEntry, StoredEvent
from feedstore.events.query import Query
from feedstore.events.saves import saved_entries
from feedstore.events.search import Search, SearchStatistics
from feedstore.events.writer import EventWriter
from feedstore.storage import Notifier, Subscription
from feedstore.storage.page import encode_cursor

_MARGIN_SECONDS = 5
"""A save is found if it commits up to this time after it has taken its time from the clock of the saves."""
_MARGIN = (_MARGIN_SECONDS * 10**9) << TIME_SHIFT
_SECONDS_BETWEEN_MARKS = 0.5
_SAVES_BEFORE = 100
"""The number of the saves before its start that a live search knows at least. Another process may save below the newest
one, for a second after a clock that is ahead has moved the clock of the saves."""
_MOST_REMEMBERED = 10_000


class Follower(Iterator[Event]):
    """An iterator over the stored events that a search finds and then, as they are saved, over those that follow.

    Later events come in the order of their saves. After each save the stored version is returned at least once; saves
    of one event that follow each other closely are coalesced. The iterator waits for the notifier between saves, and
    ends when it is closed, or the store is. It costs a subscription of the backend until it ends.

    After an error each call raises that error again, because saves may be missing: start another live search. While
    the iterator returns stored events, it keeps the entry of each event that is saved. After each
    notification it reads the saves of the last five seconds again, because a save may commit later than another that
    began after it.
    """

    def __init__(self, writer: EventWriter, search: Search, query: Query) -> None:
        self._writer = writer
        self._search = search
        self._query = query
        self._changed = threading.Event()
        self._closed = False
        # The entries that were saved during the search, and the number of the save that it returned.
        self._pending: dict[int, int | None] = {}
        self._returned: dict[int, int] = {}
        self._seen: dict[int, None] = {}
        # The newest save that was read.
        self._position = 0
        # Earlier positions, and the times by the monotonic clock at which they were reached, oldest first. The first
        # one was reached five seconds before the last read; a save that commits late lies above it.
        self._marks: deque[tuple[float, int]] = deque()
        self._failure: EventReadException | None = None
        self._subscription = _subscribe(writer.notifier, self)
        self._begin()
        self._found = self._limited()

    @property
    def statistics(self) -> SearchStatistics:
        """The work of the search in the stored events until now."""
        return self._search.statistics

    def __next__(self) -> Event:
        if self._failure is not None:
            raise self._failure
        if self._closed:
            raise StopIteration
        try:
            with reading():
                return next(self._found)
        except BaseException as error:
            if isinstance(error, EventReadException):
                if self._closed:
                    # Another thread has closed the store during the read.
                    raise StopIteration from None
                self._failure = error
            self.close()
            raise

    def close(self) -> None:
        """End the search, also one that waits in another thread. A second call does nothing."""
        self._end()
        self._subscription.close()

    def wake(self) -> None:
        """Read the saves that follow; for the subscription."""
        self._changed.set()

    def _end(self) -> None:
        self._closed = True
        self._changed.set()

    def _begin(self) -> None:
        """Start after the saves that are stored now."""
        page = self._writer.times.get_page(SAVES, _SAVES_BEFORE)
        ids = [each.serialization_id for each in page]
        self._position = max(page.floor or 0, *ids, 0)
        self._marks.append((time.monotonic(), max(0, min([self._position - _MARGIN, *ids]))))
        if ids:
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
        if stored.entry in self._pending:
            self._pending[stored.entry] = stored.save
        if len(self._returned) >= _MOST_REMEMBERED:
            self._returned.pop(next(iter(self._returned)))
        self._returned[stored.entry] = stored.save

    def _collect(self) -> None:
        """Note the ids of the events that were saved since the last call."""
        began = time.monotonic()
        for save in self._recent_saves():
            if save.serialization_id not in self._seen:
                self._seen[save.serialization_id] = None
                self._pending.update((one, self._returned.get(one)) for one in saved_entries(save))
        self._position = max(self._position, *self._seen, 0)
        self._mark(began)
        lowest = self._marks[0][1]
        self._seen = {one: None for one in self._seen if one >= lowest}

    def _mark(self, began: float) -> None:
        """Note the position that a read has reached, and forget the marks that were replaced five seconds before it."""
        now = time.monotonic()
        if now - self._marks[-1][0] >= _SECONDS_BETWEEN_MARKS:
            self._marks.append((now, self._position))
        while len(self._marks) > 1 and self._marks[1][0] <= began - _MARGIN_SECONDS:
            self._marks.popleft()

    def _recent_saves(self) -> list[IndexEntry]:
        """Return the saves from the first mark on."""
        saves: list[IndexEntry] = []
        lowest = self._marks[0][1]
        cursor = encode_cursor(lowest - 1, descending=False) if lowest > 0 else None
        while True:
            page = self._writer.index.get_page(SAVES, CHUNK, cursor, ("activity_id",))
            saves += page
            cursor = page.next_cursor
            if page.floor is not None and page.floor > self._position:
                raise EventReadException(
                    "the live search fell too far back: the store has dropped saves that it has not read"
                )
            if cursor is None:
                return saves

    def _saved(self) -> Iterator[StoredEvent]:
        """Yield the collected events that meet the conditions and were not returned before."""
        pending, self._pending = self._pending, {}
        entries = list(pending)
        for at in range(0, len(entries), CHUNK):
            found = self._writer.get_many(entries[at : at + CHUNK])
            for each in found:
                if each.save != pending[each.entry] and self._query.accepts(each.event):
                    self._remember(each)
                    yield each


def _subscribe(notifier: Notifier, follower: Follower) -> Subscription:
    """Return a subscription to the saves, which wakes a follower and closes itself once nothing refers to that."""
    reference = weakref.ref(follower)

    def wake(keys: frozenset[str]) -> None:
        found = reference()
        if found is None:
            subscription.close()
        else:
            found.wake()

    def end() -> None:
        found = reference()
        if found is not None:
            found.close()

    subscription = notifier.subscribe(wake, on_close=end)
    subscription.add([SAVES])
    return subscription

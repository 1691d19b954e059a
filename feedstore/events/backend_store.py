"""The event store over any backend."""

from __future__ import annotations

import logging
import math
import weakref
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Literal, overload
from urllib.parse import parse_qs

from feedstore.errors import (
    EventNotFound,
    EventReadException,
    EventWriteException,
    InvalidSearchError,
    InvalidTypeError,
)
from feedstore.events.event import EARLIEST, Event, TimeLike
from feedstore.events.failures import reading, writing
from feedstore.events.follower import Follower
from feedstore.events.inventory import Inventory
from feedstore.events.layout import CHUNK, StoredEvent, bounds_of_day, day_of
from feedstore.events.query import Query, checked_flags, checked_query, checked_seconds
from feedstore.events.search import Search
from feedstore.events.store import EventStore
from feedstore.events.writer import EventWriter, chunks_of
from feedstore.registry import connect, load_backend, scheme_of
from feedstore.shown import shown
from feedstore.storage.backend import checked_backend

_logger = logging.getLogger("feedstore.events")


class BackendEventStore(EventStore):
    """An event store in the collection ``events`` of a backend's namespace.

    A read never blocks on a save: until the save commits, it returns the state before. A save that has returned is
    found by every later read, in any process that shares the store.

    - On memory, SQLite, PostgreSQL and Redis, a save, a removal, and each chunk of up to 2,000 events of
      :meth:`save_many` is one atomic batch.
    - On Redis Cluster and Cassandra, each event is atomic: the write of its place is the point of commit, and readers
      ignore bodies that belong to no place. A process that dies during a call leaves such bodies. A deletion, or a
      save at another time, during a save of the same id may remove the event that was just saved.

    Args:
        backend: The backend, which :meth:`close` leaves open unless ``owns_backend`` is True.
        owns_backend: Whether :meth:`close` closes the backend too.

    >>> from feedstore import connect
    >>> from feedstore.events import BackendEventStore, Event
    >>> store = BackendEventStore(connect("memory://"))
    >>> store.save(Event("1", "/var/log/syslog", 100.0, ["error"], "out of memory"))
    >>> store.save(Event("2", "/var/log/syslog", 101.5, ["info"], "recovered"))
    >>> [event.id for event in store.search(100, flags=["error"])]
    ['1']
    """

    def __init__(self, backend: Any, *, owns_backend: bool = False) -> None:
        self.backend = checked_backend(backend)
        self._owns_backend = owns_backend
        self._closed = False
        self._is_checked = False
        self._writer = EventWriter(self.backend)
        self._inventory = Inventory(self._writer)
        self._followers: weakref.WeakValueDictionary[int, Follower] = weakref.WeakValueDictionary()

    def save(self, event: Event) -> None:
        """Save an event, replacing that of the same id.

        Two round trips for a new id, five if it replaces an event, up to three more on Redis Cluster and Cassandra, one
        to notify live searches, and once a second at most one to read the newest save.
        """
        self._save([_checked_event(event)])

    def save_many(self, events: Iterable[Event]) -> int:
        """Save events and return their number. Costs the round trips of :meth:`save` for each 2,000.

        On memory, SQLite and PostgreSQL a chunk of several events expects that all of its ids are new, and does not
        read their places first; the chunk after one that replaced an event reads them.
        """
        if isinstance(events, (str, bytes, Event)) or not isinstance(events, Iterable):
            raise InvalidTypeError(f"events must be an iterable of events, not {shown(events)}")
        count = 0
        for given, chunk in chunks_of(map(_checked_event, events)):
            self._save(chunk)
            count += given
        return count

    def _save(self, events: list[Event]) -> None:
        self._check_open(EventWriteException)
        with writing():
            if not self._is_checked:
                self._warn_of_loss()
                self._is_checked = True
            self._writer.save(events)

    def _warn_of_loss(self) -> None:
        gap = self.backend.session.durability_gap()
        if gap is not None:
            _logger.warning("events are not flushed: %s", gap)

    def delete(self, event_id: str) -> None:
        """Delete an event. Four round trips, unless other processes change it.

        Raises:
            EventNotFound: No event has the id, perhaps because a concurrent call has deleted it.
        """
        self._check_open(EventWriteException)
        with writing():
            if not self._writer.delete(_checked_id(event_id)):
                raise _unknown(event_id)

    def get(self, event_id: str) -> Event:
        """Return the event of an id. Two round trips.

        Raises:
            EventNotFound: No event has the id.
        """
        self._check_open(EventReadException)
        with reading():
            stored = self._writer.get(_checked_id(event_id))
            if stored is None:
                raise _unknown(event_id)
            return stored.event

    @overload
    def search(
        self,
        ts_start: TimeLike,
        ts_end: TimeLike | None = None,
        flags: Iterable[str] | None = None,
        match: str | None = None,
        order: str = "asc",
        limit: int | None = None,
        after: str | None = None,
        *,
        follow: Literal[False] = False,
    ) -> Search: ...

    @overload
    def search(
        self,
        ts_start: TimeLike,
        ts_end: TimeLike | None = None,
        flags: Iterable[str] | None = None,
        match: str | None = None,
        order: str = "asc",
        limit: int | None = None,
        after: str | None = None,
        *,
        follow: Literal[True],
    ) -> Follower: ...

    def search(
        self,
        ts_start: TimeLike,
        ts_end: TimeLike | None = None,
        flags: Iterable[str] | None = None,
        match: str | None = None,
        order: str = "asc",
        limit: int | None = None,
        after: str | None = None,
        *,
        follow: bool = False,
    ) -> Search | Follower:
        """Return an iterator over the events of a range of time; see :meth:`EventStore.search`.

        The iterator is a :class:`Search`, with the attributes ``cursor`` and ``statistics``. It makes one round trip
        for each 500 index entries of a day that it reads. With several flags it reads the index of the flag that is
        the rarest on that day, whose size costs one round trip for each flag. On SQLite and PostgreSQL a search without
        flags makes one round trip for each 500 events, on any number of days.

        Args:
            follow: Wait for events that are saved later, and return them as well, in the order of their saves: the
                iterator is a :class:`Follower`. It needs the order ``"asc"``.
        """
        self._check_open(EventReadException)
        query = checked_query(ts_start, ts_end, flags, match, order, limit, after)
        search = self._search(query)
        if not follow:
            return search
        if query.descending:
            raise InvalidSearchError("a live search has the order 'asc'; the newest events come last")
        with reading():
            return self._closed_with_store(Follower(self._writer, search, query))

    def _closed_with_store(self, follower: Follower) -> Follower:
        self._followers[id(follower)] = follower
        if self._closed:
            follower.close()
        return follower

    def _search(self, query: Query) -> Search:
        return Search(self._writer, query, self._check_readable)

    def _check_readable(self) -> None:
        if self._closed:
            self._check_open(EventReadException)

    def count(
        self,
        ts_start: TimeLike = EARLIEST,
        ts_end: TimeLike | None = None,
        flags: Iterable[str] | None = None,
        match: str | None = None,
    ) -> int:
        """Return the number of events that a search with these arguments finds.

        With one flag at most and without ``match`` it counts the entries of the indexes, two round trips for each day.
        Then it may count an entry that a save left over: on Redis two first saves of one id in the same moment leave
        one, and so does a process that dies during a save on Redis Cluster or Cassandra. Otherwise it costs as much as
        the search.
        """
        self._check_open(EventReadException)
        query = checked_query(ts_start, ts_end, flags, match, "asc", None, None)
        with reading():
            if query.pattern is None and len(query.flags) < 2:
                return self._inventory.count(query)
            return sum(1 for _ in self._search(query).stored())

    def sources(self) -> list[str]:
        """Return the sources of the events, sorted.

        One round trip for each day that holds events; two for each day on Redis Cluster and Cassandra.

        A source whose events were all deleted or replaced stays until their day is pruned.
        """
        self._check_open(EventReadException)
        with reading():
            return self._inventory.sources()

    def flags(self) -> list[str]:
        """Return the tags of the events, sorted. Two round trips for each tag at least, and one for an unused tag."""
        self._check_open(EventReadException)
        with reading():
            return self._inventory.flags()

    def prune(
        self, before: TimeLike, flags: Iterable[str] | None = None, keep_flags: Iterable[str] | None = None
    ) -> int:
        """Delete the events that are older than ``before``, and return their number.

        Call it again if the store fails. It deletes in chunks of 500 events, and each chunk costs as much as a save.
        On memory, SQLite, PostgreSQL and Redis, it then makes one round trip for each flag and a few for each day, and
        reads the kept events once more if ``flags`` is None.

        Args:
            before: The oldest time that is kept.
            flags: Delete only events that have all of these tags.
            keep_flags: Keep events that have one of these tags.

        >>> from feedstore import connect
        >>> from feedstore.events import BackendEventStore, Event
        >>> store = BackendEventStore(connect("memory://"))
        >>> store.save_many(Event(str(number), "app", number, ["debug"]) for number in range(10))
        10
        >>> store.prune(before=7, flags=["debug"]), store.count()
        (7, 3)
        """
        self._check_open(EventWriteException)
        end = math.nextafter(checked_seconds("before", before), -math.inf)
        kept = set(checked_flags("keep_flags", keep_flags))
        if end < EARLIEST:
            return 0
        query = checked_query(EARLIEST, end, flags, None, "asc", None, None)
        count = 0
        pruned: set[tuple[int, str]] = set()
        with writing():
            found = (each for each in self._search(query).stored() if kept.isdisjoint(each.event.tags))
            while chunk := list(islice(found, CHUNK)):
                removed = self._writer.remove(chunk)
                count += len(removed)
                pruned.update((day_of(each.event.timestamp), tag) for each in removed for tag in each.event.tags)
            # With flags, events without them may be many, and this call has not read them.
            self._inventory.tidy(end, pruned, with_leftovers=not query.flags)
        return count

    def events_of(self, source: str) -> Iterator[Event]:
        """Yield the events of a source, the oldest first.

        It reads the events of the days on which the source has events, and makes one round trip for each other day.
        """
        self._check_open(EventReadException)
        with reading():
            for day in self._inventory.days_of(source):
                yield from (each.event for each in self._stored_of(source, day))

    def remove_source(self, source: str) -> int:
        """Delete the events of a source, and the source from :meth:`sources`; return the number of events.

        Call it again if the store fails. No other call may save events of the source during this one. It reads as much
        as :meth:`events_of`, and deletes in chunks of 500 events, each of which costs as much as a save.
        """
        self._check_open(EventWriteException)
        count = 0
        with writing():
            for day in self._inventory.days_of(source):
                found = self._stored_of(source, day)
                while chunk := list(islice(found, CHUNK)):
                    count += len(self._writer.remove(chunk))
                self._inventory.drop_source(source, day)
        return count

    def _stored_of(self, source: str, day: int) -> Iterator[StoredEvent]:
        start, end = bounds_of_day(day)
        query = checked_query(start, end, None, None, "asc", None, None)
        return (each for each in self._search(query).stored() if each.event.source == source)

    def close(self) -> None:
        """Close the store and end its live searches; close the backend if the store owns it.

        A second call does nothing.
        """
        self._closed = True
        # The list of references is made in one step, so another thread may start a live search; that closes itself.
        for reference in self._followers.valuerefs():
            follower = reference()
            if follower is not None:
                follower.close()
        if self._owns_backend:
            self.backend.close()

    def _check_open(self, error: type[EventReadException | EventWriteException]) -> None:
        if self._closed:
            raise error("this event store is closed; open another one with connect_events(url)")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.backend!r})"


def connect_events(url: str, **options: Any) -> BackendEventStore:
    """Return the event store in the store at a URL, which closes its backend when it is closed.

    Each save is flushed: on SQLite the option ``synchronous`` is ``full``, unless the URL or ``options`` set it.

    Args:
        url: The URL of a store, as :func:`feedstore.connect` takes it.
        options: The options of the backend, such as ``namespace``.

    >>> with connect_events("memory://", namespace="app") as store:
    ...     store.count()
    0
    """
    return BackendEventStore(connect(url, **flushing_options(url) | options), owns_backend=True)


def flushing_options(url: str) -> dict[str, Any]:
    """Return the options with which a save survives a power cut, except those that the URL sets."""
    scheme = scheme_of(url)
    given = parse_qs(url.partition("?")[2], keep_blank_values=True)
    options = load_backend(scheme).options_to_flush.get(scheme, {})
    return {name: value for name, value in options.items() if name not in given}


def _checked_id(event_id: str) -> str:
    if not isinstance(event_id, str):
        raise InvalidTypeError(f"the id of an event must be a str, not {shown(event_id)}")
    return event_id


def _unknown(event_id: str) -> EventNotFound:
    return EventNotFound(f"no event has the id {shown(event_id)}")


def _checked_event(event: Event) -> Event:
    if not isinstance(event, Event):
        raise InvalidTypeError(f"an event store saves events, not {shown(event)} of type {type(event).__name__}")
    return event

"""Polling the saves of an event store, and rendering the saved events as packets."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from feedstore.activity import ActivityRef
from feedstore.errors import StoredDataError
from feedstore.events.event import Event, event_fields
from feedstore.events.layout import CHUNK, SAVES, IndexEntry, StoredEvent
from feedstore.events.query import Query, checked_query
from feedstore.events.reader import EventReader
from feedstore.events.saves import saved_entries
from feedstore.live.event import EVENT, new_event, with_event_id
from feedstore.live.packets import PacketWriter
from feedstore.live.reader import TimelineReader
from feedstore.live.window import Window
from feedstore.storage import ActivityStorage, Backend, Filter, Notifier, Page, TimelineStorage
from feedstore.storage.notify.subscription import Callback

_logger = logging.getLogger("feedstore.live")
_NOTHING = b"\n"
"""A line end, which with an id moves a client's position without an event for its page."""


_RECORDS_A_READ = 100


class SavedEvent(NamedTuple):
    """A saved event, and its encoded form."""

    event: Event
    data: bytes


class EventFilter(NamedTuple):
    """The conditions of a tail of events: the tags that an event must all have, and a pattern of its content."""

    flags: tuple[str, ...] = ()
    match: str | None = None

    def key(self) -> str:
        """Return the conditions as the key of a stream."""
        return json.dumps([self.flags, self.match])

    def query(self) -> Query:
        """Return the query of events of any time that meet the conditions. Raises :class:`InvalidSearchError`."""
        return checked_query(float("-inf"), None, self.flags, self.match, "asc", None, None)

    @classmethod
    def of_key(cls, key: str) -> EventFilter:
        """Return the conditions of a key."""
        flags, match = json.loads(key)
        return cls(tuple(flags), match)


class SavesReader(TimelineReader):
    """Reads the record of the saves of an event store, which is a timeline, once for all filters.

    A key is that of an :class:`EventFilter`. The window and the positions count saves.
    """

    def __init__(self, backend: Backend, window_size: int, most_missed: int) -> None:
        self._events = EventReader(backend)
        timelines: Any = _SavesOfAnyKey(self._events.times)
        activities: ActivityStorage[Any] = self._events.bodies
        super().__init__(timelines, activities, window_size=window_size, most_missed=most_missed)

    def position(self, key: str) -> str:
        """Return the position of a client that knows all events that are stored now."""
        return self._position(key)

    def _packet_writer(self, key: str, events: dict[int, Any]) -> PacketWriter:
        accepts = EventFilter.of_key(key).query().accepts
        chosen = {save: [each.data for each in saved if accepts(each.event)] for save, saved in events.items()}
        return SavesPacketWriter(key, chosen, self._window_size)

    def _load(self, ids: Iterable[int]) -> dict[int, Any]:
        """Return the events of saves, without those that were deleted or replaced since."""
        entries = {each.serialization_id: saved_entries(each) for each in self._records(sorted(ids))}
        wanted = list(dict.fromkeys(entry for some in entries.values() for entry in some))
        found: dict[int, SavedEvent] = {}
        for start in range(0, len(wanted), CHUNK):
            for stored in self._read_events(wanted[start : start + CHUNK]):
                document = json.dumps(event_fields(stored.event), ensure_ascii=False, separators=(",", ":"))
                found[stored.entry] = SavedEvent(stored.event, new_event(EVENT, document))
        return {save_id: [found[one] for one in some if one in found] for save_id, some in entries.items()}

    def _records(self, ids: list[int]) -> list[IndexEntry]:
        """Return the records of saves, which lie near each other, without those that were dropped."""
        wanted, found = set(ids), []
        within: Filter = {"activity_id__gte": ids[0], "activity_id__lte": ids[-1]} if ids else {}
        while within:
            records = self._events.index.get_slice(SAVES, 0, _RECORDS_A_READ, within, ("activity_id",))
            found += [each for each in records if each.serialization_id in wanted]
            if len(records) < _RECORDS_A_READ:
                break
            within["activity_id__gte"] = records[-1].serialization_id + 1
        return found

    def _read_events(self, entries: list[int]) -> list[StoredEvent]:
        """Return the stored events of entries, without damaged ones: they must not end the streams."""
        try:
            return self._events.get_many(entries)
        except StoredDataError as error:
            if len(entries) == 1:
                _logger.error("an event cannot be sent: %s", error)
                return []
            return [each for entry in entries for each in self._read_events([entry])]


class SavesPacketWriter(PacketWriter):
    """Writes the packets of one filter: several events for a save, or none.

    The id is that of the last event of a save, so a client that received a part of a save receives all of it again. If
    no event of the newest saves meets the conditions, their packet has an id alone, which moves the client's position.
    """

    def __init__(self, key: str, chosen: Mapping[int, list[bytes]], most: int) -> None:
        super().__init__(key, {}, most)
        self._chosen = chosen

    def _additions(self, window: Window, added: list[int], last: Window) -> Iterator[tuple[bytes, str]]:
        for save_id in added:
            is_last = save_id == added[-1]
            window = last if is_last else window.with_entry(save_id, self._most)
            events = self._chosen.get(save_id) or ([_NOTHING] if is_last else [])
            if events:
                position = self._position(window)
                yield b"".join(events[:-1]) + with_event_id(events[-1], position), position


class _SavesOfAnyKey:
    """The timeline of the saves under the key of every filter."""

    def __init__(self, times: TimelineStorage) -> None:
        self._times = times

    def get_many_slices(self, keys: list[str], start: int, stop: int) -> dict[str, list[ActivityRef]]:
        """Return the same slice of the saves for each key."""
        return dict.fromkeys(keys, self._times.get_slice(SAVES, start, stop))

    def get_page(self, key: str, limit: int) -> Page:
        """Return the newest saves."""
        return self._times.get_page(SAVES, limit)


class SavesNotifier:
    """A notifier whose subscriptions report a change of all their keys at each save."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier

    def subscribe(self, callback: Callback, **options: Any) -> SavesSubscription:
        """Return a subscription to the saves."""
        return SavesSubscription(self._notifier, callback, options)


class SavesSubscription:
    """A subscription to the saves while there are keys."""

    def __init__(self, notifier: Notifier, callback: Callback, options: dict[str, Any]) -> None:
        self._keys: set[str] = set()
        self._lock = threading.Lock()
        self._callback = callback
        self._subscription = notifier.subscribe(self._report, **options)

    @property
    def closed(self) -> bool:
        """Whether the subscription is closed."""
        return self._subscription.closed

    def add(self, keys: Iterable[str]) -> None:
        """Report changes of more keys."""
        with self._lock:
            self._keys.update(keys)
        self._subscription.add([SAVES])

    def discard(self, keys: Iterable[str]) -> None:
        """Report no more changes of keys."""
        with self._lock:
            self._keys.difference_update(keys)
            is_idle = not self._keys
        if is_idle:
            self._subscription.discard([SAVES])

    def close(self) -> None:
        """End the subscription. A second call does nothing."""
        self._subscription.close()

    def _report(self, _: object) -> None:
        with self._lock:
            keys = frozenset(self._keys)
        if keys:
            self._callback(keys)

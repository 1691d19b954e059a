"""The stored form of events: bodies by the hash of their ids, and indexes by day.

A body is an activity of the collection ``events``. Its id is a hash of the event's own id, so saving the id again
replaces the body. An entry of an index is 64 bits of the time, which sort as the times do, and 64 bits that no other
save has; its payload is the id of the body, which holds the same 64 bits. An entry whose body holds other bits is left
over from a save that another save has replaced, and readers ignore it.

The timelines of the collection are:

- ``all:<day>``: the entries of all events of a day, such as ``all:2026-11-29``.
- ``flag:<day>:<flag>``: the entries of those that carry a flag.
- ``days`` and ``days:<flag>``: the days that have such timelines.
- ``flags`` and ``sources:<day>``: the names of flags and sources, as payloads.
- ``saves``: the ids of the bodies of the last saves, in the order of the saves.

On backends with preconditions, a key-value storage has versions: ``version:<stripe>`` for the events whose body's id
lies in a stripe, and ``day:<stripe>`` for days that are over.
"""

from __future__ import annotations

import itertools
import os
import secrets
import struct
import time
from collections.abc import Iterable
from datetime import date
from hashlib import blake2b
from typing import Any, NamedTuple

import msgpack

from feedstore.events.event import Event
from feedstore.ids import ID_BYTES, MAX_ID, id_to_bytes
from feedstore.serializers import Serializer
from feedstore.serializers.base import undecodable, wrong_format

COLLECTION = "events"
VERSIONS = "events/versions"
"""The name of the key-value storage of versions, which no key-value storage of the application should have."""
DAYS = "days"
FLAGS = "flags"
SAVES = "saves"
SECONDS_A_DAY = 86_400
CHUNK = 500
"""The number of events that one atomic batch writes, and one read of an index returns, at most."""

_FORMAT = 0x61
_PREFIX = bytes([_FORMAT])
_EPOCH = date(1970, 1, 1).toordinal()
TIME_SHIFT = 64
"""The number of the low bits of an entry, which follow its time."""
_LOWEST: int = 2**TIME_SHIFT - 1
_SIGN: int = 2**63
_LONGEST_NAME = 900
_double = struct.Struct(">d")
_integer = struct.Struct(">Q")


class StoredEvent(NamedTuple):
    """A stored event: its body's id, the id of its index entries, and the event."""

    body_id: int
    entry: int
    event: Event

    @property
    def serialization_id(self) -> int:
        """The id of the body."""
        return self.body_id


class IndexEntry(NamedTuple):
    """An entry of an index: its id, and the payload that it carries."""

    serialization_id: int
    payload: bytes


class EventSerializer(Serializer[StoredEvent]):
    """Stores the body of an event.

    Format ``0x61``: that byte, then the msgpack array ``[low, id, source, timestamp, tags, content]``, where ``low`` is
    the low half of the id of the event's index entries.
    """

    def dumps(self, activity: Any) -> bytes:
        """Return the bytes of a stored event."""
        event = activity.event
        fields = (activity.entry & _LOWEST, event.id, event.source, event.timestamp, event.tags, event.content)
        packed: bytes = msgpack.packb(fields)
        return _PREFIX + packed

    def loads(self, data: bytes, activity_id: int) -> StoredEvent:
        """Return the stored event of the bytes."""
        if data[:1] != _PREFIX:
            raise wrong_format(data, _FORMAT, activity_id)
        try:
            low, own_id, source, timestamp, tags, content = msgpack.unpackb(data[1:])
            entry = (order_of(timestamp) << TIME_SHIFT) | low
        except (ValueError, TypeError, struct.error) as error:
            raise undecodable(activity_id, f"its msgpack is damaged ({error})") from error
        return StoredEvent(activity_id, entry, Event.restore(own_id, source, timestamp, tags, content))

    def loads_many(self, entries: Iterable[tuple[int, bytes]]) -> list[StoredEvent]:
        """Return the stored events of ``(id, data)`` pairs. Searches call it, so it does without a call for each."""
        pairs = list(entries)
        try:
            fields = [_unpacked(data) for _, data in pairs]
            orders = _orders_of([each[3] for each in fields])
            restore = Event.restore
            return [
                StoredEvent(body_id, order << TIME_SHIFT | low, restore(own_id, source, timestamp, tags, content))
                for (body_id, _), order, (low, own_id, source, timestamp, tags, content) in zip(
                    pairs, orders, fields, strict=True
                )
            ]
        except (ValueError, TypeError, struct.error):
            # One of them is damaged; this names it.
            return [self.loads(data, body_id) for body_id, data in pairs]


class EntrySerializer(Serializer[IndexEntry]):
    """Stores the payload of an index entry as it is."""

    def dumps(self, activity: Any) -> bytes:
        """Return the payload."""
        payload: bytes = activity.payload
        return payload

    def loads(self, data: bytes, activity_id: int) -> IndexEntry:
        """Return the entry of a payload."""
        return IndexEntry(activity_id, data)

    def loads_many(self, entries: Iterable[tuple[int, bytes]]) -> list[IndexEntry]:
        """Return the entries of payloads."""
        return list(itertools.starmap(IndexEntry, entries))


class EntryIds:
    """The low halves of entry ids, counted from a random number of each process.

    So the entries of one time are in the order in which a process saved them, which stores append fastest. Two
    processes return the same number only if their random numbers of 63 bits lie next to each other.
    """

    def __init__(self) -> None:
        self._process = -1
        self._numbers = itertools.count()

    def take(self) -> int:
        """Return a low half that no other call returns."""
        if self._process != os.getpid():
            self._numbers = itertools.count(secrets.randbits(TIME_SHIFT - 1))
            self._process = os.getpid()
        low: int = next(self._numbers) & _LOWEST
        return low


def _unpacked(data: bytes) -> Any:
    """Return the fields of a body. Raises ``ValueError`` for bytes of another format."""
    if data[0] != _FORMAT:
        raise ValueError("the bytes have another format")
    return msgpack.unpackb(memoryview(data)[1:])


def _orders_of(times: list[float]) -> list[int]:
    """Return :func:`order_of` of each time, in one step for all."""
    bits = struct.unpack(f">{len(times)}Q", struct.pack(f">{len(times)}d", *times))
    return [_SIGN | each if each < _SIGN else _LOWEST ^ each for each in bits]


def order_of(seconds: float) -> int:
    """Return 64 bits that sort as the times do, for any float.

    >>> order_of(-1.5) < order_of(-1.0) < order_of(0.0) < order_of(1e-9) < order_of(1.0)
    True
    """
    bits: int = _integer.unpack(_double.pack(seconds))[0]
    return _SIGN | bits if bits < _SIGN else _LOWEST ^ bits


def first_entry(seconds: float) -> int:
    """Return the lowest id that an entry of a time can have."""
    return order_of(seconds) << TIME_SHIFT


def last_entry(seconds: float) -> int:
    """Return the highest id that an entry of a time can have."""
    return first_entry(seconds) | _LOWEST


def entry_of(seconds: float, low: int) -> int:
    """Return the id of an entry."""
    return first_entry(seconds) | low


def body_id_of(own_id: str) -> int:
    """Return the id of the body of the event with an own id."""
    return int.from_bytes(blake2b(own_id.encode(), digest_size=ID_BYTES).digest(), "big")


def day_of(seconds: float) -> int:
    """Return the day of a time: the number of days since the start of the year 1."""
    return int(seconds // SECONDS_A_DAY) + _EPOCH


def all_key(day: int) -> str:
    """Return the key of the timeline of all events of a day."""
    return f"all:{date.fromordinal(day).isoformat()}"


def flag_key(flag: str, day: int) -> str:
    """Return the key of the timeline of the events of a day that carry a flag."""
    return f"flag:{date.fromordinal(day).isoformat()}:{_name(flag)}"


def flag_days_key(flag: str) -> str:
    """Return the key of the timeline of the days on which events carry a flag."""
    return f"{DAYS}:{_name(flag)}"


def sources_key(day: int) -> str:
    """Return the key of the timeline of the sources of a day."""
    return f"sources:{date.fromordinal(day).isoformat()}"


def named(name: str) -> IndexEntry:
    """Return the entry that holds the name of a flag or a source."""
    return IndexEntry(body_id_of(name), name.encode())


def save_entry(body_ids: Iterable[int]) -> IndexEntry:
    """Return the entry of one save: its id is the time of the save, and its payload the ids of the bodies."""
    now = min(time.time_ns(), MAX_ID >> TIME_SHIFT)
    return IndexEntry(now << TIME_SHIFT | secrets.randbits(TIME_SHIFT), b"".join(map(id_to_bytes, body_ids)))


def body_ids_of(save: IndexEntry) -> list[int]:
    """Return the ids of the bodies of one save."""
    payload = save.payload
    return [int.from_bytes(payload[at : at + ID_BYTES], "big") for at in range(0, len(payload), ID_BYTES)]


def _name(name: str) -> str:
    """Return a name as the part of a key, which its hash replaces if it is too long for one."""
    if len(name) * 4 <= _LONGEST_NAME or len(name.encode()) <= _LONGEST_NAME:
        return name
    return f"~{blake2b(name.encode(), digest_size=ID_BYTES).hexdigest()}"

"""The stored form of events: bodies by time, the places of their ids, and indexes by day.

A body is an activity of the collection ``events``. Its id, the entry, is 64 bits of the time, which sort as the times
do, and 64 bits of a hash of the event's own id. So the bodies of a range of time lie next to each other in a store that
keeps activities in the order of their ids, and saving an event again at the same time replaces its body. The entries of
the indexes are the same ids, without payloads.

A place is an activity of the collection ``events-places``: its id is made of the event's own id by :func:`place_id_of`,
and it holds the event's entry. A body is that of an event only if the event's place holds the body's entry.

The timelines of the collection ``events`` are:

- ``all:<day>``: the entries of all events of a day, such as ``all:2026-11-29``.
- ``flag:<day>:<flag>``: the entries of those that carry a flag.
- ``days`` and ``days:<flag>``: the days that have such timelines.
- ``flags`` and ``sources:<day>``: the names of flags and sources, as payloads.
- ``saves``: the entries of the last saves, in the order of the saves, as payloads; see
  :class:`feedstore.events.saves.SaveClock`.

On backends with preconditions, a key-value storage has versions: ``version:<stripe>`` for the events whose place lies
in a stripe, and ``day:<stripe>`` for days that are over.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Iterable
from datetime import date
from functools import partial
from hashlib import blake2b
from operator import itemgetter
from typing import Any, NamedTuple
from zlib import crc32

import msgpack

from feedstore.events.event import LATEST, Event
from feedstore.ids import ID_BYTES, id_to_bytes
from feedstore.serializers import Serializer
from feedstore.serializers.base import undecodable, wrong_format

COLLECTION = "events"
PLACES = "events-places"
VERSIONS = "events/versions"
"""The name of the key-value storage of versions, which no key-value storage of the application should have."""
DAYS = "days"
FLAGS = "flags"
SAVES = "saves"
SECONDS_A_DAY = 86_400
CHUNK = 500
"""The number of events that one read returns, and one record of a save names, at most."""

_FORMAT = 0x96
_PLACE_FORMAT = 0x71
_PLACE_PREFIX = bytes([_PLACE_FORMAT])
_SHORT_TEXT, _TEXT_8, _TEXT_16, _TEXT_32 = 0xA0, 0xD9, 0xDA, 0xDB
_LONGEST_SHORT_TEXT = 0xBF
_PREFIX = bytes([_FORMAT])
_EPOCH = date(1970, 1, 1).toordinal()
TIME_SHIFT = 64
"""The number of the low bits of an entry, which follow its time."""
LOWEST: int = 2**TIME_SHIFT - 1
"""The low bits of an entry, all set."""
_SIGN: int = 2**63
_LONGEST_NAME = 900
_NEAR = -4
"""The position in an id of the digits that order places."""
_HASH_OF_LINE, _AFTER_COLON, _NEAR_LINE = -17, -16, -22
"""Positions in the id of a log line: of the colon in front of the hash, after it, and of the last five digits."""
_NEAR_BITS, _OWN_BYTES = 16, 10
_OWN_BITS = 8 * _OWN_BYTES
_first, _second = itemgetter(0), itemgetter(1)
_copy_hash = blake2b(digest_size=ID_BYTES).copy
_double = struct.Struct(">d")
_integer = struct.Struct(">Q")


class _StoredFields(NamedTuple):
    entry: int
    save: int
    event: Event


class StoredEvent(_StoredFields):
    """A stored event: the id of its body and of its index entries, the number of its save, and the event."""

    __slots__ = ()
    serialization_id: Any = property(itemgetter(0), doc="The id of the body.")


new_stored_event = partial(tuple.__new__, StoredEvent)
"""Makes a stored event of a tuple, without a call of Python."""


class Place(NamedTuple):
    """The place of an event: an id made of the event's own id, and the event's entry."""

    serialization_id: int
    entry: int


class IndexEntry(NamedTuple):
    """An entry of an index: its id, and the payload that it carries."""

    serialization_id: int
    payload: bytes


class EventSerializer(Serializer[StoredEvent]):
    """Stores the body of an event.

    Format ``0x96``, which is also the first byte of a msgpack array of six fields: ``[content, save, id, source,
    timestamp, tags]``, where ``save`` is the number of the save. The content is the first field, so that a search can
    match it without decoding the others.
    """

    def dumps(self, activity: Any) -> bytes:
        """Return the bytes of a stored event."""
        return self.dumps_many([activity])[0]

    def dumps_many(self, activities: Iterable[Any]) -> list[bytes]:
        """Return the bytes of stored events."""
        stored = list(activities)
        return bodies_of([event for _, _, event in stored], [save for _, save, _ in stored])

    def loads(self, data: bytes, activity_id: int) -> StoredEvent:
        """Return the stored event of the bytes."""
        if not isinstance(data, bytes) or data[:1] != _PREFIX:
            raise wrong_format(data, _FORMAT, activity_id)
        try:
            fields = msgpack.unpackb(data, use_list=False)
            (event,) = Event.restore_many([fields])
        except (ValueError, TypeError) as error:
            raise undecodable(activity_id, f"its msgpack is damaged ({error})") from error
        return StoredEvent(activity_id, fields[1], event)

    def loads_many(self, entries: Iterable[tuple[int, bytes]]) -> list[StoredEvent]:
        """Return the stored events of ``(id, data)`` pairs. Searches call it, so it does without a call for each."""
        pairs = list(entries)
        unpack = msgpack.unpackb
        try:
            fields = [unpack(data, use_list=False) for _, data in pairs]
            columns = map(_first, pairs), map(_second, fields), Event.restore_many(fields)
            return list(map(new_stored_event, zip(*columns, strict=True)))
        except (ValueError, TypeError):
            # One of them is damaged; this names it.
            return [self.loads(data, entry) for entry, data in pairs]


class PlaceSerializer(Serializer[Place]):
    """Stores the place of an event. Format ``0x71``: that byte, then the 16 bytes of the entry."""

    def dumps(self, activity: Any) -> bytes:
        """Return the bytes of a place."""
        return _PLACE_PREFIX + id_to_bytes(activity.entry)

    def dumps_many(self, activities: Iterable[Any]) -> list[bytes]:
        """Return the bytes of places."""
        return places_of([entry for _, entry in activities])

    def loads(self, data: bytes, activity_id: int) -> Place:
        """Return the place of the bytes."""
        if not isinstance(data, bytes) or data[:1] != _PLACE_PREFIX:
            raise wrong_format(data, _PLACE_FORMAT, activity_id)
        if len(data) != 1 + ID_BYTES:
            raise undecodable(activity_id, f"it has {len(data)} bytes, not {1 + ID_BYTES}")
        return Place(activity_id, int.from_bytes(data[1:], "big"))


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


def bodies_of(events: Iterable[Event], saves: Iterable[int]) -> list[bytes]:
    """Return the bytes of events that were saved with these numbers; see :class:`EventSerializer`."""
    # A packer serves one thread. Making one for each event takes as long as packing the event.
    pack = msgpack.Packer().pack
    return [
        pack((event.content, save, event.id, event.source, event.timestamp, event.tags))
        for event, save in zip(events, saves, strict=True)
    ]


def places_of(entries: Iterable[int]) -> list[bytes]:
    """Return the bytes of the places that hold entries; see :class:`PlaceSerializer`."""
    return [_PLACE_PREFIX + entry.to_bytes(ID_BYTES, "big") for entry in entries]


def contents_of(bodies: Iterable[bytes]) -> list[bytes]:
    """Return the contents of bodies in UTF-8, without decoding the other fields.

    Raises:
        ValueError: The bytes of a body have another format.
    """
    contents = []
    for data in bodies:
        kind = data[1]
        if kind == _TEXT_8:
            start, end = 3, 3 + data[2]
        elif _SHORT_TEXT <= kind <= _LONGEST_SHORT_TEXT:
            start, end = 2, 2 + kind - _SHORT_TEXT
        else:
            start = {_TEXT_16: 4, _TEXT_32: 6}.get(kind, len(data))
            end = start + int.from_bytes(data[2:start], "big")
        # Other fields follow the content.
        if data[0] != _FORMAT or end >= len(data):
            raise ValueError("the bytes have another format")
        contents.append(data[start:end])
    return contents


def order_of(seconds: float) -> int:
    """Return 64 bits that sort as the times do, for any float.

    >>> order_of(-1.5) < order_of(-1.0) < order_of(0.0) < order_of(1e-9) < order_of(1.0)
    True
    """
    bits: int = _integer.unpack(_double.pack(seconds))[0]
    return _SIGN | bits if bits < _SIGN else LOWEST ^ bits


def first_entry(seconds: float) -> int:
    """Return the lowest id that an entry of a time can have."""
    return order_of(seconds) << TIME_SHIFT


def last_entry(seconds: float) -> int:
    """Return the highest id that an entry of a time can have."""
    return first_entry(seconds) | LOWEST


def entries_of_times(times: list[float], place_ids: list[int]) -> list[int]:
    """Return the entries of the events of times, whose places have these ids."""
    bits = struct.unpack(f">{len(times)}Q", struct.pack(f">{len(times)}d", *times))
    orders = [_SIGN | each if each < _SIGN else LOWEST ^ each for each in bits]
    return [order << TIME_SHIFT | place_id & LOWEST for order, place_id in zip(orders, place_ids, strict=True)]


def _hashed(text: str) -> int:
    """Return 128 bits of the hash of a str."""
    return int.from_bytes(_digest(text), "big")


def _digest(text: str) -> bytes:
    """Return 16 bytes of the hash of a str."""
    # A copy takes less time than a new hash with its arguments.
    hashing = _copy_hash()
    hashing.update(text.encode())
    return hashing.digest()


def place_id_of(own_id: str) -> int:
    """Return the id of the place of the event with an own id; see :func:`place_ids_of`."""
    return place_ids_of((own_id,))[0]


def place_ids_of(own_ids: Iterable[str]) -> list[int]:
    """Return the ids of the places of the events with these own ids: 48 bits that order them, and 80 bits of a hash.

    Ids that differ only in a number have places next to each other, in the order of the numbers, so that a chunk of
    them changes few pages of a database. Those are the ids of log lines, which end with the line's position, a colon
    and a hash of 16 digits, and ids that end with four digits. The first 32 bits are a hash of the part in front of the
    number, because Cassandra keeps ids with the same first 27 bits together. The places of all other ids are in the
    order of the hash.
    """
    places = []
    prefix, near = None, 0
    for own_id in own_ids:
        digest = _digest(own_id)
        if own_id[_HASH_OF_LINE:_AFTER_COLON] == ":" and (digits := own_id[_NEAR_LINE:_HASH_OF_LINE]).isdecimal():
            front, number = own_id[:_NEAR_LINE], int(digits) >> 1
        elif (digits := own_id[_NEAR:]).isdecimal():
            front, number = own_id[:_NEAR], int(digits)
        else:
            places.append(int.from_bytes(digest, "big"))
            continue
        if front != prefix:
            prefix, near = front, crc32(front.encode()) << _NEAR_BITS
        places.append((near | number) << _OWN_BITS | int.from_bytes(digest[-_OWN_BYTES:], "big"))
    return places


def day_of(seconds: float) -> int:
    """Return the day of a time: the number of days since the start of the year 1."""
    return int(seconds // SECONDS_A_DAY) + _EPOCH


def bounds_of_day(day: int) -> tuple[float, float]:
    """Return the first and the last time of a day.

    >>> day_of(bounds_of_day(719163)[0]), day_of(bounds_of_day(719163)[1])
    (719163, 719163)
    """
    start = float((day - _EPOCH) * SECONDS_A_DAY)
    return start, min(math.nextafter(start + SECONDS_A_DAY, -math.inf), LATEST)


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
    return IndexEntry(_hashed(name), name.encode())


def _name(name: str) -> str:
    """Return a name as the part of a key, which its hash replaces if it is too long for one."""
    if len(name) * 4 <= _LONGEST_NAME or len(name.encode()) <= _LONGEST_NAME:
        return name
    return f"~{blake2b(name.encode(), digest_size=ID_BYTES).hexdigest()}"

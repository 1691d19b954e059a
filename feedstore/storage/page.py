"""Pages of a timeline, its entries in columns, and the cursors of the next pages."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from struct import Struct
from sys import byteorder
from typing import Any, Generic, TypeVar, overload

from feedstore.errors import InvalidCursorError, InvalidTypeError
from feedstore.ids import ID_BYTES, MAX_ID, id_from_bytes, id_to_bytes, id_to_text, parse_id
from feedstore.serializers.base import Item
from feedstore.shown import shown
from feedstore.storage.bounds import EVERYTHING, Bounds

Made = TypeVar("Made")
Value = TypeVar("Value")
_FIELDS = {"items", "next_cursor", "complete", "floor"}
_ABOVE_EVERY_ID = "1" + id_to_text(0)
_URL_SAFE, _STANDARD = bytes.maketrans(b"+/", b"-_"), bytes.maketrans(b"-_", b"+/")
_PAYLOADS_AT_ONCE = 64
_WORD_BYTES = 8
_WORDS_OF_ID = ID_BYTES // _WORD_BYTES
_CURSOR_VERSION = 1
_HEADER_BYTES = 2
_CHECKSUM_BYTES = 6
_CURSOR_BYTES = _HEADER_BYTES + ID_BYTES


@dataclass(frozen=True, slots=True)
class EntryColumns:
    """The newest entries of a timeline in two columns, newest first, and the floor of the timeline.

    ``payloads`` are the stored bytes, ``b""`` for an entry without a payload. ``len`` counts the entries. Each column
    equals a list of the same values.
    """

    ids: Sequence[int]
    payloads: Sequence[bytes]
    floor: int | None

    def __len__(self) -> int:
        return len(self.ids)


class Column(Sequence[Value]):
    """A sequence that makes its values when they are read. It equals a list of the same values, and is shown as one."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    def __repr__(self) -> str:
        return repr(list(self))


class StoredIds(Column[int]):
    """A sequence of ids that holds their stored bytes, and decodes an id when it is read.

    A page of an aggregated feed reads 800 entries and shows the ids of 50: decoding all would take 60 µs.
    """

    __slots__ = ("_stored",)

    def __init__(self, stored: Sequence[bytes]) -> None:
        self._stored = stored

    def __len__(self) -> int:
        return len(self._stored)

    @overload
    def __getitem__(self, position: int) -> int: ...

    @overload
    def __getitem__(self, position: slice) -> Sequence[int]: ...

    def __getitem__(self, position: int | slice) -> int | Sequence[int]:
        """Return the id at a position, or the ids of a slice."""
        if isinstance(position, slice):
            return StoredIds(self._stored[position])
        return int.from_bytes(self._stored[position], "big")


class PackedIds(Column[int]):
    """A sequence of ids, newest first, over one run of bytes that holds them oldest first, each at a fixed distance.

    The bytes between two ids are not read. None have to follow the last id.
    """

    __slots__ = ("_distance", "_last", "_run")

    def __init__(self, run: bytes, distance: int) -> None:
        self._run = run
        self._distance = distance
        self._last = (len(run) + distance - ID_BYTES) // distance - 1

    def __len__(self) -> int:
        return self._last + 1

    @overload
    def __getitem__(self, position: int) -> int: ...

    @overload
    def __getitem__(self, position: slice) -> Sequence[int]: ...

    def __getitem__(self, position: int | slice) -> int | Sequence[int]:
        """Return the id at a position, or the ids of a slice."""
        if isinstance(position, slice):
            return self.at(range(len(self))[position])
        place = self._last - position if position >= 0 else -1 - position
        if not 0 <= place <= self._last:
            raise IndexError(position)
        start = place * self._distance
        return int.from_bytes(self._run[start : start + ID_BYTES], "big")

    def at(self, positions: Iterable[int]) -> list[int]:
        """Return the ids at positions of the sequence, which are not negative."""
        run, distance, from_bytes = self._run, self._distance, int.from_bytes
        end = self._last * distance + ID_BYTES
        ends = [end - position * distance for position in positions]
        return [from_bytes(run[end - ID_BYTES : end], "big") for end in ends]


def ids_at(ids: Sequence[int], positions: Sequence[int]) -> list[int]:
    """Return the ids at positions of a sequence of ids, which are not negative."""
    return ids.at(positions) if ids.__class__ is PackedIds else [ids[position] for position in positions]


class PackedPayloads(Column[bytes]):
    """A sequence of payloads of one length, newest first, over the run of bytes of :class:`PackedIds`.

    The payload of the oldest entry is not in the run. Each other one is before the id of its entry.
    """

    __slots__ = ("_cut", "_oldest", "_run")

    def __init__(self, oldest: bytes, run: bytes) -> None:
        self._oldest = oldest
        self._run = run
        self._cut: list[bytes] | None = None

    def __len__(self) -> int:
        return len(self._run) // (ID_BYTES + len(self._oldest)) + 1

    @overload
    def __getitem__(self, position: int) -> bytes: ...

    @overload
    def __getitem__(self, position: slice) -> list[bytes]: ...

    def __getitem__(self, position: int | slice) -> bytes | list[bytes]:
        """Return the payload at a position, or the payloads of a slice."""
        return self._all()[position]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._all())

    def _all(self) -> list[bytes]:
        """Return all payloads. One call cuts 64 of them out: 800 take 10 µs, one after the other 45."""
        if self._cut is None:
            run, length = self._run, len(self._oldest)
            blocks, rest = divmod(len(self) - 1, _PAYLOADS_AT_ONCE)
            block = _cutter(length, _PAYLOADS_AT_ONCE)
            end = blocks * block.size
            payloads = list(chain.from_iterable(block.iter_unpack(memoryview(run)[:end])))
            payloads += _cutter(length, rest).unpack_from(run, end)
            payloads.reverse()
            self._cut = [*payloads, self._oldest]
        return self._cut

    def places(self) -> dict[bytes, list[int]]:
        """Return the positions of each payload, in the order of their first positions.

        Payloads of 8 bytes are read as numbers: 800 take 55 µs, and 70 if an object of bytes is made for each.
        """
        if len(self._oldest) != _WORD_BYTES:
            return positions_by_value(self._all())
        # The numbers are not kept in a list: each makes room for the next one.
        words = memoryview(self._run).cast("Q")[_WORDS_OF_ID :: _WORDS_OF_ID + 1][::-1]
        numbers = chain(words, (int.from_bytes(self._oldest, byteorder),))
        return {
            number.to_bytes(_WORD_BYTES, byteorder): places for number, places in positions_by_value(numbers).items()
        }


def positions_by_value(values: Iterable[Value]) -> dict[Value, list[int]]:
    """Return the positions of each value, in the order of their first positions. 800 take 50 µs."""
    places: defaultdict[Value, list[int]] = defaultdict(list)
    for place, value in enumerate(values):
        places[value].append(place)
    return dict(places)


@lru_cache(maxsize=4 * _PAYLOADS_AT_ONCE)
def _cutter(length: int, count: int) -> Struct:
    return Struct(f"{ID_BYTES}x{length}s" * count)


@dataclass(frozen=True)
class Page(Generic[Item]):
    """A page of a timeline: some entries in one ordering, the cursor of the next page, and the floor.

    Iterating over a page yields its items, and ``len`` counts them. A page without items is true, because more pages
    may follow: end a walk when ``next_cursor`` is None.

    Attributes:
        items: References, objects of the storage's serializer, or hydrated activities. Hydration leaves removed
            activities out, so a page may have fewer items than its limit and still not be the last page.
        next_cursor: The cursor of the next page, or None on the last page.
        complete: Whether this is the last page of a timeline that was never trimmed, so that no entry exists beyond
            it. If a last page is not complete, older entries were trimmed.
        floor: None if the timeline was never trimmed. Otherwise every trimmed entry is older than this id, and every
            entry at or above it that was added and not removed is present. The floor is 2**128 if the highest id was
            trimmed.
    """

    items: list[Item]
    next_cursor: str | None
    complete: bool
    floor: int | None

    @classmethod
    def of(cls, items: list[Item], last_id: int | None, floor: int | None, descending: bool) -> Page[Item]:
        """Return the page of ``items``. ``last_id`` is the id of its last entry if another page follows, else None."""
        next_cursor = None if last_id is None else encode_cursor(last_id, descending)
        return cls(items, next_cursor, next_cursor is None and floor is None, floor)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __bool__(self) -> bool:
        return True

    def to_dict(self, item_to_dict: Callable[[Any], Any] | None = None) -> dict[str, Any]:
        """Return the page as JSON values: ``items``, ``next_cursor``, ``complete`` and ``floor``.

        Args:
            item_to_dict: returns the form of an item. By default it is the item's own ``to_dict``, which activities,
                references and aggregated activities have.
        """
        items: list[Any] = self.items
        return {
            "items": [item.to_dict() if item_to_dict is None else item_to_dict(item) for item in items],
            "next_cursor": self.next_cursor,
            "complete": self.complete,
            "floor": floor_to_text(self.floor),
        }

    @staticmethod
    def from_dict(fields: Mapping[str, Any], item_from_dict: Callable[[Any], Made]) -> Page[Made]:
        """Return the page of a mapping such as a result of :meth:`to_dict`.

        Args:
            fields: the mapping.
            item_from_dict: returns an item from its form, such as :meth:`feedstore.Activity.from_dict`.

        Raises:
            InvalidTypeError: ``fields`` is no mapping with the four fields of a page.
        """
        if not isinstance(fields, Mapping) or set(fields) != _FIELDS:
            raise InvalidTypeError(f"a page is a mapping of {', '.join(sorted(_FIELDS))}, not {shown(fields)}")
        items = [item_from_dict(item) for item in fields["items"]]
        return Page(items, fields["next_cursor"], bool(fields["complete"]), floor_from_text(fields["floor"]))


def floor_to_text(floor: int | None) -> str | None:
    """Return a floor in the form of an id's text; a floor above every id has one digit more."""
    if floor is None:
        return None
    return id_to_text(floor) if floor <= MAX_ID else _ABOVE_EVERY_ID


def floor_from_text(text: str | None) -> int | None:
    """Return the floor of the text that :func:`floor_to_text` returns."""
    if text is None:
        return None
    return MAX_ID + 1 if text == _ABOVE_EVERY_ID else parse_id(text)


def encode_cursor(last_id: int, descending: bool) -> str:
    """Return the cursor of the page after the entry ``last_id``: 32 URL-safe characters, the same on every backend."""
    return encode_checked(bytes([_CURSOR_VERSION, descending]) + id_to_bytes(last_id))


def cursor_bounds(cursor: str | None, descending: bool) -> Bounds:
    """Return the bounds of the ids after a cursor. None is the start of a walk, before every id.

    Raises:
        InvalidCursorError: The cursor was altered, or belongs to the other ordering.
    """
    if cursor is None:
        return EVERYTHING
    last_id = _decode_cursor(cursor, descending)
    return Bounds(0, last_id - 1) if descending else Bounds(lowest=last_id + 1)


def _decode_cursor(cursor: str, descending: bool) -> int:
    body = decode_checked(cursor)
    if len(body) != _CURSOR_BYTES:
        raise altered_cursor(cursor)
    if body[0] != _CURSOR_VERSION:
        raise InvalidCursorError(
            f"the cursor {shown(cursor)} was made by a newer release of feedstore; upgrade this one"
        )
    if body[1] != descending:
        raise InvalidCursorError(
            f"the cursor {shown(cursor)} belongs to the other ordering; pass the ordering of its page"
        )
    return id_from_bytes(body[_HEADER_BYTES:])


def encode_checked(body: bytes) -> str:
    """Return bytes and their checksum in URL-safe characters, as cursors of all kinds are written."""
    checksum = blake2b(body, digest_size=_CHECKSUM_BYTES).digest()
    # As base64.urlsafe_b64encode, in half the time: each page writes a cursor, and reads another one.
    return b2a_base64(body + checksum, newline=False).translate(_URL_SAFE).rstrip(b"=").decode()


def decode_checked(cursor: str) -> bytes:
    """Return the bytes of a str that :func:`encode_checked` returned.

    Raises:
        InvalidTypeError: The cursor is not a str.
        InvalidCursorError: The cursor was altered.
    """
    if not isinstance(cursor, str):
        raise InvalidTypeError(f"a cursor must be the str of a page's next_cursor, not {shown(cursor)}")
    try:
        standard = cursor.encode("ascii").translate(_STANDARD) + b"=" * (-len(cursor) % 4)
        body = a2b_base64(standard)[:-_CHECKSUM_BYTES]
    except ValueError:
        raise altered_cursor(cursor) from None
    # Base64 has several spellings of the same bytes, and encode_checked returns one of them.
    if encode_checked(body) != cursor:
        raise altered_cursor(cursor)
    return body


def altered_cursor(cursor: str) -> InvalidCursorError:
    """Return the error of a cursor that no page of the same kind returned."""
    return InvalidCursorError(
        f"the cursor {shown(cursor, 64)} was altered, cut off or returned by a page of another kind; pass a page's "
        "next_cursor unchanged"
    )

"""The edges of the follow graph, and the keys, ids and bytes that store them."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from hashlib import blake2b
from typing import Any, NamedTuple
from uuid import UUID

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.feeds import UserId
from feedstore.ids import derive_id, microseconds_of, time_of_id
from feedstore.serializers import Serializer
from feedstore.serializers.base import wrong_format
from feedstore.serializers.values import pack_value, unpack_value
from feedstore.shown import decimal_digits, shown
from feedstore.storage.checks import check_key
from feedstore.storage.page import EntryColumns

FORMAT = 0x51
FOLLOW, BLOCK, MUTE = "follow", "block", "mute"
_KIND = re.compile(r"[a-z][a-z0-9_-]{0,31}", re.ASCII)
_PREFIX = bytes([FORMAT])
_ARRAY, _ARRAY_MARK = struct.Struct(">BI"), 0xDD
_NAME_TYPES = frozenset({str, int, UUID})
_LONGEST_TOKEN = 200
_QUOTED = str.maketrans({character: f"%{ord(character):02X}" for character in "%:{}~"})
_TOKEN_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Follow:
    """An entry of a list of followers or of followed things.

    - ``name``: the follower, or the followed user or thing, of the type that the call of ``follow`` passed.
    - ``serialization_id``: the id of the entry, which a new follow of the same pair does not get again.
    """

    name: UserId
    serialization_id: int

    @property
    def since(self) -> datetime:
        """The time of the follow, in UTC to the microsecond."""
        return time_of_id(self.serialization_id)

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"name": …, "since": …}`` in types of JSON; a UUID becomes a str."""
        name = str(self.name) if isinstance(self.name, UUID) else self.name
        return {"name": name, "since": self.since.isoformat()}


class FollowSerializer(Serializer[Follow]):
    """The serializer of the graph's timelines: it stores the name beside an id.

    Format ``0x51``: that byte, then the name as a plain value (see :mod:`feedstore.serializers.values`).
    """

    def dumps(self, activity: Any) -> bytes:
        """Return the bytes of an entry's name."""
        if not isinstance(activity, Follow):
            raise InvalidTypeError(f"{type(self).__name__} stores entries of a follow graph, not {shown(activity)}")
        return _PREFIX + pack_value(activity.name)

    def loads(self, data: bytes, activity_id: int) -> Follow:
        """Return the entry of an id."""
        if data[:1] != _PREFIX:
            raise wrong_format(data, FORMAT, activity_id)
        return Follow(unpack_value(data[1:]), activity_id)

    def loads_many(self, entries: Iterable[tuple[int, bytes]]) -> list[Follow]:
        """Return the entries of a page: the followers of a fan-out are read by the thousand."""
        pairs = list(entries)
        if any(data[:1] != _PREFIX for _, data in pairs):
            return super().loads_many(pairs)
        try:
            names = [unpack_value(data[1:]) for _, data in pairs]
        except (ValueError, TypeError):
            # The general way names the entry that is damaged.
            return super().loads_many(pairs)
        return [Follow(name, pair[0]) for name, pair in zip(names, pairs, strict=True)]


def names_of(columns: EntryColumns, limit: int) -> list[UserId]:
    """Return the names of the newest ``limit`` entries of some columns.

    All bytes are decoded as one msgpack array: 0.1 µs for each name in place of 0.6 µs. The format byte 0x51 is the
    msgpack form of the number 81. No id is decoded, which takes another 0.5 µs on most stores.
    """
    payloads = columns.payloads[:limit]
    try:
        values = unpack_value(_ARRAY.pack(_ARRAY_MARK, 2 * len(payloads)) + b"".join(payloads))
    except (ValueError, TypeError):
        values = []
    if len(values) == 2 * len(payloads) and values[::2] == [FORMAT] * len(payloads):
        names: list[UserId] = values[1::2]
        if _NAME_TYPES.issuperset(map(type, names)):
            return names
    # The general way names the entry that is damaged.
    return [one.name for one in FollowSerializer().loads_many(zip(columns.ids[:limit], payloads, strict=True))]


class Edge(NamedTuple):
    """A pair of a follower and a followed user or thing, with the kind of their relation.

    The row of an edge is a key-value item, and the source of truth: its value is the mark of a follow while the
    edge exists. The entries of the two timelines have the mark as their id.
    """

    follower: UserId
    followed: UserId
    kind: str

    @property
    def row_key(self) -> str:
        """The key of the row, which lies together with the timelines of the follower."""
        return f"{{{token_of(self.follower)}}}:{self.kind}:{token_of(self.followed)}"

    @property
    def following_key(self) -> str:
        """The key of the timeline of everything that the follower follows."""
        return following_key(self.follower, self.kind)

    @property
    def followers_key(self) -> str:
        """The key of the timeline of the followers."""
        return followers_key(self.followed, self.kind)

    @property
    def guards(self) -> tuple[Edge, Edge]:
        """The blocks of the two users, which prevent a follow."""
        return self._replace(kind=BLOCK), self.reversed(BLOCK)

    def reversed(self, kind: str) -> Edge:
        """Return the edge of a kind in the other direction."""
        return Edge(self.followed, self.follower, kind)

    def mark(self, since: datetime, nonce: int) -> int:
        """Return the id of a follow: it sorts by ``since``, and another ``nonce`` gives another id."""
        return derive_id(since, self.kind, str(self.follower), str(self.followed), nonce)

    def entries(self, mark: int) -> dict[str, list[Follow]]:
        """Return the entries of both timelines by key."""
        return {
            self.following_key: [Follow(self.followed, mark)],
            self.followers_key: [Follow(self.follower, mark)],
        }


def following_key(user: UserId, kind: str) -> str:
    """Return the key of the timeline of everything that a user follows."""
    return f"{{{token_of(user)}}}:following:{kind}"


def followers_key(user: UserId, kind: str) -> str:
    """Return the key of the timeline of a user's followers."""
    return f"{{{token_of(user)}}}:followers:{kind}"


def token_of(user: UserId) -> str:
    """Return the part of a key for a checked user: separators are percent-encoded, and a long name is hashed.

    >>> token_of("bob"), token_of("bob:x"), token_of(7) == token_of("7")
    ('bob', 'bob%3Ax', True)
    """
    # An import calls this function six times for each edge.
    text = str(user)
    token = text if text.isalnum() else text.translate(_QUOTED)
    if len(token) <= _LONGEST_TOKEN and (token.isascii() or len(token.encode()) <= _LONGEST_TOKEN):
        return token
    return "~" + blake2b(text.encode(), digest_size=_TOKEN_DIGEST_BYTES).hexdigest()


def checked_user(user: UserId, what: str) -> UserId:
    """Return a user or thing, or raise unless it is a str, an int or a UUID."""
    if isinstance(user, str):
        return str.__str__(check_key(user, what))
    if isinstance(user, int) and not isinstance(user, bool):
        plain = int(user)
        check_key(decimal_digits(plain), what)
        return plain
    if isinstance(user, UUID):
        return UUID(int=user.int)
    raise InvalidTypeError(f"{what} must be a str, an int or a UUID, not {shown(user)} of type {type(user).__name__}")


def timeline_entries(marks: Sequence[tuple[Edge, int]]) -> dict[str, list[Follow]]:
    """Return the entries of several edges by the key of their timeline."""
    found: dict[str, list[Follow]] = {}
    for edge, mark in marks:
        for key, entries in edge.entries(mark).items():
            found.setdefault(key, []).extend(entries)
    return found


def with_edges(follows: Iterable[Follow], user: UserId, kind: str, is_following: bool) -> list[tuple[Edge, Follow]]:
    """Return the entries of a user's list with their edges."""
    if is_following:
        return [(Edge(user, one.name, kind), one) for one in follows]
    return [(Edge(one.name, user, kind), one) for one in follows]


def checked_kind(kind: str) -> str:
    """Return the name of a kind of follows, or raise if it is not valid."""
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise InvalidValueError(
            f"the kind {shown(kind)} is not 1 to 32 characters of a-z, 0-9, _ and -, a letter first"
        )
    return kind


def checked_time(since: datetime | None) -> datetime | None:
    """Return the time of a follow, or raise unless it is None or has a time zone."""
    if since is not None:
        microseconds_of(since)
    return since


def moments() -> Iterator[datetime]:
    """Yield the current time without end, each time later than the one before.

    So an import adds each edge at the top of its timelines. Edges of one time would come in the order of their hashes.
    """
    last = datetime.min.replace(tzinfo=timezone.utc)
    while True:
        last = max(last + timedelta.resolution, datetime.now(timezone.utc))
        yield last

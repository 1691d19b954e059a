"""The follows of input files: in memory for one run, or imported into a stored graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from feedstore.errors import InputError, InvalidTypeError, InvalidValueError
from feedstore.fanout import FollowGraph
from feedstore.feeds import UserId
from feedstore.ingest.formats import read_table
from feedstore.ingest.rows import SURELY_SHORT, check_user
from feedstore.ingest.source import Source
from feedstore.ingest.summary import Problems
from feedstore.ingest.table import Columns, InputTable
from feedstore.ingest.times import parse_time
from feedstore.shown import shown

FOLLOW_COLUMNS = Columns(
    ("follower", "followee", "time"), optional=("time",), aliases={"source": "follower", "target": "followee"}
)
_NO_READERS: tuple[str, ...] = ()
_Pair = tuple[str, str, datetime | None]


class _Edges:
    """The edges of an input: ``followers`` holds the names of each followee's followers, repeated ones included.

    ``names`` maps each follower to the one str of its name that all its edges share in memory.
    """

    def __init__(self, pairs: Iterable[tuple[str | int, str | int]] = ()) -> None:
        self.names: dict[str, str] = {}
        self.followers: dict[str, list[str]] = {}
        for follower, followee in pairs:
            self.add(str(follower), str(followee))

    def add(self, follower: str, followee: str) -> None:
        """Add one edge."""
        self.followers.setdefault(followee, []).append(self.names.setdefault(follower, follower))

    def add_columns(self, followers: Sequence[str], followees: Sequence[str]) -> list[int]:
        """Add the edges whose users are both known already, and return the row numbers of the other edges.

        Reading a million edges spends most of its time here, so the loop makes two look-ups for each edge only.
        """
        names, lists = self.names, self.followers
        others = []
        for number, (follower, followee) in enumerate(zip(followers, followees, strict=True)):
            try:
                lists[followee].append(names[follower])
            except KeyError:
                others.append(number)
        return others


class InputFollowers:
    """The followers of an input, in memory: a source of followers that a manager takes as its ``graph``.

    It consists of ``(follower, followee)`` pairs; a repeated pair counts once. It lasts as long as the process:
    :class:`feedstore.fanout.FollowGraph` stores follows. Memory: one reference for each edge, and one str for each
    follower.

    - ``edges`` and ``readers`` are the numbers of pairs and of followers; ``repeated`` is the number of repeated pairs.

    >>> InputFollowers([("bob", "ann"), ("eve", "ann")])("ann")
    ('bob', 'eve')
    """

    def __init__(self, pairs: _Edges | Iterable[tuple[str | int, str | int]] = ()) -> None:
        edges = pairs if isinstance(pairs, _Edges) else _Edges(pairs)
        given = sum(map(len, edges.followers.values()))
        self.readers = len(edges.names)
        self._followers = _distinct_and_shared(edges.followers)
        self.edges = sum(map(len, self._followers.values()))
        self.repeated = given - self.edges

    @property
    def followees(self) -> Set[str]:
        """The followed users."""
        return self._followers.keys()

    def __call__(self, user_id: UserId) -> tuple[str, ...]:
        """Return the followers of a user; users with the same followers share one tuple."""
        return self._followers.get(str(user_id), _NO_READERS)


@dataclass
class FollowCounts:
    """The numbers of an import of follows.

    - ``edges``: the pairs of the input, repeated ones included. ``new``: those that the graph did not hold before.
    - ``followers`` and ``followees``: the users.
    """

    edges: int = 0
    new: int = 0
    followers: set[str] = field(default_factory=set)
    followees: set[str] = field(default_factory=set)

    @property
    def readers(self) -> int:
        """The number of followers."""
        return len(self.followers)

    def of(self, pairs: Iterable[_Pair]) -> Iterator[_Pair]:
        """Yield pairs, and count them."""
        for pair in pairs:
            self.edges += 1
            self.followers.add(pair[0])
            self.followees.add(pair[1])
            yield pair


def import_follows(graph: FollowGraph, source: Source, problems: Problems) -> FollowCounts:
    """Add the follows of an input to a stored graph, with their times, and return the counts.

    Memory holds the names of the users, and not their follows. A malformed row is handled as by
    :func:`read_follow_pairs`.
    """
    counts = FollowCounts()
    counts.new = graph.import_follows(counts.of(read_follow_pairs(source, problems)), kind=graph.kinds[0])
    return counts


def _distinct_and_shared(lists: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}
    followers: dict[str, tuple[str, ...]] = {}
    for followee in list(lists):
        # The order has no meaning; sorted, equal sets become equal tuples.
        distinct = tuple(sorted(set(lists.pop(followee))))
        followers[followee] = shared.setdefault(distinct, distinct)
    return followers


def read_follows(source: Source, problems: Problems) -> InputFollowers:
    """Return the followers that an input with the columns ``follower,followee,time`` describes, or ``source,target``.

    The time may be empty or left out; it is checked and otherwise ignored. A malformed row makes an
    :class:`InputError` with its line, which ``problems`` raises or counts.
    """
    edges = _Edges()
    with source.open() as lines:
        table = read_table(lines, FOLLOW_COLUMNS)
        is_end = False
        while not is_end:
            try:
                is_end = _read_some(table, edges, problems)
            except InputError as error:
                problems.note(error, table)
    return InputFollowers(edges)


def read_follow_pairs(source: Source, problems: Problems) -> Iterator[_Pair]:
    """Yield the ``(follower, followee, time)`` of an input of follows, in bounded memory.

    :meth:`feedstore.fanout.FollowGraph.import_follows` accepts the result. A malformed row makes an :class:`InputError`
    with its line, which ``problems`` raises or counts.
    """
    with source.open() as lines:
        table = read_table(lines, FOLLOW_COLUMNS)
        is_end = False
        while not is_end:
            try:
                for values in table:
                    yield _pair_of(table, *values)
                is_end = True
            except InputError as error:
                problems.note(error, table)


def _pair_of(table: InputTable, follower: Any, followee: Any, time: Any) -> _Pair:
    try:
        since = None if time is None else parse_time(time)
        return _user("follower", follower), _user("followee", followee), since
    except (InvalidValueError, InvalidTypeError) as error:
        raise table.error(str(error)) from None


def _read_some(table: InputTable, edges: _Edges, problems: Problems) -> bool:
    """Read a block of rows where the table has one, else one row; return whether the table has ended."""
    columns = table.read_columns()
    if columns is None:
        values = next(table, None)
        if values is not None:
            _add_row(edges, table, *values)
        return values is None
    followers, followees, times = columns
    if times and any(times):
        rows: Iterable[int] = range(len(followers))
    else:
        rows = edges.add_columns(followers, followees)
    for row in rows:
        table.line = table.line_of(row)
        try:
            _add_row(edges, table, followers[row] or None, followees[row] or None, (times and times[row]) or None)
        except InputError as error:
            problems.note(error, table)
    return False


def _add_row(edges: _Edges, table: InputTable, follower: Any, followee: Any, time: Any) -> None:
    try:
        if time is not None:
            parse_time(time)
        edges.add(_user("follower", follower), _user("followee", followee))
    except (InvalidValueError, InvalidTypeError) as error:
        raise table.error(str(error)) from None


def _user(column: str, value: Any) -> str:
    if value.__class__ is str and len(value) <= SURELY_SHORT:
        return value
    if value is None:
        raise InvalidValueError(f"{column} is empty")
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        raise InvalidTypeError(f"{column} must be a str or an int, not {shown(value)} of type {type(value).__name__}")
    check_user(column, value)
    return str(value)

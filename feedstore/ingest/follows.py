"""The follow graphs of input files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from feedstore.errors import InputError, InvalidTypeError, InvalidValueError
from feedstore.fanout import FollowGraph
from feedstore.ingest.formats import read_table
from feedstore.ingest.rows import SURELY_SHORT
from feedstore.ingest.source import Source
from feedstore.ingest.summary import Problems
from feedstore.ingest.table import Columns, InputTable
from feedstore.ingest.times import parse_time
from feedstore.shown import shown
from feedstore.storage.checks import check_key
from feedstore.timeline_keys import reader_key

FOLLOW_COLUMNS = Columns(
    ("follower", "followee", "time"), optional=("time",), aliases={"source": "follower", "target": "followee"}
)
_NO_READERS: tuple[str, ...] = ()


class Edges:
    """The edges of an input: ``followers`` holds the keys of each followee's followers, repeated ones included.

    ``keys`` maps each follower to its key, so that all edges of a follower share one key in memory.
    """

    def __init__(self, pairs: Iterable[tuple[str | int, str | int]] = ()) -> None:
        self.keys: dict[str, str] = {}
        self.followers: dict[str, list[str]] = {}
        for follower, followee in pairs:
            self.add(str(follower), str(followee))

    def add(self, follower: str, followee: str) -> None:
        """Add one edge."""
        key = self.keys.get(follower)
        if key is None:
            key = self.keys[follower] = reader_key(follower)
        self.followers.setdefault(followee, []).append(key)

    def add_columns(self, followers: Sequence[str], followees: Sequence[str]) -> list[int]:
        """Add the edges whose users are both known already, and return the row numbers of the other edges.

        Reading a million edges spends most of its time here, so the loop makes two look-ups for each edge only.
        """
        keys, lists = self.keys, self.followers
        others = []
        for number, (follower, followee) in enumerate(zip(followers, followees, strict=True)):
            try:
                lists[followee].append(keys[follower])
            except KeyError:
                others.append(number)
        return others


class InputGraph:
    """The graph of followers and followees of an input, in memory: it decides the timelines that an actor's activities
    are delivered to. :class:`feedstore.fanout.FollowGraph` stores a graph.

    The graph consists of ``(follower, followee)`` pairs; a repeated pair counts once. An edge applies to all activities
    of the followee, old ones included. A followee without activities delivers nothing, and a follower without
    activities is a reader like any other. Memory: one reference for each edge, and one key for each reader.

    - ``edges``, ``followees`` and ``readers`` are the numbers of each; ``repeated`` is the number of repeated pairs.

    >>> InputGraph([("bob", "ann"), ("eve", "ann")]).readers_of("ann")
    ('feed:bob', 'feed:eve')
    """

    def __init__(self, pairs: Edges | Iterable[tuple[str | int, str | int]] = ()) -> None:
        edges = pairs if isinstance(pairs, Edges) else Edges(pairs)
        given = sum(map(len, edges.followers.values()))
        self.readers = len(edges.keys)
        self._readers = _distinct_and_shared(edges.followers)
        self.followees = len(self._readers)
        self.edges = sum(map(len, self._readers.values()))
        self.repeated = given - self.edges

    def __contains__(self, actor: str | int) -> bool:
        return str(actor) in self._readers

    def readers_of(self, actor: str | int) -> tuple[str, ...]:
        """Return the keys of the timelines of an actor's followers; actors with the same followers share one tuple."""
        return self._readers.get(str(actor), _NO_READERS)


class StoredReaders:
    """The followers in a stored :class:`~feedstore.fanout.FollowGraph`, as a :class:`Loader` reads them.

    It reads the followers of each actor once, in pages of 500, and keeps their keys in memory; a later follow does not
    change the deliveries of the same loader. Actors with the same followers share one tuple.
    """

    edges = followees = readers = 0
    """The numbers of a graph in memory. Here they are 0, because to count a stored graph is to read all of it."""

    def __init__(self, graph: FollowGraph) -> None:
        self._graph = graph
        self._readers: dict[str, tuple[str, ...]] = {}
        self._shared: dict[tuple[str, ...], tuple[str, ...]] = {}

    def readers_of(self, actor: str | int) -> tuple[str, ...]:
        """Return the keys of the timelines of an actor's followers."""
        name = str(actor)
        found = self._readers.get(name)
        if found is None:
            keys = tuple(sorted(reader_key(str(one)) for one in self._graph.all_followers(name)))
            found = self._readers[name] = self._shared.setdefault(keys, keys)
        return found


def _distinct_and_shared(lists: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}
    readers: dict[str, tuple[str, ...]] = {}
    for followee in list(lists):
        # The order has no meaning; sorted, equal sets become equal tuples.
        distinct = tuple(sorted(set(lists.pop(followee))))
        readers[followee] = shared.setdefault(distinct, distinct)
    return readers


def read_follows(source: Source, problems: Problems) -> InputGraph:
    """Return the graph that an input with the columns ``follower,followee,time`` describes, or ``source,target``.

    The time may be empty or left out; it is checked and otherwise ignored. A malformed row makes an
    :class:`InputError` with its line, which ``problems`` raises or counts.
    """
    edges = Edges()
    with source.open() as lines:
        table = read_table(lines, FOLLOW_COLUMNS)
        is_end = False
        while not is_end:
            try:
                is_end = _read_some(table, edges, problems)
            except InputError as error:
                problems.note(error, table)
    return InputGraph(edges)


def read_follow_pairs(source: Source, problems: Problems) -> Iterator[tuple[str, str, datetime | None]]:
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


def _pair_of(table: InputTable, follower: Any, followee: Any, time: Any) -> tuple[str, str, datetime | None]:
    try:
        since = None if time is None else parse_time(time)
        return _user("follower", follower), _user("followee", followee), since
    except (InvalidValueError, InvalidTypeError) as error:
        raise table.error(str(error)) from None


def _read_some(table: InputTable, edges: Edges, problems: Problems) -> bool:
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


def _add_row(edges: Edges, table: InputTable, follower: Any, followee: Any, time: Any) -> None:
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
    check_key(reader_key(value), f"{column}'s key")
    return str(value)

"""Who follows whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.ingest.columns import Columns
from feedstore.ingest.formats import read_table
from feedstore.ingest.problems import Problems
from feedstore.ingest.source import Source
from feedstore.ingest.table import Table
from feedstore.ingest.times import parse_time
from feedstore.shown import shown
from feedstore.storage.key import check_key
from feedstore.timeline_keys import reader_key

FOLLOW_COLUMNS = Columns(
    ("follower", "followee", "time"), optional=("time",), aliases={"source": "follower", "target": "followee"}
)
_NOBODY: tuple[str, ...] = ()


class FollowGraph:
    """The timelines that what an actor does is delivered to.

    Made of ``(follower, followee)`` pairs; one that comes twice counts once. An edge is in force from the start,
    whenever it was made: a new follower of old activities sees them. Users need not be known: a followee who never acts
    delivers nothing, and a follower who never acts is a reader like any other. Memory: one reference for each edge, and
    each reader's key once.

    - ``edges``, ``followees`` and ``readers`` are how many there are; ``repeated`` how many pairs came again.

    >>> FollowGraph([("bob", "ann"), ("eve", "ann")]).readers_of("ann")
    ('feed:bob', 'feed:eve')
    """

    def __init__(self, pairs: Iterable[tuple[str | int, str | int]] = ()) -> None:
        keys: dict[str, str] = {}
        lists: dict[str, list[str]] = {}
        given = 0
        for follower, followee in pairs:
            key = reader_key(follower)
            lists.setdefault(str(followee), []).append(keys.setdefault(key, key))
            given += 1
        self._readers = _distinct_and_shared(lists)
        self.readers = len(keys)
        self.followees = len(self._readers)
        self.edges = sum(map(len, self._readers.values()))
        self.repeated = given - self.edges

    def __contains__(self, actor: str | int) -> bool:
        return str(actor) in self._readers

    def readers_of(self, actor: str | int) -> tuple[str, ...]:
        """Return the keys of the timelines of an actor's followers; actors with the same ones share one tuple."""
        return self._readers.get(str(actor), _NOBODY)


def _distinct_and_shared(lists: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}
    readers: dict[str, tuple[str, ...]] = {}
    for followee in list(lists):
        # Order tells nothing, and in one order equal sets are equal tuples.
        distinct = tuple(sorted(set(lists.pop(followee))))
        readers[followee] = shared.setdefault(distinct, distinct)
    return readers


class FollowRows:
    """An iterator over the ``(follower, followee)`` pairs of a table with :data:`FOLLOW_COLUMNS`.

    The time may be empty or left out; it is checked, and otherwise means nothing. Errors are as for
    :class:`~feedstore.ingest.rows.ActivityRows`.
    """

    def __init__(self, table: Table) -> None:
        self.table = table

    def __iter__(self) -> FollowRows:
        return self

    def __next__(self) -> tuple[str, str]:
        follower, followee, time = next(self.table)
        try:
            if time is not None:
                parse_time(time)
            return _user("follower", follower), _user("followee", followee)
        except (InvalidValueError, InvalidTypeError) as error:
            raise self.table.error(str(error)) from None


def read_follows(source: Source, problems: Problems) -> FollowGraph:
    """Return the graph that an input with the columns ``follower,followee,time`` describes, or ``source,target``.

    A malformed row is an :class:`InputError` with its line, which ``problems`` stops at or counts.
    """
    with source.open() as lines:
        return FollowGraph(_pairs(FollowRows(read_table(lines, FOLLOW_COLUMNS)), problems))


def _pairs(rows: FollowRows, problems: Problems) -> Iterator[tuple[str, str]]:
    with suppress(StopIteration):
        while True:
            pair = problems.next_usable(rows, rows.table)
            if pair is not None:
                yield pair


def _user(column: str, value: Any) -> str:
    if value is None:
        raise InvalidValueError(f"{column} is empty")
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        raise InvalidTypeError(f"{column} is a text or an int, not {shown(value)} of type {type(value).__name__}")
    check_key(reader_key(value), f"{column}'s key")
    return str(value)

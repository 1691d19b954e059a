"""The writes of timelines: fan-out and deliveries as steps, of which each dialect has its own form, and bulk reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.database import Database
from feedstore.backends.sql.timeline_statements import FURTHEST, SliceShape
from feedstore.ids import ID_BYTES
from feedstore.storage.session import Operation
from feedstore.storage.timeline_hooks import Limits

StoredEntry = tuple[bytes, "bytes | None"]
"""An entry as it is stored: the bytes of its id, and its payload or None."""
Header = tuple[int, int]
"""A timeline's number and its length."""
PlacedEntry = tuple[int, bytes, "bytes | None"]
"""A timeline's number, and an entry of it as it is stored."""
Place = tuple[int, bytes]
"""A timeline's number, and an entry's id."""


class TimelineWriter(ABC):
    """The writes of timelines, and the reads of many timelines.

    A write runs inside a transaction and locks the header of every timeline that it changes before it reads the
    entries. So ``length`` always equals the number of entries, also under concurrent writes. Methods name timelines by
    their numbers, in ascending order; an ``array`` is a list of numbers in the form of the dialect's parameters.
    """

    packed_entries: str | None = None
    """The statement that reads entries with payloads of one length as one run of bytes, if the dialect has it."""

    def add_to_many(
        self,
        connection: Connection,
        namespace: str,
        keys: list[str],
        entries: list[StoredEntry],
        max_length: int | None,
    ) -> int:
        """Add entries to every timeline, then trim each; return how many were new before trimming.

        One statement serves all timelines that grow by the same number, or that are too long by the same number.
        """
        headers = self.headers_to_write(connection, namespace, keys)
        timelines = [timeline for timeline, _ in headers]
        array = self.array(timelines)
        held = self.insert(connection, timelines, array, entries)
        longest = FURTHEST if max_length is None else max_length
        longer: dict[int, list[int]] = defaultdict(list)
        for (length, new), grown in _grouped(headers, held, len(entries)).items():
            surplus = length + new - longest
            if surplus > 0:
                self.shorten(connection, longest, surplus, grown, self._array(grown, timelines, array))
            elif new:
                longer[new] += grown
        for new, grown in longer.items():
            self.lengthen(connection, new, self._array(grown, timelines, array))
        return len(headers) * len(entries) - sum(held.values())

    def remove_from_many(
        self, connection: Connection, namespace: str, keys: list[str], activity_ids: list[bytes]
    ) -> int:
        """Remove entries from every timeline; return how many were there."""
        timelines = [timeline for timeline, _ in self.headers(connection, namespace, keys)]
        removed = self.remove(connection, timelines, activity_ids) if timelines else {}
        shorter: dict[int, list[int]] = defaultdict(list)
        for timeline, count in removed.items():
            shorter[count].append(timeline)
        for count, affected in shorter.items():
            self.lengthen(connection, -count, self.array(affected))
        return sum(removed.values())

    def trim(self, connection: Connection, namespace: str, key: str, length: int) -> int:
        """Keep the newest entries and return how many were dropped."""
        for timeline, before in self.headers(connection, namespace, [key]):
            if before > length:
                self.shorten(connection, length, before - length, [timeline], self.array([timeline]))
                return before - length
        return 0

    def delete(self, connection: Connection, namespace: str, key: str) -> None:
        """Remove a timeline and its header."""
        self.drop(connection, [timeline for timeline, _ in self.headers(connection, namespace, [key])])

    def _array(self, some: list[int], every: list[int], array: Any) -> Any:
        return array if len(some) == len(every) else self.array(some)

    @abstractmethod
    def fetch_slices(
        self, database: Database, namespace: str, keys: list[str], shape: SliceShape, parameters: tuple[Any, ...]
    ) -> list[list[tuple[Any, ...]]]:
        """Return the rows of the same slice of every timeline, in the order of the keys.

        All rows belong to one state of the database.
        """

    @abstractmethod
    def fetch_pages(
        self, database: Database, namespace: str, keys: list[str], shape: SliceShape, parameters: tuple[Any, ...]
    ) -> list[tuple[bytes | None, list[tuple[Any, ...]]]]:
        """Return the newest id that a trim dropped with the rows of :meth:`fetch_slices`, for every timeline."""

    @abstractmethod
    def contained_statement(self, namespace: str, key: str, activity_ids: list[bytes]) -> tuple[str, Any]:
        """Return the statement, with its parameters, that reads the ids that a timeline holds, of the ids given."""

    @abstractmethod
    def lock(self, connection: Connection, namespace: str, operations: Sequence[Operation]) -> bool:
        """Lock the headers of all timelines that a batch will write in a namespace, before its first write.

        Missing headers are made, also for removals: the timelines of a batch may not appear between two of its steps.

        Returns:
            Whether headers were made, which ends the locks of other namespaces.
        """

    @abstractmethod
    def array(self, timelines: list[int]) -> Any:
        """Return a list of timelines in the form of the dialect's parameters."""

    @abstractmethod
    def headers(self, connection: Connection, namespace: str, keys: list[str]) -> list[Header]:
        """Lock the headers that exist, and return them in the order of their numbers.

        All writers lock them in this order, and the table of entries has it too.
        """

    @abstractmethod
    def headers_to_write(self, connection: Connection, namespace: str, keys: list[str]) -> list[Header]:
        """Do as :meth:`headers` for all keys, and make the missing headers."""

    @abstractmethod
    def keyed_headers_to_write(self, connection: Connection, namespace: str, keys: list[str]) -> dict[str, Header]:
        """Do as :meth:`headers_to_write` and return each key's header."""

    @abstractmethod
    def insert(
        self, connection: Connection, timelines: list[int], array: Any, entries: list[StoredEntry]
    ) -> dict[int, int]:
        """Add entries to timelines and replace payloads; return how many entries each timeline held before, if any."""

    @abstractmethod
    def remove(self, connection: Connection, timelines: list[int], activity_ids: list[bytes]) -> dict[int, int]:
        """Remove entries from timelines; return how many entries each timeline held, if any."""

    @abstractmethod
    def lengthen(self, connection: Connection, more: int, array: Any) -> None:
        """Add ``more``, which may be negative, to the lengths of timelines."""

    @abstractmethod
    def shorten(self, connection: Connection, length: int, surplus: int, timelines: list[int], array: Any) -> None:
        """Drop the oldest ``surplus`` entries of each timeline, set its length, and raise its floor above them."""

    @abstractmethod
    def drop(self, connection: Connection, timelines: list[int]) -> None:
        """Remove timelines and their headers."""

    @abstractmethod
    def drop_some(self, connection: Connection, namespace: str) -> bool:
        """Remove a bounded number of timelines; return whether more may remain."""


class Size(NamedTuple):
    """The change of a timeline's size: the length before and after, and the number of oldest entries to drop."""

    before: int
    after: int
    surplus: int


class DeliveryWriter(ABC):
    """The deliveries with limits: different entries to many timelines and to their companions.

    A delivery runs inside a transaction, and locks the headers of all its timelines and companions before it reads or
    writes an entry. On PostgreSQL the number of its statements does not depend on the number of timelines.
    """

    def __init__(self, timelines: TimelineWriter) -> None:
        self._timelines = timelines

    def deliver(
        self, connection: Connection, namespace: str, serialized: Mapping[str, Mapping[int, bytes]], limits: Limits
    ) -> int:
        """Add to each timeline its own entries within limits; return how many were new before any was dropped."""
        if limits.slack and len(_distinct(serialized)) == 1:
            return self._deliver_to_all(connection, namespace, serialized, limits)
        deliveries = _rows_of_each(serialized)
        keys = dict.fromkeys(key + suffix for key in deliveries for suffix in ("", *limits.companions))
        headers = self._timelines.keyed_headers_to_write(connection, namespace, list(keys))
        rows = sorted([(headers[key][0], *entry) for key, entries in deliveries.items() for entry in entries])
        held = self.add(connection, rows)
        lengths = dict(headers[key] for key in deliveries)
        grown = _grown(lengths, rows, held)
        if limits.slack:
            longer = {timeline: length for timeline, length in lengths.items() if not _is_due(grown[timeline], limits)}
            self.resize(connection, sizes_of(longer, grown, None), False)
            due = {timeline: length for timeline, length in lengths.items() if timeline not in longer}
            self._apply_limits(connection, due, grown, limits)
            return len(rows) - len(held)
        dropped = self._drop_beyond_payload_limit(connection, rows, grown, limits.max_per_payload)
        grown.subtract(timeline for timeline, _ in dropped)
        sizes = sizes_of(lengths, grown, limits.max_length)
        dropped += self.resize(connection, sizes, bool(limits.companions))
        if limits.companions:
            self._deliver_to_companions(connection, deliveries, headers, limits.companions, held, dropped)
        return len(rows) - len(held)

    def _deliver_to_all(
        self, connection: Connection, namespace: str, serialized: Mapping[str, Mapping[int, bytes]], limits: Limits
    ) -> int:
        """Add the same entries to all timelines, as a fan-out. Apply the limits where the slack is used up."""
        timelines = self._timelines
        entries = next(iter(_rows_of_each(serialized).values()))
        headers = timelines.headers_to_write(connection, namespace, list(serialized))
        numbers = [timeline for timeline, _ in headers]
        held = timelines.insert(connection, numbers, timelines.array(numbers), entries)
        due: dict[int, int] = {}
        lengths: Counter[int] = Counter()
        for (length, new), grown in _grouped(headers, held, len(entries)).items():
            if _is_due(length + new, limits):
                due.update(dict.fromkeys(grown, length))
                lengths.update(dict.fromkeys(grown, length + new))
            elif new:
                timelines.lengthen(connection, new, timelines.array(grown))
        self._apply_limits(connection, due, lengths, limits)
        return len(headers) * len(entries) - sum(held.values())

    def _apply_limits(
        self, connection: Connection, lengths: Mapping[int, int], grown: Counter[int], limits: Limits
    ) -> None:
        """Apply the limits to timelines, given their lengths before the delivery and after it."""
        if lengths and limits.max_per_payload is not None:
            grown.subtract(self.drop_beyond(connection, list(lengths), min(limits.max_per_payload, FURTHEST)))
        self.resize(connection, sizes_of(lengths, grown, limits.max_length), False)

    def _drop_beyond_payload_limit(
        self, connection: Connection, rows: list[PlacedEntry], grown: Mapping[int, int], limit: int | None
    ) -> list[Place]:
        """Drop the entries beyond the newest ``limit`` of each delivered payload; return the dropped places.

        A timeline that has no more than ``limit`` entries is not read.
        """
        if limit is None:
            return []
        payloads = dict.fromkeys((timeline, data) for timeline, _, data in rows if data and grown[timeline] > limit)
        return self.drop_same(connection, list(payloads), min(limit, FURTHEST)) if payloads else []

    def _deliver_to_companions(
        self,
        connection: Connection,
        deliveries: Mapping[str, list[StoredEntry]],
        headers: Mapping[str, Header],
        suffixes: tuple[str, ...],
        held: set[Place],
        dropped: list[Place],
    ) -> None:
        """Add the new entries of the timelines to their companions, and remove the dropped entries from them.

        If two timelines share a companion, the later timeline of the deliveries decides.
        """
        doomed: dict[int, list[bytes]] = defaultdict(list)
        for timeline, activity_id in dropped:
            doomed[timeline].append(activity_id)
        added: dict[Place, bytes | None] = {}
        removed: dict[Place, None] = {}
        for key, entries in deliveries.items():
            timeline = headers[key][0]
            new = [entry for entry in entries if (timeline, entry[0]) not in held] if held else entries
            for companion in [headers[key + suffix][0] for suffix in suffixes]:
                for activity_id, data in new:
                    added[companion, activity_id] = data
                    removed.pop((companion, activity_id), None)
                for activity_id in doomed[timeline] if doomed else ():
                    removed[companion, activity_id] = None
                    added.pop((companion, activity_id), None)
        self._change(connection, dict(headers.values()), added, removed)

    def _change(
        self,
        connection: Connection,
        lengths: Mapping[int, int],
        added: Mapping[Place, bytes | None],
        removed: Mapping[Place, None],
    ) -> None:
        """Remove and add entries, and count them in the headers."""
        lost = self.remove(connection, list(removed)) if removed else {}
        rows = sorted([(*place, data) for place, data in added.items()])
        held = self.add(connection, rows) if rows else set()
        changed = {timeline: lengths[timeline] for timeline in {row[0] for row in rows}.union(lost)}
        grown = _grown(changed, rows, held)
        grown.subtract(lost)
        self.resize(connection, sizes_of(changed, grown, None), False)

    @abstractmethod
    def add(self, connection: Connection, rows: list[PlacedEntry]) -> set[Place]:
        """Add entries, in order, and replace the payloads of stored entries; return the places of the stored ones."""

    @abstractmethod
    def drop_beyond(self, connection: Connection, timelines: list[int], limit: int) -> Mapping[int, int]:
        """Remove all but the newest ``limit`` entries of each payload of timelines; return how many each lost, if any.

        The headers stay as they are.
        """

    @abstractmethod
    def drop_same(self, connection: Connection, payloads: list[tuple[int, bytes]], limit: int) -> list[Place]:
        """Remove all but the newest ``limit`` of a timeline's entries with a payload; return the removed places.

        The headers stay as they are.
        """

    @abstractmethod
    def remove(self, connection: Connection, places: list[Place]) -> dict[int, int]:
        """Remove entries; return how many each timeline held, if any. The headers stay as they are."""

    @abstractmethod
    def resize(self, connection: Connection, sizes: Mapping[int, Size], wanted: bool) -> list[Place]:
        """Drop the oldest surplus of each timeline, raise its floor above the surplus, and set its length.

        Returns:
            The dropped places if they are ``wanted``, else none.
        """


def has_payloads(serialized: Mapping[str, Mapping[int, bytes]]) -> bool:
    """Return whether an entry of a delivery has a payload."""
    return any(chain.from_iterable([each.values() for each in _distinct(serialized).values()]))


def bytes_of_ids(serialized: Mapping[str, Mapping[int, bytes]]) -> dict[int, bytes]:
    """Return the bytes of each id of a delivery. Each is made once, for all of its timelines."""
    return {one: one.to_bytes(ID_BYTES, "big") for one in set().union(*_distinct(serialized).values())}


def _distinct(serialized: Mapping[str, Mapping[int, bytes]]) -> dict[int, Mapping[int, bytes]]:
    # Timelines that get the same entries share one mapping.
    return {id(each): each for each in serialized.values()}


def _rows_of_each(serialized: Mapping[str, Mapping[int, bytes]]) -> dict[str, list[StoredEntry]]:
    """Return the rows of each timeline. Timelines that share a mapping share one list."""
    ids = bytes_of_ids(serialized)
    rows: dict[int, list[StoredEntry]] = {
        number: [(ids[activity_id], data or None) for activity_id, data in each.items()]
        for number, each in _distinct(serialized).items()
    }
    return {key: rows[id(each)] for key, each in serialized.items()}


def _grouped(headers: list[Header], held: dict[int, int], added: int) -> dict[tuple[int, int], list[int]]:
    """Return the timelines, grouped by their former length and the number of their new entries."""
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for timeline, length in headers:
        groups[length, added - held[timeline] if timeline in held else added].append(timeline)
    return groups


def _is_due(length: int, limits: Limits) -> bool:
    """Return whether a timeline has used up the slack of its limits."""
    return length > (limits.max_length or 0) + limits.slack


def _grown(lengths: Mapping[int, int], rows: list[PlacedEntry], held: set[Place]) -> Counter[int]:
    """Return the lengths of timelines after rows were added, some of which were held before."""
    grown = Counter(lengths)
    grown.update([timeline for timeline, _, _ in rows])
    grown.subtract([timeline for timeline, _ in held])
    return grown


def sizes_of(lengths: Mapping[int, int], grown: Mapping[int, int], max_length: int | None) -> dict[int, Size]:
    """Return the sizes of the timelines that change their length or lose entries."""
    longest = FURTHEST if max_length is None else max_length
    sizes = {}
    for timeline, before in lengths.items():
        length = grown[timeline]
        if length > longest or length != before:
            sizes[timeline] = Size(before, min(length, longest), max(length - longest, 0))
    return sizes

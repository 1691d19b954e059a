"""Deliveries with limits: different entries to many timelines and their companions, in a few statements for all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.timeline_part import FURTHEST
from feedstore.backends.sql.timeline_rows import EntryRow, Header, TimelineRows
from feedstore.storage.deliveries import Limits

Row = tuple[int, bytes, "bytes | None"]
"""A timeline's number, and an entry as it is stored."""
Place = tuple[int, bytes]
"""A timeline's number, and an entry's id."""


class Size(NamedTuple):
    """How many entries a timeline's header counts, how many it must count, and how many of the oldest go first."""

    before: int
    after: int
    surplus: int


class DeliveryRows(ABC):
    """One delivery runs inside a transaction, and locks the headers of all its timelines and companions before it
    reads or writes an entry. The number of its statements on PostgreSQL does not depend on how many these are.
    """

    def __init__(self, timelines: TimelineRows) -> None:
        self._timelines = timelines

    def deliver(
        self, connection: Connection, namespace: str, deliveries: Mapping[str, list[EntryRow]], limits: Limits
    ) -> int:
        """Add entries of its own to each timeline within limits; return how many were new before any was dropped."""
        keys = dict.fromkeys(key + suffix for key in deliveries for suffix in ("", *limits.companions))
        headers = self._timelines.keyed_headers_to_write(connection, namespace, list(keys))
        rows = sorted([(headers[key][0], *entry) for key, entries in deliveries.items() for entry in entries])
        held = self.add(connection, rows)
        lengths = dict(headers[key] for key in deliveries)
        grown = _grown(lengths, rows, held)
        dropped = self._drop_beyond_payload_limit(connection, rows, grown, limits.max_per_payload)
        grown.subtract(timeline for timeline, _ in dropped)
        sizes = _sizes(lengths, grown, limits.max_length)
        dropped += self.resize(connection, sizes, bool(limits.companions))
        if limits.companions:
            self._deliver_to_companions(connection, deliveries, headers, limits.companions, held, dropped)
        return len(rows) - len(held)

    def _drop_beyond_payload_limit(
        self, connection: Connection, rows: list[Row], grown: Mapping[int, int], limit: int | None
    ) -> list[Place]:
        """Drop the entries beyond the newest ``limit`` of each delivered payload; return what went. A timeline that has
        no more entries than that is not read.
        """
        if limit is None:
            return []
        payloads = dict.fromkeys((timeline, data) for timeline, _, data in rows if data and grown[timeline] > limit)
        return self.drop_same(connection, list(payloads), min(limit, FURTHEST)) if payloads else []

    def _deliver_to_companions(
        self,
        connection: Connection,
        deliveries: Mapping[str, list[EntryRow]],
        headers: Mapping[str, Header],
        suffixes: tuple[str, ...],
        held: set[Place],
        dropped: list[Place],
    ) -> None:
        """Add what is new in the timelines to their companions, and remove what was dropped.

        Two timelines may share a companion: there the later timeline of the deliveries decides.
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
        self.resize(connection, _sizes(changed, grown, None), False)

    @abstractmethod
    def add(self, connection: Connection, rows: list[Row]) -> set[Place]:
        """Add entries, in order, replacing the payloads of those that are there; return the places of these."""

    @abstractmethod
    def drop_same(self, connection: Connection, payloads: list[tuple[int, bytes]], limit: int) -> list[Place]:
        """Remove, of a timeline's entries with a payload, all but the newest ``limit``; return what went. The headers
        stay as they are.
        """

    @abstractmethod
    def remove(self, connection: Connection, places: list[Place]) -> dict[int, int]:
        """Remove entries; return how many each timeline held, where it held any. The headers stay as they are."""

    @abstractmethod
    def resize(self, connection: Connection, sizes: Mapping[int, Size], wanted: bool) -> list[Place]:
        """Drop the oldest surplus of each timeline, raise its floor above it, and set its length; return what went if
        it is ``wanted``.
        """


def _grown(lengths: Mapping[int, int], rows: list[Row], held: set[Place]) -> Counter[int]:
    """Return the lengths of timelines after rows, of which some were held before, were added."""
    grown = Counter(lengths)
    grown.update([timeline for timeline, _, _ in rows])
    grown.subtract([timeline for timeline, _ in held])
    return grown


def _sizes(lengths: Mapping[int, int], grown: Mapping[int, int], max_length: int | None) -> dict[int, Size]:
    """Return the sizes of the timelines whose length changes, or which lose entries."""
    longest = FURTHEST if max_length is None else max_length
    sizes = {}
    for timeline, before in lengths.items():
        length = grown[timeline]
        if length > longest or length != before:
            sizes[timeline] = Size(before, min(length, longest), max(length - longest, 0))
    return sizes

"""Deliveries with limits in SQLite."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from itertools import chain
from operator import itemgetter

from feedstore.backends.sql.compiler import Compiler
from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.sqlite.arrays import numbers, positions
from feedstore.backends.sql.sqlite.rows import RowInserts
from feedstore.backends.sql.sqlite.timelines import SqliteTimelineWriter
from feedstore.backends.sql.tables import entry_table
from feedstore.backends.sql.timeline_writer import DeliveryWriter, Place, PlacedEntry, Size, StoredEntry, sizes_of
from feedstore.storage.timeline_hooks import Limits

_WIDELY_SHARED = 8


class SqliteDeliveryWriter(DeliveryWriter):
    """Adding is a few statements for all timelines; dropping runs once for each timeline, which is no round trip
    away.
    """

    def __init__(self, compiler: Compiler, timelines: SqliteTimelineWriter) -> None:
        super().__init__(timelines)
        self._statements = timelines.statements
        self._inserts = RowInserts(compiler, entry_table)

    def deliver(
        self, connection: Connection, namespace: str, deliveries: Mapping[str, list[StoredEntry]], limits: Limits
    ) -> int:
        """Add to each timeline its own entries within limits; return how many were new before any was dropped.

        If only the length is limited and no entry has a payload, all entries are inserted before anything else. Only if
        a timeline held some of them, the insert is undone, and the delivery reads which ones.
        """
        if limits.companions or limits.max_per_payload is not None or _has_payloads(deliveries):
            return super().deliver(connection, namespace, deliveries, limits)
        headers = self._timelines.keyed_headers_to_write(connection, namespace, list(deliveries))
        placed = sorted([(*headers[key], sorted(entries)) for key, entries in deliveries.items()], key=itemgetter(0))
        grown = {timeline: length + len(entries) for timeline, length, entries in placed}
        connection.execute("SAVEPOINT delivery")
        if self._insert_references(connection, placed):
            added = sum([len(entries) for _, _, entries in placed])
            lengths = {timeline: length for timeline, length, _ in placed}
            self.resize(connection, sizes_of(lengths, grown, limits.max_length), False)
        else:
            connection.execute("ROLLBACK TO delivery")
            added = super().deliver(connection, namespace, deliveries, limits)
        connection.execute("RELEASE delivery")
        return added

    def _insert_references(self, connection: Connection, placed: list[tuple[int, int, list[StoredEntry]]]) -> bool:
        """Insert entries without payloads in their order, and return whether all are new."""
        ids = [activity_id for _, _, entries in placed for activity_id, _ in entries]
        timelines = chain.from_iterable([[timeline] * len(entries) for timeline, _, entries in placed])
        parameters = (b"".join(ids), numbers(list(timelines)))
        added: int = connection.execute(self._statements.insert_places, parameters).rowcount
        return added == len(ids)

    def add(self, connection: Connection, rows: list[PlacedEntry]) -> set[Place]:
        """Add entries after a statement that finds the existing ones."""
        timelines, ids = numbers([row[0] for row in rows]), b"".join([row[1] for row in rows])
        found = connection.execute(self._statements.held, (timelines, ids)).fetchall()
        held = [rows[position] for (position,) in found]
        places = {(timeline, activity_id) for timeline, activity_id, _ in held}
        new = [row for row in rows if row[:2] not in places] if places else rows
        self._insert(connection, new)
        replaced = ((data, timeline, activity_id) for timeline, activity_id, data in held)
        connection.executemany(self._statements.replace, replaced)
        return places

    def _insert(self, connection: Connection, rows: list[PlacedEntry]) -> None:
        """Insert entries, in one of three ways: one statement for each entry that many timelines get, one for all that
        are mere references, or one for each 250.
        """
        shared: dict[tuple[bytes, bytes | None], list[int]] = defaultdict(list)
        for timeline, activity_id, data in rows:
            shared[activity_id, data].append(timeline)
        if len(shared) * _WIDELY_SHARED <= len(rows):
            statement = self._statements.insert_into_many
            for entry, timelines in shared.items():
                connection.execute(statement, (*entry, numbers(timelines)))
        elif any(data for _, _, data in rows):
            self._inserts.insert(connection, rows)
        else:
            ids = b"".join([activity_id for _, activity_id, _ in rows])
            connection.execute(self._statements.insert_places, (ids, numbers([timeline for timeline, _, _ in rows])))

    def drop_same(self, connection: Connection, payloads: list[tuple[int, bytes]], limit: int) -> list[Place]:
        """One statement for each payload of each timeline, and one for each timeline that loses entries."""
        dropped: list[Place] = []
        for timeline, data in payloads:
            found = connection.execute(self._statements.beyond_newest, (timeline, data, limit)).fetchall()
            dropped += [(timeline, activity_id) for (activity_id,) in found]
        self.remove(connection, dropped)
        return dropped

    def remove(self, connection: Connection, places: list[Place]) -> dict[int, int]:
        """One statement for each timeline."""
        doomed: dict[int, list[bytes]] = defaultdict(list)
        for timeline, activity_id in places:
            doomed[timeline].append(activity_id)
        statement, removed = self._statements.delete_ids, {}
        for timeline, ids in doomed.items():
            count = connection.execute(statement, (timeline, b"".join(ids), positions(len(ids)))).rowcount
            if count:
                removed[timeline] = count
        return removed

    def resize(self, connection: Connection, sizes: Mapping[int, Size], wanted: bool) -> list[Place]:
        """One statement for each of the different changes, and one for each timeline that loses entries."""
        longer: dict[int, list[int]] = defaultdict(list)
        shorter: dict[tuple[int, int], list[int]] = defaultdict(list)
        dropped: list[Place] = []
        for timeline, (before, after, surplus) in sizes.items():
            if not surplus:
                longer[after - before].append(timeline)
                continue
            shorter[after, surplus].append(timeline)
            if wanted:
                found = connection.execute(self._statements.oldest, (timeline, surplus))
                dropped += [(timeline, activity_id) for (activity_id,) in found]
        for more, timelines in longer.items():
            self._timelines.lengthen(connection, more, numbers(timelines))
        for (length, surplus), timelines in shorter.items():
            self._timelines.shorten(connection, length, surplus, timelines, numbers(timelines))
        return dropped


def _has_payloads(deliveries: Mapping[str, list[StoredEntry]]) -> bool:
    # Timelines that get the same entries share one list.
    distinct = {id(entries): entries for entries in deliveries.values()}
    return any(any(map(itemgetter(1), entries)) for entries in distinct.values())

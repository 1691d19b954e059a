"""Deliveries with limits in SQLite."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import chain, repeat

from feedstore.backends.sql.compiler import Compiler
from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.sqlite.arrays import numbers, positions
from feedstore.backends.sql.sqlite.rows import RowInserts
from feedstore.backends.sql.sqlite.timelines import SqliteTimelineWriter
from feedstore.backends.sql.tables import entry_table
from feedstore.backends.sql.timeline_statements import FURTHEST
from feedstore.backends.sql.timeline_writer import (
    DeliveryWriter,
    Header,
    Place,
    PlacedEntry,
    Size,
    bytes_of_ids,
    has_payloads,
)
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
        self, connection: Connection, namespace: str, serialized: Mapping[str, Mapping[int, bytes]], limits: Limits
    ) -> int:
        """Add to each timeline its own entries within limits; return how many were new before any was dropped.

        If only the length is limited and no entry has a payload, all entries are inserted before anything else. Only if
        a timeline held some of them, the insert is undone, and the delivery reads which ones.
        """
        if limits.companions or limits.max_per_payload is not None or has_payloads(serialized):
            return super().deliver(connection, namespace, serialized, limits)
        headers = self._timelines.keyed_headers_to_write(connection, namespace, list(serialized))
        keys = sorted(serialized, key=headers.__getitem__)
        placed = [headers[key] for key in keys]
        each = [serialized[key] for key in keys]
        connection.execute("SAVEPOINT delivery")
        if self._insert_references(connection, [timeline for timeline, _ in placed], each, bytes_of_ids(serialized)):
            added = sum(map(len, each))
            self._grow(connection, placed, list(map(len, each)), limits.max_length)
        else:
            connection.execute("ROLLBACK TO delivery")
            added = super().deliver(connection, namespace, serialized, limits)
        connection.execute("RELEASE delivery")
        return added

    def _insert_references(
        self, connection: Connection, timelines: list[int], each: list[Mapping[int, bytes]], ids: Mapping[int, bytes]
    ) -> bool:
        """Insert entries without payloads in their order, and return whether all are new."""
        runs = {id(entries): b"".join(map(ids.__getitem__, sorted(entries))) for entries in each}
        repeated = chain.from_iterable(map(repeat, map(str, timelines), map(len, each)))
        parameters = b"".join([runs[id(entries)] for entries in each]), f"[{','.join(repeated)}]"
        added: int = connection.execute(self._statements.insert_places, parameters).rowcount
        return added == sum(map(len, each))

    def _grow(self, connection: Connection, placed: list[Header], more: list[int], max_length: int | None) -> None:
        """Count new entries in the headers, and drop the oldest entries of timelines that became too long."""
        longest = FURTHEST if max_length is None else max_length
        longer: dict[int, list[int]] = defaultdict(list)
        sizes: dict[int, Size] = {}
        for (timeline, length), count in zip(placed, more, strict=True):
            if length + count <= longest:
                longer[count].append(timeline)
            else:
                sizes[timeline] = Size(length, longest, length + count - longest)
        for count, timelines in longer.items():
            self._timelines.lengthen(connection, count, numbers(timelines))
        self.resize(connection, sizes, False)

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

    def drop_beyond(self, connection: Connection, timelines: list[int], limit: int) -> Mapping[int, int]:
        """One statement for each timeline, and one for each payload of more than ``limit`` entries.

        The first one reads the payloads. If SQLite grouped them, it would take twice the time.
        """
        lost: dict[int, int] = {}
        for timeline in timelines:
            counts = Counter(connection.execute(self._statements.payloads, (timeline,)).fetchall())
            for (data,), count in counts.items():
                if count > limit:
                    parameters = (timeline, timeline, data, limit, data)
                    removed = connection.execute(self._statements.delete_beyond, parameters).rowcount
                    lost[timeline] = lost.get(timeline, 0) + removed
        return lost

    def drop_same(self, connection: Connection, payloads: list[tuple[int, bytes]], limit: int) -> list[Place]:
        """One statement for each payload, and one for each entry: a fan-out drops one of each timeline as a rule."""
        timelines: dict[bytes, list[int]] = defaultdict(list)
        for timeline, data in payloads:
            timelines[data].append(timeline)
        dropped: list[Place] = []
        for data, some in timelines.items():
            parameters = (numbers(some), data, limit, data)
            dropped += connection.execute(self._statements.beyond_newest, parameters).fetchall()
        connection.executemany(self._statements.delete_one, dropped)
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

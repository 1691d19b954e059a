"""Deliveries with limits in PostgreSQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.postgresql import delivery_statements as statements
from feedstore.backends.sql.postgresql.arrays import in_parts
from feedstore.backends.sql.timeline_writer import DeliveryWriter, Place, PlacedEntry, Size

_ROWS_AT_ONCE = 100_000


class PostgresqlDeliveryWriter(DeliveryWriter):
    """Each step is one statement for each 100,000 rows, which arrays bring."""

    def add(self, connection: Connection, rows: list[PlacedEntry]) -> set[Place]:
        """One statement, and another one where some were there before."""
        held: set[Place] = set()
        for part in in_parts(rows, _ROWS_AT_ONCE):
            held.update(self._add_part(connection, part))
        return held

    def _add_part(self, connection: Connection, rows: Sequence[PlacedEntry]) -> set[Place]:
        timelines = [timeline for timeline, _, _ in rows]
        ids = [activity_id for _, activity_id, _ in rows]
        data = [data for _, _, data in rows]
        if any(data):
            held = connection.execute(statements.INSERT_ROWS, (timelines, ids, data, len(rows))).fetchall()
        else:
            held = connection.execute(statements.INSERT_IDS, (timelines, ids, len(rows))).fetchall()
        places = set(held)
        if places:
            replaced = [row for row in rows if row[:2] in places]
            timelines, ids = [row[0] for row in replaced], [row[1] for row in replaced]
            if any(data):
                connection.execute(statements.REPLACE_ROWS, (timelines, ids, [row[2] for row in replaced]))
            else:
                connection.execute(statements.REMOVE_DATA, (timelines, ids))
        return places

    def drop_same(self, connection: Connection, payloads: list[tuple[int, bytes]], limit: int) -> list[Place]:
        """Two statements."""
        dropped: list[Place] = []
        connection.execute(statements.NO_COMPILER)
        for part in in_parts(payloads, _ROWS_AT_ONCE):
            parameters = ([timeline for timeline, _ in part], [data for _, data in part], limit)
            dropped += connection.execute(statements.DROP_SAME, parameters).fetchall()
        return dropped

    def remove(self, connection: Connection, places: list[Place]) -> dict[int, int]:
        """One statement."""
        removed: dict[int, int] = {}
        for part in in_parts(sorted(places), _ROWS_AT_ONCE):
            parameters = ([timeline for timeline, _ in part], [activity_id for _, activity_id in part])
            for timeline, count in connection.execute(statements.DELETE_PLACES, parameters).fetchall():
                removed[timeline] = removed.get(timeline, 0) + count
        return removed

    def resize(self, connection: Connection, sizes: Mapping[int, Size], wanted: bool) -> list[Place]:
        """One statement for the timelines that lose no entry, and one for those that lose a number of the same order of
        magnitude, powers of two.
        """
        groups: dict[int, dict[int, Size]] = defaultdict(dict)
        for timeline, size in sizes.items():
            groups[size.surplus.bit_length()][timeline] = size
        dropped: list[Place] = []
        for magnitude, group in groups.items():
            lengths = [size.after for size in group.values()]
            if not magnitude:
                connection.execute(statements.SET_LENGTHS, (list(group), lengths))
                continue
            surplus = [size.surplus for size in group.values()]
            parameters = (list(group), lengths, surplus, max(surplus), wanted)
            dropped += connection.execute(statements.DROP_OLDEST, parameters).fetchall()
        return dropped

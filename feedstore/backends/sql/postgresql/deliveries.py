"""Deliveries with limits in PostgreSQL."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from feedstore.backends.sql.compiler import in_parts
from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.postgresql.statements import load_statements
from feedstore.backends.sql.timeline_writer import DeliveryWriter, Place, PlacedEntry, Size, TimelineWriter

_ROWS_PER_STATEMENT = 100_000


class PostgresqlDeliveryWriter(DeliveryWriter):
    """The deliveries with limits. Each step is one statement for each 100,000 rows, which it takes as arrays."""

    def __init__(self, timelines: TimelineWriter) -> None:
        super().__init__(timelines)
        self._statements = load_statements("deliveries")

    def add(self, connection: Connection, rows: list[PlacedEntry]) -> set[Place]:
        """Use one statement, and another one if some entries were stored before."""
        held: set[Place] = set()
        for part in in_parts(rows, _ROWS_PER_STATEMENT):
            held.update(self._add_part(connection, part))
        return held

    def _add_part(self, connection: Connection, rows: Sequence[PlacedEntry]) -> set[Place]:
        has_data = any(data for _, _, data in rows)
        insert, replace = ("insert_rows", "replace_rows") if has_data else ("insert_ids", "remove_data")
        parameters = {**_arrays(rows, has_data), "count": len(rows)}
        places: set[Place] = set(connection.execute(self._statements[insert], parameters).fetchall())
        if places:
            replaced = [row for row in rows if row[:2] in places]
            connection.execute(self._statements[replace], _arrays(replaced, has_data))
        return places

    def drop_beyond(self, connection: Connection, timelines: list[int], limit: int) -> Mapping[int, int]:
        """Use two statements, or four if a payload has more than ``limit`` entries."""
        connection.execute(self._statements["no_compiler"])
        parameters = {"timelines": timelines, "most": limit}
        beyond = connection.execute(self._statements["payloads_beyond"], parameters).fetchall()
        return Counter(timeline for timeline, _ in self.drop_same(connection, beyond, limit)) if beyond else {}

    def drop_same(self, connection: Connection, payloads: list[tuple[int, bytes]], limit: int) -> list[Place]:
        """Use two statements."""
        dropped: list[Place] = []
        connection.execute(self._statements["no_compiler"])
        for part in in_parts(payloads, _ROWS_PER_STATEMENT):
            parameters = {
                "timelines": [timeline for timeline, _ in part],
                "data": [data for _, data in part],
                "newest": limit,
            }
            dropped += connection.execute(self._statements["drop_same"], parameters).fetchall()
        return dropped

    def remove(self, connection: Connection, places: list[Place]) -> dict[int, int]:
        """Use one statement."""
        removed: dict[int, int] = {}
        for part in in_parts(sorted(places), _ROWS_PER_STATEMENT):
            parameters = {"timelines": [timeline for timeline, _ in part], "ids": [each for _, each in part]}
            for timeline, count in connection.execute(self._statements["delete_places"], parameters).fetchall():
                removed[timeline] = removed.get(timeline, 0) + count
        return removed

    def resize(self, connection: Connection, sizes: Mapping[int, Size], wanted: bool) -> list[Place]:
        """Use one statement for the timelines that lose no entry, and one for each magnitude of a loss.

        Losses of the same magnitude lie between the same powers of two.
        """
        groups: dict[int, dict[int, Size]] = defaultdict(dict)
        for timeline, size in sizes.items():
            groups[size.surplus.bit_length()][timeline] = size
        dropped: list[Place] = []
        for magnitude, group in groups.items():
            lengths = {"timelines": list(group), "lengths": [size.after for size in group.values()]}
            if not magnitude:
                connection.execute(self._statements["set_lengths"], lengths)
                continue
            surplus = [size.surplus for size in group.values()]
            parameters = {**lengths, "surplus": surplus, "largest": max(surplus), "wanted": wanted}
            dropped += connection.execute(self._statements["drop_oldest"], parameters).fetchall()
        return dropped


def _arrays(rows: Sequence[PlacedEntry], has_data: bool) -> dict[str, object]:
    arrays: dict[str, object] = {"timelines": [row[0] for row in rows], "ids": [row[1] for row in rows]}
    return {**arrays, "data": [row[2] for row in rows]} if has_data else arrays

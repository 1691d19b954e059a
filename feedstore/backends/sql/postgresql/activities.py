"""The rows of activities in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from feedstore.backends.sql.compiler import in_parts
from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.dialect import ActivityRows
from feedstore.backends.sql.postgresql.statements import load_statements

_ROWS_PER_STATEMENT = 10_000


class PostgresqlActivityRows(ActivityRows):
    """The rows of activities, as arrays of ids and data.

    Rows are locked in the order of their ids, so that two writers of the same activities never wait for each other in a
    circle.
    """

    def __init__(self) -> None:
        self._statements = load_statements("activities")

    def add(self, connection: Connection, namespace: str, activities: list[tuple[bytes, bytes]]) -> int:
        """Use one statement for each 10,000 activities, and another one if some were stored before."""
        parts = in_parts(sorted(activities), _ROWS_PER_STATEMENT)
        return sum(self._add_part(connection, namespace, part) for part in parts)

    def _add_part(self, connection: Connection, namespace: str, activities: Sequence[tuple[bytes, bytes]]) -> int:
        ids = [activity_id for activity_id, _ in activities]
        parameters = {"namespace": namespace, "ids": ids, "data": [data for _, data in activities]}
        added: int = connection.execute(self._statements["insert"], parameters).rowcount
        if added < len(activities):
            connection.execute(self._statements["replace"], parameters)
        return added

    def remove_statement(self, namespace: str, activity_ids: list[bytes]) -> tuple[str, Any]:
        """Return a statement that takes an array of ids."""
        return self._statements["remove"], {"namespace": namespace, "ids": sorted(activity_ids)}

    def find_statement(self, namespace: str, activity_ids: list[bytes]) -> tuple[str, Any]:
        """Return a statement that takes an array of ids, or a faster one for one id."""
        if len(activity_ids) == 1:
            return self._statements["find_one"], {"namespace": namespace, "id": activity_ids[0]}
        return self._statements["find"], {"namespace": namespace, "ids": activity_ids}

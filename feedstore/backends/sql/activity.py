"""Activities in SQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any

from feedstore.backends.sql.compiler import next_after
from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.dialect import ActivityRows
from feedstore.backends.sql.session import SqlSession
from feedstore.backends.sql.stored import read_ids
from feedstore.ids import ID_BYTES, id_to_bytes
from feedstore.storage import ActivityStorage, Bounds
from feedstore.storage.session import AUTOCOMMIT, Pending, Transaction

_IDS_A_READ = 5000
_ROWS_A_CHUNK = 500
_ROWS_A_FLUSH = 10_000


class SqlActivityStorage(ActivityStorage):
    """An activity storage with a row for each activity under (namespace, id), with O(log n) work for each.

    A write of any number of activities is one transaction. A read is one statement for each 5,000 activities.
    """

    session: SqlSession
    is_ordered = True
    can_require_new = True

    @property
    def _activity_rows(self) -> ActivityRows:
        return self.session.dialect.activities

    def add_to_storage(
        self, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """Add activities in one transaction, which stores all or none."""
        rows = [(one.to_bytes(ID_BYTES, "big"), data) for one, data in serialized_activities.items()]
        return self.session.write(transaction, self._activity_rows.add, self.session.namespace_to_write(), rows)

    def get_from_storage(self, activity_ids: list[int]) -> dict[int, bytes]:
        """Read activities, with one statement for each 5,000 ids."""
        namespace = self.session.written_namespace()
        if namespace is None:
            return {}
        ids, rows = list(dict.fromkeys(activity_ids)), list[Any]()
        for start in range(0, len(ids), _IDS_A_READ):
            part = [one.to_bytes(ID_BYTES, "big") for one in ids[start : start + _IDS_A_READ]]
            rows += self.session.store.fetch(*self._activity_rows.find_statement(namespace, part))
        if self._activity_rows.finds_in_order:
            return {one: data for one, (data,) in zip(ids, rows, strict=True) if data is not None}
        return dict(_pairs(rows))

    def remove_from_storage(
        self, activity_ids: list[int], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """Remove activities, with one statement."""
        namespace = self.session.written_namespace()
        if namespace is None:
            return Pending(0)
        ids = [id_to_bytes(one) for one in activity_ids]
        return self.session.execute(transaction, *self._activity_rows.remove_statement(namespace, ids))

    def _iterate(self, bounds: Bounds, descending: bool) -> Iterator[tuple[int, bytes]]:
        """Yield activities in chunks of 500 in either direction, without a transaction between two chunks."""
        while entries := self._get_range(_ROWS_A_CHUNK, bounds, descending):
            yield from entries
            if len(entries) < _ROWS_A_CHUNK:
                return
            bounds = bounds.after(entries[-1][0], descending)

    def _get_range(self, count: int, bounds: Bounds, descending: bool) -> list[tuple[int, bytes]]:
        """Read adjacent rows, with one statement."""
        if bounds.is_empty:
            return []
        statement = self.session.statements.activities.between[descending]
        first, end = id_to_bytes(bounds.lowest), next_after(id_to_bytes(bounds.highest))
        return list(_pairs(self.session.fetch(statement, (self.session.namespace, first, end, count))))

    def _flush(self, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        """Delete all activities, in transactions of 10,000 rows, or in the transaction of a batch."""
        namespace = self.session.written_namespace()
        while self.session.write(transaction, self._flush_some, namespace).result:
            pass
        return Pending(None)

    def _flush_some(self, connection: Connection, namespace: str | None) -> bool:
        statements = self.session.statements.activities
        last = connection.execute(statements.id_at, (namespace, _ROWS_A_FLUSH - 1)).fetchone()
        if last is None:
            connection.execute(statements.delete_all, (namespace,))
            return False
        connection.execute(statements.delete_up_to, (namespace, last[0]))
        return True


def _pairs(rows: list[tuple[Any, Any]]) -> Iterator[tuple[int, Any]]:
    """Return ids and data. The serializer checks the data."""
    ids = read_ids([activity_id for activity_id, _ in rows], "the table of activities")
    return zip(ids, map(itemgetter(1), rows), strict=True)

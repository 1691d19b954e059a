"""The rows of one repository in a key-value storage that it may share with others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from feedstore.channels.row_key import row_key
from feedstore.channels.unit_of_work import KeyValueStorage, UnitOfWork
from feedstore.errors import InvalidTypeError, ItemNotFound, StoredDataError
from feedstore.shown import shown
from feedstore.storage import KvStorage
from feedstore.storage.key import check_key

_METHODS = ("fetch_by_prefix", "fetch_all", "upsert", "fetch_one", "delete")


class Rows:
    """Plain values by one or more ids, under the ``name`` that sets them apart from other rows of the same storage.

    A row holds its ids beside its value, so that a row is never taken for another's, whatever a storage makes of a
    prefix. The storage is one of ours, or any object with the same five methods as eric-sse's.
    """

    def __init__(self, storage: KeyValueStorage, name: str, unit: UnitOfWork | None = None) -> None:
        missing = [method for method in _METHODS if not callable(getattr(storage, method, None))]
        if missing:
            raise InvalidTypeError(f"storage is a key-value storage; {shown(storage)} has no method {missing[0]}")
        self.storage = storage
        self.name = check_key(name, "name")
        self._unit = unit

    def joining(self, unit: UnitOfWork) -> Rows:
        """Return the same rows, with writes that are collected in a unit of work."""
        return Rows(self.storage, self.name, unit)

    def get(self, *ids: str) -> Any:
        """Return the value of a row, or raise :class:`ItemNotFound`. One round trip."""
        row = self._fetch(self._key(ids))
        if row is None:
            raise ItemNotFound(f"nothing is stored in {shown(self.name)} for {' and '.join(map(shown, ids))}")
        return self._opened(row)[1]

    def get_many(self, ids: Iterable[str]) -> dict[str, Any]:
        """Return ``{id: value}`` of those rows that are there. A bounded number of round trips with a storage that has
        ``fetch_many``, as ours have; one for each row with another."""
        keys = {self._key((one,)): one for one in ids}
        fetch_many = getattr(self.storage, "fetch_many", None)
        if callable(fetch_many):
            rows = fetch_many(keys)
        else:
            found = ((key, self._fetch(key)) for key in keys)
            rows = {key: row for key, row in found if row is not None}
        return {keys[key]: self._opened(row)[1] for key, row in rows.items()}

    def scan(self, *ids: str) -> Iterator[tuple[list[str], Any]]:
        """Yield ``(ids, value)`` of the rows whose first ids are these, in no order that means anything.

        Costs what it yields, with a storage of ours. Rows may be written and deleted meanwhile.
        """
        rows = self.storage.fetch_by_prefix(self._key(ids))
        # Another's storage need not bear to be written to while it is read.
        for row in rows if isinstance(self.storage, KvStorage) else list(rows):
            found, value = self._opened(row)
            if found[: len(ids)] == list(ids):
                yield found, value

    def put(self, value: Any, *ids: str) -> None:
        """Insert or replace a row. One round trip, or none if the rows join a unit of work."""
        row = {"ids": list(ids), "value": value}
        if self._unit is None:
            self.storage.upsert(self._key(ids), row)
        else:
            self._unit.upsert(self.storage, self._key(ids), row)

    def drop(self, *ids: str) -> None:
        """Delete a row; one that is not there is no error. One round trip, or none inside a unit of work."""
        if self._unit is None:
            self.storage.delete(self._key(ids))
        else:
            self._unit.delete(self.storage, self._key(ids))

    def _key(self, ids: tuple[str, ...]) -> str:
        return row_key(self.name, *(check_key(one, "id") for one in ids))

    def _opened(self, row: Any) -> tuple[list[str], Any]:
        if not isinstance(row, dict) or row.keys() != {"ids", "value"}:
            raise StoredDataError(
                f"{shown(self.name)} holds {shown(row)}, which no repository wrote; something else writes there"
            )
        return row["ids"], row["value"]

    def _fetch(self, key: str) -> Any:
        """Return the row of a key, or None."""
        try:
            return self.storage.fetch_one(key)
        except ItemNotFound:
            return None
        # How somebody else's storage says that a key is absent is not known, and may be any exception of its own. That
        # the key is absent is known: no other key of ours begins with it.
        except Exception:
            if isinstance(self.storage, KvStorage) or any(True for _ in self.storage.fetch_by_prefix(key)):
                raise
            return None

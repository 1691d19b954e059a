"""The last visits of readers, by which a fan-out leaves out the inactive ones."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from feedstore.fanout.edges import token_of
from feedstore.feeds import UserId
from feedstore.storage import Backend

_HOUR = timedelta(hours=1)
_Name = TypeVar("_Name", bound=UserId)


class ReaderVisits:
    """The last visits of readers on a backend.

    A delivery leaves out a reader whose last visit lies ``inactive_after`` back. A reader whose last visit lies nearly
    that long back is rebuilt at the next one: the margin of an hour at most covers clocks that differ, and deliveries
    that read the row before the visit. A reader without a visit is inactive.

    A row holds ``at``, the time of the visit, and ``rebuild`` until the rebuild that the visit began has ended. So
    another visit completes a rebuild that died.
    """

    def __init__(self, backend: Backend, name: str, inactive_after: timedelta) -> None:
        self._rows = backend.kv_storage(name)
        self.inactive_after = inactive_after
        self._returns_after = inactive_after - min(_HOUR, inactive_after / 4)
        self._noted_after = min(_HOUR, inactive_after / 4)

    def visit(self, reader: UserId, now: datetime) -> dict[str, Any] | None:
        """Record a visit. One round trip; two if the last recorded one lies more than an hour back.

        Returns:
            None if the feeds of the reader are up to date. Otherwise the row of a rebuild: rebuild them, and pass the
            row to :meth:`end_rebuild`.
        """
        key = token_of(reader)
        row = self._rows.get(key)
        if row is None or "rebuild" in row or now - row["at"] >= self._returns_after:
            new = {"at": now, "rebuild": secrets.token_hex(8)}
            # From this write on, deliveries reach the reader. Those before it are in the producers' own feeds.
            self._rows.upsert(key, new)
            return new
        if now - row["at"] >= self._noted_after:
            # If another process has changed the row, its visit was recorded, and a mark of a rebuild must stay.
            self._rows.replace(key, row, {"at": now})
        return None

    def end_rebuild(self, reader: UserId, row: dict[str, Any]) -> None:
        """Record that the rebuild of a row has ended. Another rebuild that began after it goes on."""
        self._rows.replace(token_of(reader), row, {"at": row["at"]})

    def active_among(self, readers: Iterable[_Name], now: datetime) -> list[_Name]:
        """Return the readers to deliver to, in their order. A bounded number of round trips."""
        keys = {reader: token_of(reader) for reader in readers}
        rows = self._rows.fetch_many(keys.values())
        absent = now - self.inactive_after
        return [reader for reader, key in keys.items() if key in rows and rows[key]["at"] > absent]

"""The progress of an erasure: the activities to erase, the finished parts and the counts, stored until its end."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timezone
from hashlib import blake2b
from typing import Any

from feedstore.activity import reference_to
from feedstore.errors import InvalidValueError
from feedstore.privacy.scope import STATE
from feedstore.storage import Backend
from feedstore.storage.bounds import OLDEST_FIRST

AT_ONCE = 1000
_MOST_IN_MEMORY = 100_000
"""The number of ids that the membership test keeps in memory; of more it asks the store."""
_HASH_BYTES = 16


class ErasureProgress:
    """The progress of the erasure of one person, which a later run continues. The store keeps no name in it.

    Attributes:
        started: The time at which the first run began.
        runs: The number of runs.
        done: The names of the finished steps.
        positions: The positions of walks that a later run continues, by name.
        counts: The numbers of erased records, by the name of their kind.
    """

    def __init__(self, backend: Backend, person: str, roles: tuple[str, ...]) -> None:
        self._items = backend.kv_storage(STATE)
        self._timelines = backend.timeline_storage(name=STATE)
        self._token = _hash_of(person)
        found: dict[str, Any] | None = self._items.get(self._token)
        state: dict[str, Any] = found or {"roles": list(roles), "started": datetime.now(timezone.utc)}
        if tuple(state["roles"]) != roles:
            raise InvalidValueError(
                f"an erasure of this person with the roles {', '.join(state['roles'])} was interrupted; finish it with "
                "the same roles first"
            )
        self.started: datetime = state["started"]
        self.runs: int = state.get("runs", 0) + 1
        self.done: list[str] = state.get("done", [])
        self.positions: dict[str, str] = state.get("positions", {})
        self.counts: dict[str, int] = state.get("counts", {})
        self._roles = list(roles)
        self._loaded: dict[str, set[int] | None] = {}

    def count(self, kind: str, number: int) -> None:
        """Add to the count of a kind of records, for the next :meth:`save`."""
        if number:
            self.counts[kind] = self.counts.get(kind, 0) + number

    def save(self) -> None:
        """Store the progress. One round trip."""
        value = {"roles": self._roles, "started": self.started, "runs": self.runs, "done": self.done}
        self._items.upsert(self._token, {**value, "positions": self.positions, "counts": self.counts})

    def add(self, collection: str, activity_ids: Iterable[int]) -> None:
        """Add activities of a collection to those that are erased."""
        self._timelines.add_many(self._key(collection), map(reference_to, activity_ids))
        self._loaded.pop(collection, None)

    def ids(self, collection: str) -> Iterator[list[int]]:
        """Yield the ids of the activities of a collection that are erased, in chunks of 1,000."""
        cursor: str | None = None
        while True:
            page = self._timelines.get_page(self._key(collection), AT_ONCE, cursor, OLDEST_FIRST)
            if page.items:
                yield [one.serialization_id for one in page.items]
            cursor = page.next_cursor
            if cursor is None:
                return

    def erased_among(self, collections: Iterable[str], activity_ids: Collection[int]) -> set[int]:
        """Return those of some ids that are erased in one of the collections."""
        found: set[int] = set()
        for collection in collections:
            known = self._known(collection)
            if known is None:
                found |= self._timelines.contains_many(self._key(collection), activity_ids)
            else:
                found |= known.intersection(activity_ids)
        return found

    def begin_again(self) -> None:
        """Let the next run repeat all steps, and keep the activities that were erased."""
        self.done, self.positions = [], {}
        self.save()

    def finish(self, collections: Iterable[str]) -> None:
        """Remove the progress from the store."""
        for collection in collections:
            self._timelines.delete(self._key(collection))
        self._items.delete(self._token)

    def _known(self, collection: str) -> set[int] | None:
        if collection not in self._loaded:
            is_small = self._timelines.count(self._key(collection)) <= _MOST_IN_MEMORY
            self._loaded[collection] = {one for some in self.ids(collection) for one in some} if is_small else None
        return self._loaded[collection]

    def _key(self, collection: str) -> str:
        return f"{self._token}:{_hash_of(collection)}"


def _hash_of(name: str) -> str:
    return blake2b(name.encode(), digest_size=_HASH_BYTES).hexdigest()

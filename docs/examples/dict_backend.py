"""Complete backend over plain dictionaries, with the fewest hooks: the example of "Writing a backend"."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from feedstore.errors import InvalidValueError
from feedstore.metrics import Metrics
from feedstore.storage import Abilities, ActivityStorage, Backend, Bounds, KvStorage, TimelineStorage
from feedstore.storage.kv import in_range
from feedstore.storage.session import AUTOCOMMIT, Operation, Pending, Session, Transaction


class Space:
    """The data of one namespace."""

    def __init__(self) -> None:
        self.activities: dict[int, bytes] = {}
        self.timelines: dict[str, dict[int, bytes]] = defaultdict(dict)
        self.newest_trimmed: dict[str, int] = {}
        self.items: dict[str, dict[str, bytes]] = defaultdict(dict)


class Store:
    """State that the sessions of all namespaces share: a lock, a space for each namespace, and a closed flag."""

    label = "dict://"

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.spaces: dict[str, Space] = defaultdict(Space)
        self.closed = False
        # If a process forks while another thread holds the lock, the child would wait for the lock forever.
        os.register_at_fork(
            before=self.lock.acquire, after_in_parent=self.lock.release, after_in_child=self.lock.release
        )

    def close(self) -> None:
        """Drop all data."""
        self.closed = True
        self.spaces.clear()


class DictSession(Session[Store]):
    """The space of one namespace in plain dictionaries."""

    abilities = Abilities(conditional_batches=False, ordered_prefix_scans=False, shared_between_processes=False)

    @contextmanager
    def locked_space(self) -> Iterator[Space]:
        """Lock the store, and yield the data of this namespace."""
        with self._store.lock:
            yield self.store.spaces[self.namespace]

    def _transact(self, operations: Sequence[Operation], atomic: bool) -> list[Pending[Any]]:
        # A checked write to dictionaries cannot fail midway, so the lock alone makes every batch atomic.
        with self.locked_space():
            return [operation.write(AUTOCOMMIT) for operation in operations]

    def _ping(self) -> None:
        with self.locked_space():
            return


class DictActivityStorage(ActivityStorage):
    """Activities in a dictionary by id."""

    session: DictSession

    def add_to_storage(
        self, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """O(1) for each."""
        with self.session.locked_space() as space:
            new = len(serialized_activities.keys() - space.activities.keys())
            space.activities.update(serialized_activities)
            return Pending(new)

    def get_from_storage(self, activity_ids: list[int]) -> dict[int, bytes]:
        """O(1) for each."""
        with self.session.locked_space() as space:
            return {one: space.activities[one] for one in activity_ids if one in space.activities}

    def remove_from_storage(
        self, activity_ids: list[int], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """O(1) for each."""
        with self.session.locked_space() as space:
            return Pending(sum(space.activities.pop(one, None) is not None for one in activity_ids))

    def _iterate(self, bounds: Bounds, descending: bool) -> Iterator[tuple[int, bytes]]:
        with self.session.locked_space() as space:
            found = sorted(space.activities.items(), reverse=descending)
        yield from (entry for entry in found if bounds.lowest <= entry[0] <= bounds.highest)

    def _flush(self, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        with self.session.locked_space() as space:
            space.activities.clear()
        return Pending(None)


class DictTimelineStorage(TimelineStorage):
    """Timelines in dictionaries, sorted when they are read: every read of a timeline of n costs O(n log n)."""

    session: DictSession

    def add_to_storage(
        self, key: str, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """O(1) for each."""
        with self.session.locked_space() as space:
            entries = space.timelines[key]
            new = len(serialized_activities.keys() - entries.keys())
            entries.update(serialized_activities)
            return Pending(new)

    def remove_from_storage(
        self, key: str, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """O(1) for each."""
        with self.session.locked_space() as space:
            entries = space.timelines.get(key, {})
            return Pending(sum(entries.pop(one, None) is not None for one in serialized_activities))

    def _get_slice(
        self, key: str, start: int, stop: int | None, bounds: Bounds, descending: bool
    ) -> list[tuple[int, bytes]]:
        with self.session.locked_space() as space:
            entries = list(space.timelines.get(key, {}).items())
        within = [entry for entry in entries if bounds.lowest <= entry[0] <= bounds.highest]
        return sorted(within, reverse=descending)[start:stop]

    def _trim(self, key: str, length: int, transaction: Transaction = AUTOCOMMIT) -> Pending[int | None]:
        with self.session.locked_space() as space:
            dropped = sorted(space.timelines.get(key, {}), reverse=True)[length:]
            for activity_id in dropped:
                del space.timelines[key][activity_id]
            if dropped:
                space.newest_trimmed[key] = max(dropped[0], space.newest_trimmed.get(key, 0))
            return Pending(len(dropped))

    def _delete(self, key: str, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        with self.session.locked_space() as space:
            space.timelines.pop(key, None)
            space.newest_trimmed.pop(key, None)
        return Pending(None)

    def _floor(self, key: str) -> int | None:
        with self.session.locked_space() as space:
            return space.newest_trimmed[key] + 1 if key in space.newest_trimmed else None

    def _keys(self) -> Iterator[str]:
        with self.session.locked_space() as space:
            keys = [key for key, entries in space.timelines.items() if entries]
        yield from keys

    def _flush(self, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        with self.session.locked_space() as space:
            space.timelines.clear()
            space.newest_trimmed.clear()
        return Pending(None)


class DictKvStorage(KvStorage):
    """Items in a dictionary. Every scan sorts all keys, so its cost is that of the key space, not of its result."""

    session: DictSession

    def _upsert(self, key: str, data: bytes, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        with self.session.locked_space() as space:
            space.items[self.name][key] = data
        return Pending(None)

    def _fetch_one(self, key: str) -> bytes | None:
        with self.session.locked_space() as space:
            return space.items[self.name].get(key)

    def _compare_and_set(
        self, key: str, expected: bytes | None, data: bytes | None, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[bool]:
        with self.session.locked_space() as space:
            items = space.items[self.name]
            is_as_expected = items.get(key) == expected
            if is_as_expected and data is not None:
                items[key] = data
            return Pending(is_as_expected)

    def _items(self, prefix: str, after: str | None = None, reverse: bool = False, /) -> Iterator[tuple[str, bytes]]:
        with self.session.locked_space() as space:
            found = sorted(space.items[self.name].items())
        yield from in_range((item for item in found if item[0].startswith(prefix)), after, reverse)

    def _delete(self, key: str, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        with self.session.locked_space() as space:
            space.items[self.name].pop(key, None)
        return Pending(None)

    def _flush(self, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        with self.session.locked_space() as space:
            space.items[self.name].clear()
        return Pending(None)


class DictBackend(Backend):
    """A store in plain dictionaries, at ``dict://``."""

    activity_storage_class = DictActivityStorage
    timeline_storage_class = DictTimelineStorage
    kv_storage_class = DictKvStorage
    session_class = DictSession

    def __init__(self, url: str = "dict://", namespace: str = "default", metrics: Metrics | None = None) -> None:
        if url != "dict://":
            raise InvalidValueError("the URL of a store in dictionaries must be 'dict://'")
        super().__init__(self.session_class(Store(), namespace, metrics))

"""Complete backend over plain dictionaries, with the fewest hooks: the example of "Writing a backend"."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.metrics import Metrics
from feedstore.storage import Abilities, ActivityStorage, Backend, Bounds, KvStorage, TimelineStorage
from feedstore.storage.batch import Operation
from feedstore.storage.bounds import Filter, is_descending, parse_filter
from feedstore.storage.kv import in_range
from feedstore.storage.transaction import AUTOCOMMIT, Pending, Transaction


class Timeline:
    """The entries of one timeline, and the newest id that trimming dropped from it."""

    def __init__(self) -> None:
        self.entries: dict[int, bytes] = {}
        self.newest_dropped: int | None = None


class Space:
    """The data of one namespace."""

    def __init__(self) -> None:
        self.activities: dict[int, bytes] = {}
        self.timelines: dict[str, Timeline] = {}
        self.items: dict[str, dict[str, bytes]] = {}


class Store:
    """State that related backends share: a lock, a space for each namespace, and a closed flag."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.spaces: dict[str, Space] = {}
        self.closed = False
        # If a process forks while another thread holds the lock, the child would wait for the lock forever.
        os.register_at_fork(
            before=self.lock.acquire, after_in_parent=self.lock.release, after_in_child=self.lock.release
        )


class DictActivityStorage(ActivityStorage):
    """Activities in a dictionary by id."""

    backend: DictBackend

    def add_to_storage(
        self, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """O(1) for each."""
        with self.backend.locked_space() as space:
            new = len(serialized_activities.keys() - space.activities.keys())
            space.activities.update(serialized_activities)
            return Pending(new)

    def get_from_storage(self, activity_ids: list[int]) -> dict[int, bytes]:
        """O(1) for each."""
        with self.backend.locked_space() as space:
            return {one: space.activities[one] for one in activity_ids if one in space.activities}

    def remove_from_storage(
        self, activity_ids: list[int], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """O(1) for each."""
        with self.backend.locked_space() as space:
            return Pending(sum(space.activities.pop(one, None) is not None for one in activity_ids))

    def _iterate(self, bounds: Bounds, descending: bool) -> Iterator[tuple[int, bytes]]:
        with self.backend.locked_space() as space:
            found = sorted(space.activities.items(), reverse=descending)
        yield from (entry for entry in found if bounds.lowest <= entry[0] <= bounds.highest)

    def _flush(self, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        with self.backend.locked_space() as space:
            space.activities.clear()
        return Pending(None)


class DictTimelineStorage(TimelineStorage):
    """Timelines in dictionaries, sorted when they are read: every read of a timeline of n costs O(n log n)."""

    backend: DictBackend

    def add_to_storage(
        self, key: str, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """O(1) for each."""
        with self.backend.locked_space() as space:
            entries = space.timelines.setdefault(key, Timeline()).entries
            new = len(serialized_activities.keys() - entries.keys())
            entries.update(serialized_activities)
            return Pending(new)

    def remove_from_storage(
        self, key: str, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """O(1) for each."""
        with self.backend.locked_space() as space:
            entries = space.timelines.get(key, Timeline()).entries
            return Pending(sum(entries.pop(activity_id, None) is not None for activity_id in serialized_activities))

    def get_slice_from_storage(
        self,
        key: str,
        start: int,
        stop: int | None,
        filter_kwargs: Filter | Bounds | None = None,
        ordering_args: Sequence[str] | None = None,
    ) -> list[tuple[int, bytes]]:
        """O(n log n)."""
        lowest, highest = parse_filter(filter_kwargs, self.activity_to_id)
        with self.backend.locked_space() as space:
            entries = list(space.timelines.get(key, Timeline()).entries.items())
        within = [entry for entry in entries if lowest <= entry[0] <= highest]
        return sorted(within, reverse=is_descending(ordering_args))[start:stop]

    def get_index_of(self, key: str, activity_id: int) -> int | None:
        """O(n)."""
        with self.backend.locked_space() as space:
            entries = space.timelines.get(key, Timeline()).entries
            return sum(one > activity_id for one in entries) if activity_id in entries else None

    def _contains(self, key: str, activity_id: int) -> bool:
        with self.backend.locked_space() as space:
            return activity_id in space.timelines.get(key, Timeline()).entries

    def _count(self, key: str) -> int:
        with self.backend.locked_space() as space:
            return len(space.timelines.get(key, Timeline()).entries)

    def _trim(self, key: str, length: int, transaction: Transaction = AUTOCOMMIT) -> Pending[int | None]:
        with self.backend.locked_space() as space:
            timeline = space.timelines.get(key, Timeline())
            dropped = sorted(timeline.entries, reverse=True)[length:]
            for activity_id in dropped:
                del timeline.entries[activity_id]
            if dropped:
                timeline.newest_dropped = max(dropped[0], timeline.newest_dropped or 0)
            return Pending(len(dropped))

    def _delete(self, key: str, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        with self.backend.locked_space() as space:
            space.timelines.pop(key, None)
        return Pending(None)

    def _floor(self, key: str) -> int | None:
        with self.backend.locked_space() as space:
            newest_dropped = space.timelines.get(key, Timeline()).newest_dropped
        return None if newest_dropped is None else newest_dropped + 1

    def _keys(self) -> Iterator[str]:
        with self.backend.locked_space() as space:
            keys = [key for key, timeline in space.timelines.items() if timeline.entries]
        yield from keys

    def _flush(self, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        with self.backend.locked_space() as space:
            space.timelines.clear()
        return Pending(None)


class DictKvStorage(KvStorage):
    """Items in a dictionary. Every scan sorts all keys, so its cost is that of the key space, not of its result."""

    backend: DictBackend

    def _upsert(self, key: str, data: bytes, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        with self.backend.locked_space() as space:
            space.items.setdefault(self.name, {})[key] = data
        return Pending(None)

    def _fetch_one(self, key: str) -> bytes | None:
        with self.backend.locked_space() as space:
            return space.items.get(self.name, {}).get(key)

    def _compare_and_set(
        self, key: str, expected: bytes | None, data: bytes | None, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[bool]:
        with self.backend.locked_space() as space:
            items = space.items.setdefault(self.name, {})
            is_as_expected = items.get(key) == expected
            if is_as_expected and data is not None:
                items[key] = data
            return Pending(is_as_expected)

    def _items(self, prefix: str, after: str | None = None, reverse: bool = False, /) -> Iterator[tuple[str, bytes]]:
        with self.backend.locked_space() as space:
            found = sorted(space.items.get(self.name, {}).items())
        yield from in_range((item for item in found if item[0].startswith(prefix)), after, reverse)

    def _delete(self, key: str, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        with self.backend.locked_space() as space:
            space.items.get(self.name, {}).pop(key, None)
        return Pending(None)

    def _flush(self, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        with self.backend.locked_space() as space:
            space.items.pop(self.name, None)
        return Pending(None)


class DictBackend(Backend):
    """A store in plain dictionaries, at ``dict://``."""

    abilities = Abilities(conditional_batches=False, ordered_prefix_scans=False, shared_between_processes=False)
    activity_storage_class = DictActivityStorage
    timeline_storage_class = DictTimelineStorage
    kv_storage_class = DictKvStorage

    def __init__(self, namespace: str = "default", metrics: Metrics | None = None, store: Store | None = None) -> None:
        super().__init__(namespace, metrics)
        self._store = Store() if store is None else store

    @classmethod
    def from_url(cls, url: str, **options: Any) -> DictBackend:
        """Return an empty store for ``dict://``; the options are ``namespace`` and ``metrics``."""
        if url != "dict://":
            raise InvalidValueError("the URL of a store in dictionaries is 'dict://' alone")
        for name in options.keys() - {"namespace", "metrics"}:
            raise InvalidTypeError(f"unknown option {name!r}; dict:// takes namespace and metrics")
        return cls(**options)

    @contextmanager
    def locked_space(self) -> Iterator[Space]:
        """Lock the store, and yield the data of this namespace."""
        with self._store.lock:
            self.check_open()
            yield self._store.spaces.setdefault(self.namespace, Space())

    @property
    def closed(self) -> bool:
        """Whether the store was closed."""
        return self._store.closed

    def _store_identity(self) -> Store:
        return self._store

    def _transact(self, operations: Sequence[Operation], atomic: bool) -> list[Pending[Any]]:
        # A checked write to dictionaries cannot fail midway, so the lock alone makes every batch atomic.
        with self.locked_space():
            return [operation.write(AUTOCOMMIT) for operation in operations]

    def _with_namespace(self, namespace: str) -> DictBackend:
        return DictBackend(namespace, self.metrics, self._store)

    def _ping(self) -> None:
        with self.locked_space():
            return

    def _close(self) -> None:
        self._store.closed = True
        self._store.spaces.clear()

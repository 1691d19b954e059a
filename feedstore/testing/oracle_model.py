"""Model of a backend in dictionaries and sorted lists, with which the oracle compares a real backend."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from feedstore.activity import Activity, ActivityRef
from feedstore.errors import ActivityNotFound, ItemNotFound, StoredDataError
from feedstore.ids import MAX_ID
from feedstore.serializers import MsgpackSerializer
from feedstore.testing.samples import OLDEST_FIRST

HOLDS: dict[str, Callable[[int, int], bool]] = {
    "activity_id__lt": lambda one, bound: one < bound,
    "activity_id__lte": lambda one, bound: one <= bound,
    "activity_id__gt": lambda one, bound: one > bound,
    "activity_id__gte": lambda one, bound: one >= bound,
}


class ModelPage(NamedTuple):
    """Page of the model. Instead of a cursor it has the id after which the next page begins."""

    items: list[Any]
    next_id: int | None
    complete: bool
    floor: int | None


class ModelTimeline:
    """The entries of a timeline, each with its activity or None, and the newest id that trimming dropped."""

    def __init__(self) -> None:
        self.entries: dict[int, Activity | None] = {}
        self.newest_dropped: int | None = None

    def trim(self, length: int) -> int:
        """Drop all but the newest ``length``."""
        dropped = sorted(self.entries, reverse=True)[length:]
        for activity_id in dropped:
            del self.entries[activity_id]
        if dropped:
            self.newest_dropped = max(dropped[0], -1 if self.newest_dropped is None else self.newest_dropped)
        return len(dropped)

    def floor(self) -> int | None:
        """Return one more than the newest id that was dropped."""
        return None if self.newest_dropped is None else self.newest_dropped + 1


class ModelActivities:
    """An activity storage in a dictionary."""

    def __init__(self, counts: bool) -> None:
        self.activities: dict[int, Activity] = {}
        self._counts = counts

    def add_many(self, activities: Sequence[Activity]) -> int | None:
        """See the contract."""
        new = {one.serialization_id: one for one in activities}
        count = len(new.keys() - self.activities.keys())
        self.activities.update(new)
        return self._counted(new, count)

    def remove_many(self, ids: Sequence[int]) -> int | None:
        """See the contract."""
        present = [one for one in set(ids) if self.activities.pop(one, None) is not None]
        return self._counted(ids, len(present))

    def get_many(self, ids: Iterable[int]) -> list[Activity]:
        """See the contract."""
        return [self.activities[one] for one in ids if one in self.activities]

    def get(self, activity_id: int) -> Activity | None:
        """See the contract."""
        return self.activities.get(activity_id)

    def iterate(self, after: int | None = None, before: int | None = None, reverse: bool = False) -> list[Activity]:
        """See the contract."""
        lowest, highest = -1 if after is None else after, MAX_ID + 1 if before is None else before
        ids = sorted((one for one in self.activities if lowest < one < highest), reverse=reverse)
        return [self.activities[one] for one in ids]

    def flush(self) -> None:
        """See the contract."""
        self.activities.clear()

    def _counted(self, items: Any, count: int) -> int | None:
        return count if self._counts or not items else None


class ModelTimelines:
    """A timeline storage in dictionaries; ``payloads`` says whether it keeps activities or their ids alone."""

    def __init__(self, timelines: dict[str, ModelTimeline], payloads: bool, counts: bool) -> None:
        self.timelines = timelines
        self._payloads = payloads
        self._counts = counts

    def _timeline(self, key: str) -> ModelTimeline:
        return self.timelines.setdefault(key, ModelTimeline())

    def add_to_many(
        self, keys: Sequence[str], activities: Sequence[Activity], max_length: int | None = None
    ) -> int | None:
        """See the contract."""
        new = {one.serialization_id: one if self._payloads else None for one in activities}
        count = 0
        for key in dict.fromkeys(keys) if new else ():
            timeline = self._timeline(key)
            count += len(new.keys() - timeline.entries.keys())
            timeline.entries.update(new)
            if max_length is not None:
                timeline.trim(max_length)
        return count if self._counts or not (keys and new) else None

    def add_many(self, key: str, activities: Sequence[Activity]) -> int | None:
        """See the contract."""
        return self.add_to_many([key], activities)

    def add_to_each(
        self,
        deliveries: Mapping[str, Sequence[Activity]],
        max_length: int | None = None,
        companions: Sequence[str] = (),
    ) -> int | None:
        """See the contract."""
        counts = [self._deliver(key, each, max_length, companions) for key, each in deliveries.items() if each]
        return sum(counts) if self._counts or not counts else None

    def _deliver(self, key: str, activities: Sequence[Activity], max_length: int | None, companions: Any) -> int:
        timeline = self._timeline(key)
        delivered = {one.serialization_id: one if self._payloads else None for one in activities}
        new = {one: entry for one, entry in delivered.items() if one not in timeline.entries}
        timeline.entries.update(delivered)
        before = set(timeline.entries)
        if max_length is not None:
            timeline.trim(max_length)
        for suffix in companions:
            companion = self._timeline(key + suffix).entries
            companion.update(new)
            for gone in before - timeline.entries.keys():
                companion.pop(gone, None)
        return len(new)

    def contains_many(self, key: str, ids: Sequence[int]) -> set[int]:
        """See the contract."""
        return self._timeline(key).entries.keys() & set(ids)

    def remove_from_many(self, keys: Sequence[str], ids: Sequence[int]) -> int | None:
        """See the contract."""
        count = 0
        for key in dict.fromkeys(keys):
            entries = self._timeline(key).entries
            present = entries.keys() & set(ids)
            count += len(present)
            for activity_id in present:
                del entries[activity_id]
        return count if self._counts or not (keys and ids) else None

    def remove_many(self, key: str, ids: Sequence[int]) -> int | None:
        """See the contract."""
        return self.remove_from_many([key], ids)

    def trim(self, key: str, length: int) -> int | None:
        """See the contract."""
        count = self._timeline(key).trim(length)
        return count if self._counts else None

    def delete(self, key: str) -> None:
        """See the contract."""
        self.timelines.pop(key, None)

    def flush(self) -> None:
        """See the contract."""
        self.timelines.clear()

    def get_slice(
        self,
        key: str,
        start: int | None,
        stop: int | None,
        filter_kwargs: Mapping[str, int] | None = None,
        ordering_args: Sequence[str] | None = None,
        hydrate_from: ModelActivities | None = None,
    ) -> list[Any]:
        """See the contract."""
        entries = self._timeline(key).entries
        bounds = (filter_kwargs or {}).items()
        within = [one for one in entries if all(HOLDS[name](one, bound) for name, bound in bounds)]
        within.sort(reverse=ordering_args != OLDEST_FIRST)
        ids = within[start:stop]
        return self._load(key, ids) if hydrate_from is None else hydrate_from.get_many(ids)

    def _load(self, key: str, ids: list[int]) -> list[Any]:
        if not self._payloads:
            return [ActivityRef(one) for one in ids]
        payloads = [self._timeline(key).entries[one] for one in ids]
        if None in payloads:
            raise StoredDataError("a reference is no payload")
        return payloads

    def get_many_slices(self, keys: Sequence[str], *options: Any, **named: Any) -> dict[str, list[Any]]:
        """See the contract."""
        return {key: self.get_slice(key, *options, **named) for key in keys}

    def get_page(
        self,
        key: str,
        limit: int,
        behind: int | None = None,
        ordering_args: Sequence[str] | None = None,
        hydrate_from: ModelActivities | None = None,
    ) -> ModelPage:
        """See the contract; ``behind`` is the id that the page before ended with."""
        operator = "gt" if ordering_args == OLDEST_FIRST else "lt"
        bounds = {} if behind is None else {f"activity_id__{operator}": behind}
        items = self.get_slice(key, 0, limit, bounds, ordering_args, hydrate_from)
        ids = [one.serialization_id for one in self._references(key, limit + 1, bounds, ordering_args)]
        next_id = ids[limit - 1] if len(ids) > limit else None
        floor = self._timeline(key).floor()
        return ModelPage(items, next_id, next_id is None and floor is None, floor)

    def get_merged_page(
        self,
        keys: Sequence[str],
        limit: int,
        behind: None,
        filter_kwargs: Mapping[str, int] | None,
        ordering_args: Sequence[str] | None,
    ) -> tuple[list[Any], bool]:
        """Return the items of the first merged page, and whether it is the last one."""
        holders = {
            one.serialization_id: key
            for key in reversed(keys)
            for one in self._references(key, None, filter_kwargs, None)
        }
        ids = sorted(holders, reverse=ordering_args != OLDEST_FIRST)
        return [self._load(holders[one], [one])[0] for one in ids[:limit]], len(ids) <= limit

    def get_columns(
        self, key: str, limit: int, filter_kwargs: Mapping[str, int] | None = None
    ) -> list[tuple[int, bytes]]:
        """Return the ids with their payloads as the store holds them."""
        dumps = MsgpackSerializer().dumps
        ids = [one.serialization_id for one in self._references(key, limit, filter_kwargs, None)]
        entries = [(one, self._timeline(key).entries[one]) for one in ids]
        return [(one, b"" if activity is None else dumps(activity)) for one, activity in entries]

    def _references(self, key: str, limit: int | None, bounds: Any, ordering_args: Any) -> list[ActivityRef]:
        references = ModelTimelines(self.timelines, payloads=False, counts=self._counts)
        return references.get_slice(key, 0, limit, bounds, ordering_args)

    def index_of(self, key: str, activity_id: int) -> int:
        """See the contract."""
        entries = self._timeline(key).entries
        if activity_id not in entries:
            raise ActivityNotFound(activity_id)
        return sum(one > activity_id for one in entries)

    def contains(self, key: str, activity_id: int) -> bool:
        """See the contract."""
        return activity_id in self._timeline(key).entries

    def count(self, key: str, filter_kwargs: Mapping[str, int] | None = None) -> int:
        """See the contract."""
        return len(self._references(key, None, filter_kwargs, None))

    def keys(self) -> set[str]:
        """See the contract; the order is left open."""
        return {key for key, timeline in self.timelines.items() if timeline.entries}


class ModelItems:
    """A key-value storage in a dictionary."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def upsert(self, key: str, value: Any) -> None:
        """See the contract."""
        self.values[key] = value

    def delete(self, key: str) -> None:
        """See the contract."""
        self.values.pop(key, None)

    def flush(self) -> None:
        """See the contract."""
        self.values.clear()

    def fetch_one(self, key: str) -> Any:
        """See the contract."""
        if key not in self.values:
            raise ItemNotFound(key)
        return self.values[key]

    def get(self, key: str, default: Any = None) -> Any:
        """See the contract."""
        return self.values.get(key, default)

    def exists(self, key: str) -> bool:
        """See the contract."""
        return key in self.values

    def delete_by_prefix(self, prefix: str) -> None:
        """See the contract."""
        for key, _ in self.items(prefix):
            del self.values[key]

    def insert(self, key: str, value: Any) -> bool:
        """See the contract."""
        is_new = key not in self.values
        if is_new:
            self.values[key] = value
        return is_new

    def keys(self, prefix: str = "", after: str | None = None, reverse: bool = False) -> list[str]:
        """See the contract."""
        keys = sorted((key for key in self.values if key.startswith(prefix)), reverse=reverse)
        return [key for key in keys if after is None or (key < after if reverse else key > after)]

    def items(self, prefix: str = "", **part: Any) -> list[tuple[str, Any]]:
        """See the contract."""
        return [(key, self.values[key]) for key in self.keys(prefix, **part)]

    def fetch_by_prefix(self, prefix: str) -> list[Any]:
        """See the contract."""
        return [value for _, value in self.items(prefix)]

    def fetch_all(self) -> list[Any]:
        """See the contract."""
        return self.fetch_by_prefix("")


class ModelSpace:
    """One namespace: its storages under the names that the oracle calls them by."""

    def __init__(self, counts: bool, item_names: Iterable[str]) -> None:
        timelines: dict[str, ModelTimeline] = {}
        self.storages: dict[str, Any] = {
            "activities": ModelActivities(counts),
            "references": ModelTimelines(timelines, payloads=False, counts=counts),
            "payloads": ModelTimelines(timelines, payloads=True, counts=counts),
            "named": ModelTimelines({}, payloads=False, counts=counts),
            **{name: ModelItems() for name in item_names},
        }

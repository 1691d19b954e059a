"""The hand-written side with sortedcontainers."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from itertools import islice

from sortedcontainers import SortedList

from benchmarks.side import Side
from benchmarks.traced import traced_bytes
from benchmarks.workloads import MAX_PER_PAYLOAD, payload_of
from feedstore import Activity, ActivityRef
from feedstore.activity import references_to
from feedstore.serializers import MsgpackSerializer


class RawMemorySide(Side):
    """A ``SortedList`` of ids for each timeline, and a dictionary of serialized activities.

    Tried and slower for the same work (CPython 3.11): ``SortedSet`` and ``SortedDict`` (fan-out 1.3 and 1.8 times the
    time, and more memory), an ``in`` test for each of many ids that are newer than all (bulk add 1.3 times),
    ``del ids[0]`` for ``ids.pop(0)`` (1.1 times), a read of the newest id before one ``in`` (1.2 times), and building
    each timeline again (10 times).
    """

    def __init__(self) -> None:
        self._activities: dict[int, bytes] = {}
        self._timelines: dict[str, SortedList] = {}
        self._payloads: dict[int, bytes] = {}
        self._same: dict[str, dict[bytes, list[int]]] = {}
        self._serializer = MsgpackSerializer()

    def add_activities(self, activities: Sequence[Activity]) -> None:
        ids = [activity.serialization_id for activity in activities]
        self._activities.update(zip(ids, self._serializer.dumps_many(activities), strict=True))

    def add_many(self, key: str, activities: Sequence[Activity]) -> None:
        self.add_ids(key, [activity.serialization_id for activity in activities])

    def add_ids(self, key: str, activity_ids: Sequence[int]) -> None:
        ids = self._timelines.get(key)
        if ids is None:
            ids = self._timelines[key] = SortedList()
        _add_several(ids, sorted(dict.fromkeys(activity_ids)))

    def add_to_many(self, keys: Sequence[str], activities: Sequence[Activity], max_length: int) -> None:
        if len(activities) == 1:
            self._add_one_to_many(keys, activities[0].serialization_id, max_length)
            return
        activity_ids = sorted({activity.serialization_id for activity in activities})
        timelines = self._timelines
        for key in keys:
            ids = timelines.get(key)
            if ids is None:
                ids = timelines[key] = SortedList()
            _add_several(ids, activity_ids)
            if len(ids) > max_length:
                del ids[: len(ids) - max_length]

    def _add_one_to_many(self, keys: Sequence[str], activity_id: int, max_length: int) -> None:
        timelines = self._timelines
        for key in keys:
            ids = timelines.get(key)
            if ids is None:
                ids = timelines[key] = SortedList()
            if activity_id not in ids:
                ids.add(activity_id)
                if len(ids) > max_length:
                    ids.pop(0)

    def publish(self, activity: Activity, keys: Sequence[str], max_length: int) -> None:
        self._activities[activity.serialization_id] = self._serializer.dumps(activity)
        self._add_one_to_many(keys, activity.serialization_id, max_length)

    def add_with_payloads(self, keys: Sequence[str], activities: Sequence[Activity]) -> None:
        ids = [activity.serialization_id for activity in activities]
        payloads = [payload_of(activity) for activity in activities]
        self._payloads.update(zip(ids, payloads, strict=True))
        for key in keys:
            same = self._same.setdefault(key, {})
            for activity_id, payload in zip(ids, payloads, strict=True):
                insort(same.setdefault(payload, []), activity_id)
            self.add_ids(key, ids)

    def publish_with_payload(
        self, activity: Activity, keys: Sequence[str], max_length: int, companions: Sequence[str]
    ) -> None:
        activity_id, payload = activity.serialization_id, payload_of(activity)
        self._activities[activity_id] = self._serializer.dumps(activity)
        self._payloads[activity_id] = payload
        timelines, same = self._timelines, self._same
        for key in keys:
            ids = timelines.get(key)
            if ids is None:
                ids, same[key] = timelines.setdefault(key, SortedList()), {}
            if activity_id in ids:
                continue
            ids.add(activity_id)
            group = same[key].setdefault(payload, [])
            insort(group, activity_id)
            for suffix in companions:
                timelines.setdefault(key + suffix, SortedList()).add(activity_id)
            if len(group) > MAX_PER_PAYLOAD:
                dropped = group.pop(0)
                ids.remove(dropped)
                self._drop_from_companions(key, dropped, companions)
            if len(ids) > max_length:
                dropped = ids.pop(0)
                group = same[key][self._payloads[dropped]]
                del group[bisect_left(group, dropped)]
                self._drop_from_companions(key, dropped, companions)

    def _drop_from_companions(self, key: str, activity_id: int, companions: Sequence[str]) -> None:
        for suffix in companions:
            self._timelines[key + suffix].discard(activity_id)

    def newest(self, key: str, limit: int) -> list[ActivityRef]:
        ids = self._timelines.get(key)
        return [] if ids is None else references_to(list(islice(reversed(ids), limit)))

    def newest_hydrated(self, key: str, limit: int) -> list[Activity]:
        ids = self._timelines.get(key)
        if ids is None:
            return []
        activities = self._activities
        newest = islice(reversed(ids), limit)
        return self._serializer.loads_many([(one, activities[one]) for one in newest if one in activities])

    def walk(self, key: str, limit: int) -> list[ActivityRef]:
        ids = self._timelines[key]
        references: list[ActivityRef] = []
        last_id: int | None = None
        while True:
            older = ids.irange(maximum=last_id, inclusive=(True, last_id is None), reverse=True)
            page = list(islice(older, limit))
            references += references_to(page)
            if len(page) < limit:
                return references
            last_id = page[-1]

    def index_of(self, key: str, activity_id: int) -> int:
        ids = self._timelines[key]
        index: int = len(ids) - 1 - ids.index(activity_id)
        return index

    def contains(self, key: str, activity_id: int) -> bool:
        return activity_id in self._timelines[key]

    def count(self, key: str) -> int:
        return len(self._timelines[key])

    def stored_bytes(self) -> int:
        return traced_bytes()

    def close(self) -> None:
        self._activities.clear()
        self._timelines.clear()


def _add_several(ids: SortedList, ascending: list[int]) -> None:
    if ids and ascending[0] <= ids[-1]:
        ascending = [activity_id for activity_id in ascending if activity_id not in ids]
    if len(ascending) * 4 >= len(ids):
        ids.update(ascending)
        return
    add = ids.add
    for activity_id in ascending:
        add(activity_id)

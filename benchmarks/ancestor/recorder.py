"""A side that only records its calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.side import Side
from feedstore import Activity, ActivityRef


class Recorder(Side):
    """Recorder of each call's method name and arguments. The results have no meaning."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def add_activities(self, activities: Sequence[Activity]) -> None:
        self.calls.append(("add_activities", activities))

    def add_many(self, key: str, activities: Sequence[Activity]) -> None:
        self.calls.append(("add_many", key, activities))

    def add_ids(self, key: str, activity_ids: Sequence[int]) -> None:
        self.calls.append(("add_ids", key, activity_ids))

    def add_to_many(self, keys: Sequence[str], activities: Sequence[Activity], max_length: int) -> None:
        self.calls.append(("add_to_many", keys, activities, max_length))

    def publish(self, activity: Activity, keys: Sequence[str], max_length: int) -> None:
        raise NotImplementedError("stream_framework has no batches of several storages")

    def add_with_payloads(self, keys: Sequence[str], activities: Sequence[Activity]) -> None:
        raise NotImplementedError("stream_framework has no payloads beside its activities")

    def publish_with_payload(
        self, activity: Activity, keys: Sequence[str], max_length: int, companions: Sequence[str]
    ) -> None:
        raise NotImplementedError("stream_framework has no payloads beside its activities")

    def newest(self, key: str, limit: int) -> list[ActivityRef]:
        self.calls.append(("newest", key, limit))
        return []

    def newest_hydrated(self, key: str, limit: int) -> list[Activity]:
        self.calls.append(("newest_hydrated", key, limit))
        return []

    def walk(self, key: str, limit: int) -> list[ActivityRef]:
        raise NotImplementedError("stream_framework has no pages in memory")

    def index_of(self, key: str, activity_id: int) -> int:
        self.calls.append(("index_of", key, activity_id))
        return 0

    def contains(self, key: str, activity_id: int) -> bool:
        self.calls.append(("contains", key, activity_id))
        return False

    def count(self, key: str) -> int:
        self.calls.append(("count", key))
        return 0

    def stored_bytes(self) -> int:
        raise NotImplementedError("the process is not asked for its memory")

    def close(self) -> None:
        """Do nothing: the recorder opened no store."""

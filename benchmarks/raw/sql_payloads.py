"""Deliveries with payloads, as the raw sides of both SQL databases make them."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from itertools import chain

from benchmarks.side import Side
from benchmarks.workloads import payload_of
from feedstore import Activity
from feedstore.ids import ID_BYTES
from feedstore.serializers import MsgpackSerializer

Header = tuple[int, int]
"""A timeline's number and its length."""


class SqlPayloads(Side):
    """A side that delivers one activity with a payload, in statements that each serve all timelines.

    A table ``same`` holds the ids of each timeline by payload, and is read instead of the timelines.
    """

    _serializer: MsgpackSerializer

    def add_with_payloads(self, keys: Sequence[str], activities: Sequence[Activity]) -> None:
        for activity in activities:
            activity_id = activity.serialization_id.to_bytes(ID_BYTES, "big")
            with self.transaction():
                timelines = [timeline for timeline, _ in self._keyed_headers(keys).values()]
                new = self.insert(activity_id, timelines)
                self.insert_same(activity_id, payload_of(activity), new)
                self.lengthen(1, new)

    def publish_with_payload(
        self, activity: Activity, keys: Sequence[str], max_length: int, companions: Sequence[str]
    ) -> None:
        activity_id, data = activity.serialization_id.to_bytes(ID_BYTES, "big"), self._serializer.dumps(activity)
        with self.transaction():
            self.replace_activity(activity_id, data)
            self._deliver_with_payload(activity_id, payload_of(activity), keys, max_length, companions)

    def _deliver_with_payload(
        self, activity_id: bytes, payload: bytes, keys: Sequence[str], max_length: int, suffixes: Sequence[str]
    ) -> None:
        """Add one id to timelines and their companions, and drop the ids beyond the limits from both."""
        headers = self._keyed_headers([key + suffix for suffix in ("", *suffixes) for key in keys])
        companions = {headers[key][0]: [headers[key + suffix][0] for suffix in suffixes] for key in keys}
        lengths = dict(headers.values())
        new = self.insert(activity_id, list(companions))
        self.insert_same(activity_id, payload, new)
        change = Counter(new)
        if suffixes:
            change.update(self.insert(activity_id, _companions_of(new, companions)))
        for dropped, timelines in self._by_id(self.beyond_payload_limit(payload, new)):
            self._drop(dropped, timelines, companions, change)
        long = [timeline for timeline in new if lengths[timeline] + change[timeline] > max_length]
        for dropped, timelines in self._by_id(self.oldest(long)) if long else ():
            self._drop(dropped, timelines, companions, change)
        for more in {*change.values()} - {0}:
            self.lengthen(more, [timeline for timeline, changed in change.items() if changed == more])

    def _drop(
        self, activity_id: bytes, timelines: list[int], companions: dict[int, list[int]], change: Counter[int]
    ) -> None:
        self.delete_same(activity_id, timelines)
        change.subtract(self.delete(activity_id, [*timelines, *_companions_of(timelines, companions)]))

    def _by_id(self, rows: Iterable[tuple[int, bytes]]) -> Iterable[tuple[bytes, list[int]]]:
        groups: defaultdict[bytes, list[int]] = defaultdict(list)
        for timeline, activity_id in rows:
            groups[activity_id].append(timeline)
        return groups.items()

    def _keyed_headers(self, keys: Sequence[str]) -> dict[str, Header]:
        """Return the header of each timeline, and make the missing ones."""
        rows = self.keyed_headers(keys)
        if len(rows) < len(keys):
            self.make_headers(keys)
            rows = self.keyed_headers(keys)
        return {key: (timeline, length) for key, timeline, length in rows}

    @abstractmethod
    def transaction(self) -> AbstractContextManager[object]:
        """Open a transaction, which is committed at the end of the block."""

    @abstractmethod
    def replace_activity(self, activity_id: bytes, data: bytes) -> None:
        """Store a serialized activity."""

    @abstractmethod
    def keyed_headers(self, keys: Sequence[str]) -> Sequence[tuple[str, int, int]]:
        """Return the key, the number and the length of each timeline that has a header."""

    @abstractmethod
    def make_headers(self, keys: Sequence[str]) -> None:
        """Make the headers of the timelines that have none."""

    @abstractmethod
    def insert(self, activity_id: bytes, timelines: list[int]) -> list[int]:
        """Add an id to timelines, and return the timelines that did not hold it."""

    @abstractmethod
    def insert_same(self, activity_id: bytes, payload: bytes, timelines: list[int]) -> None:
        """Record the payload of an id, and the id among those of the payload in each timeline."""

    @abstractmethod
    def beyond_payload_limit(self, payload: bytes, timelines: list[int]) -> Iterable[tuple[int, bytes]]:
        """Return the oldest id of a payload in each timeline that holds one more than the limit."""

    @abstractmethod
    def oldest(self, timelines: list[int]) -> Iterable[tuple[int, bytes]]:
        """Return the oldest id of each timeline."""

    @abstractmethod
    def delete(self, activity_id: bytes, timelines: list[int]) -> list[int]:
        """Remove an id from timelines, and return the timelines that held it."""

    @abstractmethod
    def delete_same(self, activity_id: bytes, timelines: list[int]) -> None:
        """Remove an id from those of its payload in each timeline."""

    @abstractmethod
    def lengthen(self, more: int, timelines: list[int]) -> None:
        """Add ``more`` to the lengths of timelines."""


def _companions_of(timelines: Iterable[int], companions: dict[int, list[int]]) -> list[int]:
    return list(chain.from_iterable([companions[timeline] for timeline in timelines]))

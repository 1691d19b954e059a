"""Deliveries with payloads, as the raw sides of both SQL databases make them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain

Header = tuple[int, int]
"""A timeline's number and its length."""


class SqlPayloads(ABC):
    """Delivers one activity with a payload, in statements that each serve all timelines.

    A table ``same`` holds the ids of each timeline by payload, and is read instead of the timelines.
    """

    def deliver_with_payload(
        self, activity_id: bytes, payload: bytes, keys: Sequence[str], max_length: int, suffixes: Sequence[str]
    ) -> None:
        """Add one id to timelines and their companions, and drop the ids beyond the limits from both."""
        headers = self.keyed_headers([key + suffix for suffix in ("", *suffixes) for key in keys])
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

    @abstractmethod
    def keyed_headers(self, keys: Sequence[str]) -> dict[str, Header]:
        """Return the header of each timeline, and make the missing ones."""

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

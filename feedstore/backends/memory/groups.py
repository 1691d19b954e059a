"""The ids of a timeline's entries by payload, for deliveries with ``max_per_payload``."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from typing import Any


class Groups:
    """Ids in ascending order, by payload. Only payloads of bytes are grouped.

    Groups are derived from the entries of a timeline, which drop them when a write is undone.
    """

    __slots__ = ("ids",)

    def __init__(self, ids: Iterable[int], payloads: Mapping[int, Any]) -> None:
        self.ids: dict[bytes, list[int]] = {}
        for activity_id in ids:
            if activity_id in payloads:
                self.join(activity_id, payloads[activity_id])

    def join(self, activity_id: int, payload: Any) -> None:
        """Add an entry. O(1) for the newest of its group."""
        if payload.__class__ is not bytes or not payload:
            return
        same = self.ids.get(payload)
        if same is None:
            self.ids[payload] = [activity_id]
        elif activity_id > same[-1]:
            same.append(activity_id)
        else:
            insort(same, activity_id)

    def leave(self, activity_id: int, payload: Any) -> None:
        """Remove an entry that joined with the payload. O(log n) in a group of n."""
        if payload.__class__ is not bytes or not payload:
            return
        same = self.ids[payload]
        del same[0 if same[0] == activity_id else bisect_left(same, activity_id)]
        if not same:
            del self.ids[payload]

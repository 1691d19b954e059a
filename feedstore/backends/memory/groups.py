"""The numbers and ids of a timeline's entries by payload, for deliveries with ``max_per_payload``."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from typing import Any


class Groups:
    """The number of entries of each payload, or their ids in ascending order. Only payloads of bytes are grouped.

    A group has a number until its members are read for the first time, which happens when it exceeds its limit. To
    keep a list for each group would take twice the time of a delivery. Groups are derived from the entries of a
    timeline, which drop them when a write is undone.
    """

    __slots__ = ("_members",)

    def __init__(self, payloads: Mapping[int, Any]) -> None:
        self._members: dict[bytes, int | list[int]] = {}
        for activity_id, payload in payloads.items():
            self.join(activity_id, payload)

    def join(self, activity_id: int, payload: Any) -> None:
        """Add an entry. O(1) for the newest of its group."""
        if payload.__class__ is not bytes or not payload:
            return
        same = self._members.get(payload, 0)
        if isinstance(same, int):
            self._members[payload] = same + 1
        elif activity_id > same[-1]:
            same.append(activity_id)
        else:
            insort(same, activity_id)

    def leave(self, activity_id: int, payload: Any) -> None:
        """Remove an entry that joined with the payload. O(log n) in a group of n."""
        if payload.__class__ is not bytes or not payload:
            return
        same = self._members[payload]
        if isinstance(same, int):
            if same > 1:
                self._members[payload] = same - 1
                return
        else:
            del same[0 if same[0] == activity_id else bisect_left(same, activity_id)]
            if same:
                return
        del self._members[payload]

    def count(self, payload: bytes) -> int:
        """Return the number of entries that share a payload."""
        same = self._members.get(payload, 0)
        return same if isinstance(same, int) else len(same)

    def members(self, payload: bytes, ids: Iterable[int], payloads: Mapping[int, Any]) -> list[int]:
        """Return the ids of the entries that share a payload, of which there are some.

        Args:
            payload: the payload.
            ids: the ids of all entries of the timeline, in ascending order. The first call for a group reads them.
            payloads: their payloads.
        """
        same = self._members[payload]
        if isinstance(same, int):
            same = self._members[payload] = [one for one in ids if payloads.get(one) == payload]
        return same

"""Deliveries of many activities by many actors in few calls."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from feedstore.activity import Activity
from feedstore.feeds import UserId

FanOut = tuple[Sequence[UserId], list[Activity]]
"""The readers, and the activities that their feeds receive."""
FanOuts = tuple[list[FanOut], dict[UserId, list[Activity]]]
"""Large fan-outs, and all other deliveries by reader."""

LARGE_FAN_OUT = 400
"""The deliveries with which a fan-out gets its own call. The smaller ones share one call."""


def divide_by_size(fan_outs: Iterable[FanOut]) -> FanOuts:
    """Return the large ones of some fan-outs, and the deliveries of all others by reader.

    A reader is a str. Readers with the same activities share one list, which is then serialized once.
    """
    large: list[FanOut] = []
    small: dict[UserId, list[Activity]] = {}
    merged: set[UserId] = set()
    for readers, activities in fan_outs:
        if len(readers) * len(activities) >= LARGE_FAN_OUT:
            large.append((readers, activities))
            continue
        for reader in readers:
            known = small.get(reader)
            if known is None:
                small[reader] = activities
            elif reader in merged:
                known += activities
            else:
                small[reader] = known + activities
                merged.add(reader)
    return large, small

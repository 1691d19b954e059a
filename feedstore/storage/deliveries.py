"""Deliveries with limits: the default that works over the other hooks of a timeline storage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from feedstore.storage.bounds import EVERYTHING, NEWEST_FIRST
from feedstore.storage.transaction import Pending, Transaction

if TYPE_CHECKING:
    from feedstore.storage.timeline_hooks import TimelineHooks


class Limits(NamedTuple):
    """What a delivery does to its timelines beside adding.

    - ``max_length``: how many of the newest entries stay.
    - ``max_per_payload``: how many of the newest entries with one payload stay; entries without a payload all stay.
    - ``companions``: suffixes of keys. An entry that is new in a timeline is added to each companion too, and one that
      the delivery drops from the timeline is dropped from each companion.
    """

    max_length: int | None = None
    max_per_payload: int | None = None
    companions: tuple[str, ...] = ()


def deliver(
    timelines: TimelineHooks[Any], key: str, serialized: Mapping[int, bytes], limits: Limits, transaction: Transaction
) -> Pending[int | None]:
    """Add entries to one timeline within limits, and return how many were new before anything was dropped.

    It reads what it has written. So it is one step only inside a transaction whose reads see its own writes.
    """
    companions = [f"{key}{suffix}" for suffix in limits.companions]
    new = dict(serialized)
    if companions:
        for activity_id in timelines._contains_many(key, list(serialized)):
            del new[activity_id]
    added = timelines.add_to_storage(key, serialized, transaction)
    for companion in companions if new else ():
        timelines.add_to_storage(companion, new, transaction)
    surplus = _beyond_payload_limit(timelines, key, serialized, limits.max_per_payload)
    if surplus:
        timelines.remove_from_storage(key, surplus, transaction)
    dropped = {**surplus, **_trimmed(timelines, key, limits, transaction)}
    for companion in companions if dropped else ():
        timelines.remove_from_storage(companion, dropped, transaction)
    return added


def _beyond_payload_limit(
    timelines: TimelineHooks[Any], key: str, serialized: Mapping[int, bytes], limit: int | None
) -> dict[int, bytes]:
    """Return the entries, with empty payloads, beyond the newest ``limit`` of those that share a delivered payload."""
    if limit is None:
        return {}
    delivered = {payload for payload in serialized.values() if payload}
    same: dict[bytes, list[int]] = defaultdict(list)
    if delivered:
        for activity_id, payload in timelines.get_slice_from_storage(key, 0, None, EVERYTHING, NEWEST_FIRST):
            if payload in delivered:
                same[payload].append(activity_id)
    return {activity_id: b"" for ids in same.values() for activity_id in ids[limit:]}


def _trimmed(timelines: TimelineHooks[Any], key: str, limits: Limits, transaction: Transaction) -> dict[int, bytes]:
    """Trim a timeline, and return what went, with empty payloads, where companions must drop it too."""
    if limits.max_length is None:
        return {}
    dropped = {}
    if limits.companions:
        entries = timelines.get_slice_from_storage(key, limits.max_length, None, EVERYTHING, NEWEST_FIRST)
        dropped = {activity_id: b"" for activity_id, _ in entries}
    timelines._trim(key, limits.max_length, transaction)
    return dropped

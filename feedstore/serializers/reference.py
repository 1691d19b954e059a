"""The serializer of timelines that store ids only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from feedstore.activity import ActivityRef, reference_to, references_to
from feedstore.serializers.base import Serializer


class TimelineReferenceSerializer(Serializer[ActivityRef]):
    """The default serializer of timelines: it stores the id only, and returns an :class:`ActivityRef`.

    It ignores the payload that another serializer may have stored beside an id.
    """

    def dumps(self, activity: Any) -> bytes:
        """Return no bytes, because the id suffices."""
        return b""

    def dumps_many(self, activities: Iterable[Any]) -> list[bytes]:
        """Return no bytes for each activity."""
        return [b"" for _ in activities]

    def loads(self, data: bytes, activity_id: int) -> ActivityRef:
        """Return the reference to ``activity_id``."""
        return reference_to(activity_id)

    def loads_many(self, entries: Iterable[tuple[int, bytes]]) -> list[ActivityRef]:
        """Return the references of ``(id, data)`` pairs."""
        return references_to([activity_id for activity_id, _ in entries])


class IdSerializer(Serializer[int]):
    """The serializer of reads that need ids alone, as ints.

    800 objects of :class:`ActivityRef` take 60 µs and more, because so many objects start Python's garbage collection.
    """

    def dumps(self, activity: Any) -> bytes:
        """Return no bytes, because the id suffices."""
        return b""

    def loads(self, data: bytes, activity_id: int) -> int:
        """Return ``activity_id``."""
        return activity_id

    def loads_many(self, entries: Iterable[tuple[int, bytes]]) -> list[int]:
        """Return the ids of ``(id, data)`` pairs."""
        return [activity_id for activity_id, _ in entries]

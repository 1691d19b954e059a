"""The serializer of timelines that keep ids alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from feedstore.activity import ActivityRef, reference_to, references_to
from feedstore.serializers.base import Serializer


class TimelineReferenceSerializer(Serializer[ActivityRef]):
    """Stores nothing beside the id, and reads it back as an :class:`ActivityRef`: the default of timelines.

    What else may stand beside an id, a payload of another serializer, is left unread.
    """

    def dumps(self, activity: Any) -> bytes:
        """Return no bytes: the id says it all."""
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

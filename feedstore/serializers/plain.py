"""Activities as plain values, for programs in other languages that read JSON."""

from __future__ import annotations

from typing import Any

from feedstore.activity import Activity
from feedstore.ids import id_to_text
from feedstore.plain_values import plain_value

__all__ = ["activity_fields", "plain_value"]


def activity_fields(activity: Activity) -> dict[str, Any]:
    """Return an activity's fields by name, its id as a str."""
    return {
        "id": id_to_text(activity.serialization_id),
        "time": activity.time,
        "actor": activity.actor,
        "verb": activity.verb,
        "object": activity.object,
        "target": activity.target,
        "foreign_id": activity.foreign_id,
        "extra_context": activity.extra_context,
    }

"""Activities as plain values, for programs in other languages that read JSON."""

from __future__ import annotations

import math
from base64 import b64encode
from datetime import datetime
from typing import Any

from feedstore.activity import Activity
from feedstore.ids import id_to_text
from feedstore.shown import decimal_digits

_LARGEST_NUMBER = 10**1000


def activity_fields(activity: Activity) -> dict[str, Any]:
    """Return an activity's fields by name, its id as text."""
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


def plain_value(value: Any, exact_integers: int | None = None) -> Any:
    """Return a value as JSON can carry it: times as ISO 8601, bytes as base64, NaN and infinities as texts.

    Integers beyond ``exact_integers`` become texts in decimal digits: JavaScript, for one, keeps none beyond 2**53 - 1.
    So do those of more than 1,000 digits in any case: Python's own reader refuses numbers of more than 4,300.
    """
    if isinstance(value, dict):
        return {_name_of(key): plain_value(item, exact_integers) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_value(item, exact_integers) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and abs(value) > (_LARGEST_NUMBER if exact_integers is None else exact_integers):
        return decimal_digits(value)
    return value


def _name_of(key: Any) -> str:
    return decimal_digits(key) if type(key) is int else str(key)

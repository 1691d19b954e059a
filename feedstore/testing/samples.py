"""The activities, ids and keys that the suites work with."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

from feedstore.activity import Activity, ActivityRef
from feedstore.ids import MAX_ID, id_to_text

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
OLDEST_FIRST = ("activity_id",)
NEWEST_FIRST = ("-activity_id",)

HARD_IDS = (0, 1, 2, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**127 - 1, 2**127, MAX_ID - 1, MAX_ID)
"""Ids at which a float, a signed integer or a str of decimal digits fails, in ascending order."""

HARD_KEYS = (
    "a",
    "*",
    "a*",
    "[a-z]?",
    "%",
    "a_b",
    "a%b",
    "\\",
    "'; --",
    '"',
    "`",
    "a:b",
    "a/b",
    "{a}",
    "\0",
    "a\0",
    "a\0b",
    " ",
    " a",
    "a ",
    "A",
    "\n",
    "\r\n",
    "\t",
    "\x7f",
    "ä",
    "a\u0308",
    "ß",
    "SS",
    "İ",
    "中文",
    "\U0001f600",
    "\uffff",
    "\U0010ffff",
    "None",
    "0",
    "x" * 1024,
    "x" * 1023,
    "ä" * 512,
    "中" * 341,
    "\U0001f600" * 256,
)
"""Keys that differ, and mean nothing but themselves."""

REFUSED_KEYS: tuple[tuple[Any, type[Exception]], ...] = (
    ("", ValueError),
    ("x" * 1025, ValueError),
    ("ä" * 513, ValueError),
    ("中" * 342, ValueError),
    ("\U0001f600" * 257, ValueError),
    ("\ud800", ValueError),
    ("a\udfffb", ValueError),
    (None, TypeError),
    (b"bytes", TypeError),
    (7, TypeError),
    (("a", "b"), TypeError),
)
"""Invalid keys, with the error that each raises."""

REFUSED_IDS: tuple[tuple[Any, type[Exception]], ...] = (
    (-1, ValueError),
    (MAX_ID + 1, ValueError),
    ("not a uuid", ValueError),
    ("", ValueError),
    (None, TypeError),
    (1.5, TypeError),
    (True, TypeError),
    (b"\0" * 16, TypeError),
    (object(), TypeError),
)
"""Invalid ids, with the error that each raises."""


def make_activity(number: int = 0, **fields: Any) -> Activity:
    """Return the activity ``number``, each a second after the one before; ``fields`` replace its own."""
    fields.setdefault("time", START + timedelta(seconds=number))
    return Activity("ann", "like", f"photo:{number}", **fields)


def make_activities(count: int, first: int = 0) -> list[Activity]:
    """Return ``count`` activities, oldest first, beginning with the one of number ``first``."""
    return [make_activity(number) for number in range(first, first + count)]


def with_id(activity_id: int, note: Any = None) -> Activity:
    """Return an activity with the given id; ``note`` distinguishes versions of it."""
    return make_activity(id=activity_id, extra_context=None if note is None else {"note": note})


def with_context(extra_context: dict[str, Any]) -> Activity:
    """Return an activity whose extra context was not checked, as if another serializer had made it."""
    return Activity.restore(2, "ann", "like", "photo:2", None, START, extra_context, None)


def of_one_millisecond(count: int = 5) -> list[Activity]:
    """Return activities whose ids share one millisecond and its fraction, in ascending order of their ids."""
    activities = [Activity("ann", "like", f"photo:{number}", time=START) for number in range(count)]
    return sorted(activities, key=ids_of_one)


def ids_of_one(activity: Any) -> int:
    """Return the id of an activity or a reference."""
    activity_id: int = activity.serialization_id
    return activity_id


def ids_of(items: Iterable[Any]) -> list[int]:
    """Return the ids of activities or references, in their order."""
    return [item.serialization_id for item in items]


def newest_first(activities: Iterable[Any]) -> list[int]:
    """Return the ids of activities or references as a timeline holds them."""
    return sorted(ids_of(activities), reverse=True)


def forms_of(activity: Activity) -> list[Any]:
    """Return everything that stands for an activity's id."""
    activity_id = activity.serialization_id
    return [activity, ActivityRef(activity_id), activity_id, UUID(int=activity_id), id_to_text(activity_id)]


def fresh_copy(activity: Activity) -> Activity:
    """Return an equal activity that shares no container with the one that is given."""
    return Activity(
        activity.actor,
        activity.verb,
        activity.object,
        activity.target,
        activity.time,
        activity.extra_context,
        activity.serialization_id,
        activity.foreign_id,
    )

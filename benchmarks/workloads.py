"""Seeded workloads: the same activities, keys and ids in every run."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from itertools import count, islice

from feedstore import Activity
from feedstore.ids import first_id_at

_START = datetime(2026, 1, 1, tzinfo=timezone.utc)
_VERBS = ("commit", "review", "comment", "approve", "merge")
_PROJECTS = ("kernel", "compiler", "browser", "database")
_TAIL_BITS = 62
_GROUPS = 8

MAX_PER_PAYLOAD = 100
"""The limit of the benchmarks of payloads: a full timeline of 800 holds this many entries of each of its payloads."""


def new_activities(amount: int, seed: int = 1) -> tuple[Activity, ...]:
    """Make activities in the order of their times, a few milliseconds apart, as a review system makes them.

    Half of them have an extra context.
    """
    return tuple(islice(_endless_activities(seed), amount))


def all_activities(amount: int) -> tuple[Activity, ...]:
    """Return :func:`new_activities` that are made once and kept."""
    made, further = _made_activities()
    made.extend(islice(further, max(0, amount - len(made))))
    return tuple(made[:amount])


@lru_cache(maxsize=1)
def _made_activities() -> tuple[list[Activity], Iterator[Activity]]:
    return [], _endless_activities(1)


def _endless_activities(seed: int) -> Iterator[Activity]:
    choose = random.Random(seed)
    time = _START
    for number in count():
        time += timedelta(microseconds=choose.randrange(1, 5000))
        yield _activity(number, time, choose)


def _activity(number: int, time: datetime, choose: random.Random) -> Activity:
    project = choose.choice(_PROJECTS)
    return Activity(
        f"dev:{choose.randrange(2000)}",
        choose.choice(_VERBS),
        f"change:{project}/{number:012x}",
        f"module:{project}/{choose.randrange(300)}.py",
        time,
        {"authored": "2025-12-31T23:59:59Z", "files": choose.randrange(1, 9)} if number % 2 else None,
    )


def payload_of(activity: Activity) -> bytes:
    """Return the payload of an activity: 9 bytes that name its group.

    Consecutive activities are in different groups, and each group gets one activity in eight.
    """
    number = int(str(activity.object)[-12:], 16)
    return b"group:%03d" % (number % _GROUPS)


def new_ids(amount: int, seed: int = 2) -> list[int]:
    """Make ids in ascending order, one a millisecond, with random last bits. All are older than every activity."""
    choose = random.Random(seed)
    first = first_id_at(_START - timedelta(milliseconds=amount))
    return [first + (number << 80) | choose.getrandbits(_TAIL_BITS) for number in range(amount)]


def shuffled(activities: Sequence[Activity], seed: int = 3) -> list[Activity]:
    """Return the activities in a random order."""
    mixed = list(activities)
    random.Random(seed).shuffle(mixed)
    return mixed


def chunks(activities: Sequence[Activity], length: int) -> list[Sequence[Activity]]:
    """Return the activities in calls of ``length``."""
    return [activities[start : start + length] for start in range(0, len(activities), length)]


def keys(amount: int) -> list[str]:
    """Return the keys of ``amount`` readers' timelines."""
    return [f"feed:dev:{number}" for number in range(amount)]

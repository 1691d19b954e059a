"""The index entries of events, by timeline."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from feedstore.events.event import Event
from feedstore.events.layout import (
    DAYS,
    FLAGS,
    SECONDS_A_DAY,
    IndexEntry,
    StoredEvent,
    all_key,
    day_of,
    flag_days_key,
    flag_key,
    named,
    sources_key,
)

Alike = Mapping[tuple[float, str, tuple[str, ...]], Sequence[int]]
"""The entries of the events that have the same day, source and tags. The day is counted from 1970."""


def alike(entries: Iterable[int], events: Iterable[Event]) -> Alike:
    """Return the entries of events by their day, source and tags: those events share their timelines."""
    found: dict[tuple[float, str, tuple[str, ...]], list[int]] = defaultdict(list)
    for entry, event in zip(entries, events, strict=True):
        found[event.timestamp // SECONDS_A_DAY, event.source, event.tags].append(entry)
    return found


def days_over(saved: Alike) -> set[int]:
    """Return the days of events that are over."""
    today = time.time() - SECONDS_A_DAY
    return {day_of(number * SECONDS_A_DAY) for number, _, _ in saved if number * SECONDS_A_DAY < today}


def index_entries(saved: Alike) -> tuple[dict[str, list[int]], dict[str, list[IndexEntry]]]:
    """Return the entries of the indexes of times for events, and those of all other indexes, by timeline."""
    days = {number: day_of(number * SECONDS_A_DAY) for number, _, _ in saved}
    of_days: dict[int, list[int]] = defaultdict(list)
    of_flags: dict[tuple[int, str], list[int]] = defaultdict(list)
    sources = set()
    for (number, source, tags), some in saved.items():
        day = days[number]
        of_days[day] += some
        sources.add((day, source))
        for flag in tags:
            of_flags[day, flag] += some
    times = {all_key(day): some for day, some in of_days.items()}
    times.update((flag_key(flag, day), some) for (day, flag), some in of_flags.items())
    names: dict[str, list[IndexEntry]] = defaultdict(list)
    names[DAYS] = [IndexEntry(day, b"") for day in of_days]
    for day, flag in of_flags:
        names[flag_days_key(flag)].append(IndexEntry(day, b""))
    names[FLAGS] = [named(flag) for flag in dict.fromkeys(flag for _, flag in of_flags)]
    for day, source in sources:
        names[sources_key(day)].append(named(source))
    return times, {key: some for key, some in names.items() if some}


def left_over(replaced: Iterable[StoredEvent], kept: Mapping[int, Event]) -> tuple[dict[str, list[int]], list[int]]:
    """Return the index entries of replaced events by timeline, and their bodies, without those of kept events.

    Args:
        replaced: The events that lose their entries.
        kept: The events that replace them, by their entries.
    """
    keys: dict[str, list[int]] = defaultdict(list)
    bodies: list[int] = []
    for entry, _, event in replaced:
        day, successor = day_of(event.timestamp), kept.get(entry)
        if successor is None:
            keys[all_key(day)].append(entry)
            bodies.append(entry)
        for flag in event.tags:
            if successor is None or flag not in successor.tags:
                keys[flag_key(flag, day)].append(entry)
    return keys, bodies

"""The bytes that each backend needs for activities and entries."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

from benchmarks.side import Side
from benchmarks.table import Laboratory, MemoryLaboratory
from benchmarks.workloads import keys, new_activities, new_ids

_ENTRIES_IN_A_TIMELINE = 800
_CHUNK = 500


@dataclass(frozen=True)
class Footprint:
    """The bytes of one activity or entry on each side. A serialized activity has about 100 bytes."""

    backend: str
    driver: str
    what: str
    amount: int
    product_bytes: float
    raw_bytes: float


def footprints(backend: str, laboratory: Laboratory, amount: int) -> Iterator[Footprint]:
    """Yield the bytes of an activity, of an entry whose id is in no other timeline, and of one whose id is in many."""
    timelines = max(amount // _ENTRIES_IN_A_TIMELINE, 1)
    delivered = timelines * _ENTRIES_IN_A_TIMELINE
    kinds: tuple[tuple[str, int, Callable[[Side], None]], ...] = (
        ("an activity", amount, lambda side: _add_activities(side, amount)),
        ("an entry of one timeline", amount, lambda side: side.add_ids("one", new_ids(amount))),
        (
            f"an entry in {timelines} timelines of {_ENTRIES_IN_A_TIMELINE}",
            delivered,
            lambda side: _deliver(side, timelines),
        ),
    )
    for what, number, store in kinds:
        product, raw = (
            _bytes_of_each(laboratory, make, store, number) for make in (laboratory.open_product, laboratory.open_raw)
        )
        yield Footprint(backend, laboratory.driver, what, number, product, raw)


def _bytes_of_each(
    laboratory: Laboratory, make: Callable[[], Side], store: Callable[[Side], None], number: int
) -> float:
    """Fill a new store with objects that are made while memory is traced, so that the objects that it keeps count."""
    if isinstance(laboratory, MemoryLaboratory):
        tracemalloc.start()
    try:
        with closing(make()) as side:
            # The first write creates the tables, and loads the modules that load at their first use.
            side.add_activities(new_activities(1, seed=5))
            side.add_ids("first", new_ids(1, seed=5))
            before = side.stored_bytes()
            store(side)
            return (side.stored_bytes() - before) / number
    finally:
        tracemalloc.stop()


def _add_activities(side: Side, amount: int) -> None:
    activities = new_activities(amount)
    for start in range(0, amount, _CHUNK):
        side.add_activities(activities[start : start + _CHUNK])


def _deliver(side: Side, timelines: int) -> None:
    for activity in new_activities(_ENTRIES_IN_A_TIMELINE):
        side.add_to_many(keys(timelines), [activity], _ENTRIES_IN_A_TIMELINE)

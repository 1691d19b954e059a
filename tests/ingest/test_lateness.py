"""Which deliveries come too late: counted as if each row were delivered on its own, however the rows are cut up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from feedstore import Activity, connect
from feedstore.ingest import FollowGraph
from feedstore.ingest.chunk import Chunk
from feedstore.ingest.lateness import LateDeliveries
from feedstore.storage import TimelineStorage

FOLLOWS = FollowGraph([("x", "a"), ("x", "b"), ("y", "b"), ("z", "c")])
START = datetime(2026, 1, 1, tzinfo=timezone.utc)
DEEDS = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 15)), max_size=30)


def activity(actor: str, second: int) -> Activity:
    return Activity(actor, "like", "photo:7", time=START + timedelta(seconds=second))


def count_one_by_one(held: dict[str, set[int]], deeds: list[Activity], max_length: int) -> int:
    """Count what does not stay, with a set for each timeline."""
    too_late = 0
    for deed in deeds:
        for key in FOLLOWS.readers_of(deed.actor):
            entries = held.setdefault(key, set())
            is_new = deed.serialization_id not in entries
            entries.add(deed.serialization_id)
            if len(entries) > max_length:
                oldest = min(entries)
                entries.remove(oldest)
                too_late += is_new and oldest == deed.serialization_id
    return too_late


@given(before=DEEDS, deeds=DEEDS, in_order=st.booleans(), chunk_rows=st.integers(1, 12), max_length=st.integers(1, 5))
def test_as_many_as_do_not_stay(
    before: list[tuple[str, int]], deeds: list[tuple[str, int]], in_order: bool, chunk_rows: int, max_length: int
) -> None:
    held: dict[str, set[int]] = {}
    expected = counted = 0
    ordered = sorted(deeds, key=lambda deed: deed[1]) if in_order else deeds
    with connect("memory://") as backend:
        timelines = backend.timeline_storage()
        for chunk in chunks(before, 1):
            count_one_by_one(held, chunk.activities, max_length)
            deliver(timelines, chunk, max_length)
        late = LateDeliveries(timelines, max_length)
        for chunk in chunks(ordered, chunk_rows):
            expected += count_one_by_one(held, chunk.activities, max_length)
            counted += late.count(chunk)
            deliver(timelines, chunk, max_length)
        kept = {key: {entry.serialization_id for entry in timelines.get_slice(key, 0, None)} for key in held}
    assert counted == expected
    assert kept == held


def chunks(deeds: list[tuple[str, int]], rows: int) -> Iterator[Chunk]:
    for start in range(0, len(deeds), rows):
        chunk = Chunk(FOLLOWS, rows)
        for deed in deeds[start : start + rows]:
            chunk.add(activity(*deed))
        yield chunk


def deliver(timelines: TimelineStorage, chunk: Chunk, max_length: int) -> None:
    for readers, activities in chunk.by_readers():
        timelines.add_to_many(readers, activities, max_length=max_length)

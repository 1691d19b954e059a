"""Comparisons of sent windows with present ones, without a store."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

import soak
from feedstore.ids import MAX_ID
from feedstore.live.position import Gap, Position, Resumption, decode_position, encode_position, resume
from feedstore.live.window import Window, compare_windows

MOST = 5
ids = st.sampled_from([0, 1, *range(100, 112), MAX_ID - 1, MAX_ID])
timelines = st.sets(ids, max_size=14)
examples = settings(max_examples=soak.count(75, 50_000))


def newest(timeline: set[int], depth: int) -> Window:
    """The result of a read of the newest entries."""
    found = sorted(timeline, reverse=True)[:depth]
    return Window.of(found, len(found) < depth)


@examples
@given(timelines, timelines, st.integers(1, 12))
def test_both_know_the_same_afterwards(before: set[int], after: set[int], depth: int) -> None:
    old, read = newest(before, MOST), newest(after, depth)
    change = compare_windows(old, read, MOST)
    lowest = max(read.lowest, change.window.lowest)
    known = {one for one in change.window.ids() if one >= lowest}
    assert known == {one for one in after if one >= lowest}
    assert len(change.window) <= MOST
    told = (set(old.ids()) | set(change.added)) - set(change.removed)
    assert known <= told
    assert change.added == sorted(change.added)
    assert not set(change.added) & set(old.ids())
    assert set(change.removed) <= before - after


@examples
@given(timelines, timelines, st.integers(0, 14))
def test_one_who_comes_back_gets_everything_or_a_gap(before: set[int], after: set[int], most_missed: int) -> None:
    known = newest(before, MOST)
    found = resume(Position.of(known), newest(after, MOST + most_missed + 1), None, most_missed)
    if isinstance(found, Resumption):
        assert {*known.ids(), *found.missed} == {one for one in after if one >= known.lowest}
        assert len(found.missed) <= most_missed
    else:
        assert {one for one in after if known.lowest <= one <= known.newest} != set(known.ids()) or (
            len([one for one in after if one > known.newest]) > most_missed
        )


@examples
@given(timelines, st.text(max_size=5))
def test_a_position_survives_its_way(timeline: set[int], key: str) -> None:
    position = Position.of(newest(timeline, MOST))
    text = encode_position(position, f"feed:{key}")
    assert decode_position(text, f"feed:{key}") == position
    assert decode_position(text, f"feed:{key}x") is None
    assert decode_position(text[:-4], f"feed:{key}") is None


def test_the_highest_floor_there_is() -> None:
    emptied = Window.of([], is_complete=True, floor=MAX_ID + 1)
    position = Position.of(emptied)
    assert decode_position(encode_position(position, "key"), "key") == position
    assert resume(position, emptied, MAX_ID + 1, 10) == Resumption([], emptied)
    assert resume(Position.of(Window.of([], is_complete=True)), emptied, MAX_ID + 1, 10) is Gap.TRIMMED

"""Payloads beside ids, mixed with references, on every way that a write may take."""

from __future__ import annotations

import pytest

from feedstore.activity import Activity
from feedstore.backends.sql import SqlBackend
from feedstore.serializers import MsgpackSerializer
from feedstore.testing.samples import make_activities

BEFORE: list[Activity] = make_activities(20)
AFTER = [
    Activity(each.actor, each.verb, each.object, each.target, each.time, {"edited": True}, id=each.serialization_id)
    for each in BEFORE
]


@pytest.mark.parametrize("keys", [["a"], ["a", "b", "c"], [f"key{number}" for number in range(30)]])
@pytest.mark.parametrize("count", [1, 3, 20])
def test_the_last_write_stays(backend: SqlBackend, keys: list[str], count: int) -> None:
    payloads = backend.timeline_storage(serializer_class=MsgpackSerializer)
    references = backend.timeline_storage()
    some = keys[:2]
    assert payloads.add_to_many(some, BEFORE[:count]) == len(some) * count
    # An edit in place, beside new timelines.
    assert payloads.add_to_many(keys, AFTER[:count]) == (len(keys) - len(some)) * count
    for key in keys:
        assert payloads.get_slice(key, 0, None) == AFTER[:count][::-1]
    # A reference takes the payload away, and a payload comes back.
    assert references.add_to_many(keys, BEFORE[: count + 1 if count < 20 else count]) == len(keys) * (count < 20)
    assert {data for key in keys for _, data in payloads.get_slice_from_storage(key, 0, None)} == {b""}
    assert payloads.add_many(keys[0], BEFORE[:count]) == 0
    assert payloads.get_slice(keys[0], 0, count, ordering_args=("activity_id",)) == BEFORE[:count]


def test_some_with_and_some_without(backend: SqlBackend) -> None:
    timelines = backend.timeline_storage(serializer_class=MsgpackSerializer)
    mixed = {1: b"one", 2: b"", 3: b"three"}
    assert timelines.add_to_storage("key", mixed).result == 3
    assert timelines.add_to_storage("key", {1: b"", 2: b"two", 4: b""}).result == 1
    assert timelines._add_to_many(["key", "other", "third", "fourth"], mixed, 2).result == 9
    assert timelines.get_slice_from_storage("key", 0, None) == [(4, b""), (3, b"three")]
    assert timelines.get_slice_from_storage("other", 0, None) == [(3, b"three"), (2, b"")]


def test_keys_with_every_character(backend: SqlBackend) -> None:
    keys = ["\0", "a\0b", "a", "\\u0000", '"', "\\", "é", "\U0010ffff", "\n", "%", "'", "\x7f", "a" * 1024]
    timelines = backend.timeline_storage()
    assert timelines.add_to_many(keys, [1, 2, 3], max_length=2) == 3 * len(keys)
    assert timelines.add_to_many(keys, [4], max_length=2) == len(keys)
    assert sorted(timelines.keys()) == sorted(keys)
    assert timelines.remove_from_many(keys, [4]) == len(keys)
    slices = timelines.get_many_slices(keys, 0, None)
    assert [[each.serialization_id for each in slices[key]] for key in keys] == [[3]] * len(keys)


def test_trimming_ragged_timelines(backend: SqlBackend) -> None:
    timelines = backend.timeline_storage()
    for length in range(1, 12):
        timelines.add_many(f"{length}", range(10, 10 + length))
    keys = [f"{length}" for length in range(1, 12)]
    assert timelines.add_to_many(keys, [5, 12], max_length=4) == 2 * len(keys) - 9
    for length in range(1, 12):
        everything = sorted({5, 12, *range(10, 10 + length)})
        kept = timelines.get_slice(f"{length}", 0, None, ordering_args=("activity_id",))
        assert [each.serialization_id for each in kept] == everything[-4:]
        dropped = everything[:-4]
        assert timelines.get_page(f"{length}", 9).floor == (dropped[-1] + 1 if dropped else None)

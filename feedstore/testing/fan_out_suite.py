"""The contract of fan-out: the same activities into many timelines, and out of them."""

from __future__ import annotations

from typing import Any

import pytest

from feedstore.storage import Backend, TimelineStorage
from feedstore.testing.delivery_suite import GroupSerializer, by
from feedstore.testing.samples import (
    HARD_IDS,
    HARD_KEYS,
    REFUSED_KEYS,
    ids_of,
    make_activities,
    make_activity,
    newest_first,
    with_id,
)
from feedstore.testing.suite import Suite, counted

MANY_KEYS = 1_200


def retained(entries: list[tuple[int, str]], most: int, length: int) -> list[tuple[int, str]]:
    """Return the entries, newest first, that limits by payload and by length retain."""
    kept: list[tuple[int, str]] = []
    for entry in entries:
        if sum(payload == entry[1] for _, payload in kept) < most:
            kept.append(entry)
    return kept[:length]


class FanOutSuite(Suite):
    """``add_to_many`` and ``remove_from_many``."""

    def test_add_to_many_counts_deliveries(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T1: a delivery is one new entry in one timeline; an existing entry counts 0."""
        assert timelines.add_to_many(["a", "b", "c"], make_activities(2)) == counted(backend, 6)
        assert timelines.add_to_many(["b", "c", "d"], make_activities(3)) == counted(backend, 5)
        assert timelines.add_to_many(["a", "b"], make_activities(2)) == counted(backend, 0)
        assert [timelines.count(key) for key in "abcd"] == [2, 3, 3, 3]

    def test_deliveries_are_counted_before_trimming(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T1: an entry that ``max_length`` drops in the same call counts as delivered."""
        assert timelines.add_to_many(["a", "b"], range(5), max_length=2) == counted(backend, 10)
        assert timelines.add_to_many(["a", "b"], range(10), max_length=1) == counted(backend, 16)

    def test_a_delivery_may_leave_slack(self, backend: Backend) -> None:
        """T20: with slack, a timeline holds all that the limits retain, and no more than the slack beyond them."""
        groups: TimelineStorage[Any] = backend.timeline_storage(serializer_class=GroupSerializer)
        keys = ["{a}:one", "{a}:two"]
        actors = ("ann", "ann", "ann", "bob", "eve", "ann", "cem")
        given: dict[int, str] = {}
        limits: dict[str, Any] = {"max_length": 5, "max_per_payload": 2, "slack": 4}
        for number in range(1, 40):
            # Each fifth entry is a late one, and each seventh is delivered with another one.
            ids = [number * 2 - 9 if number % 5 == 0 else number * 2, *([number * 2 + 1] if number % 7 == 0 else [])]
            some = [by(actors[activity_id % 7], activity_id)[0] for activity_id in ids]
            given.update({one.serialization_id: str(one.actor) for one in some})
            groups.add_to_many(keys, some, **limits)
            groups.add_to_each({"{a}:alone": some}, **limits)
            expected = retained(sorted(given.items(), reverse=True), 2, 5)
            for key in (*keys, "{a}:alone"):
                entries = groups.get_slice(key, 0, None)
                assert retained(entries, 2, 5) == expected
                assert groups.count(key) == len(entries) <= 9
        counts = [groups.count(key) for key in keys]
        groups.add_to_many(keys, by("cem", 100), max_length=5, slack=4)
        assert [groups.count(key) in {5, count + 1} for key, count in zip(keys, counts, strict=True)] == [True, True]
        assert groups.add_to_many(["{a}:all"], by("cem", 1), max_length=2**70, slack=2**70) == counted(backend, 1)

    def test_a_key_that_comes_twice_counts_once(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T1: of duplicates in one call, keys count once and the last activity wins."""
        assert timelines.add_to_many(["a", "b", "a"], [1, 2, 1]) == counted(backend, 4)
        assert timelines.remove_from_many(["b", "a", "b"], [1, 1]) == counted(backend, 2)

    def test_of_a_duplicate_activity_the_last_wins(self, payloads: TimelineStorage) -> None:
        """T1: as in one timeline."""
        payloads.add_to_many(["a", "b"], [with_id(5, 1), with_id(6), with_id(5, 2)])
        assert payloads.get_slice("a", 0, None) == [with_id(6), with_id(5, 2)]
        assert payloads.get_slice("b", 0, None) == [with_id(6), with_id(5, 2)]

    def test_delivering_again_replaces_payloads(self, backend: Backend, payloads: TimelineStorage) -> None:
        """T1: an edit reaches every timeline that it is delivered to, and no other."""
        payloads.add_to_many(["a", "b", "c"], [with_id(5, "old")])
        assert payloads.add_to_many(["a", "b"], [with_id(5, "new")], max_length=10) == counted(backend, 0)
        found = payloads.get_many_slices(["a", "b", "c"], 0, 5)
        assert found == {"a": [with_id(5, "new")], "b": [with_id(5, "new")], "c": [with_id(5, "old")]}

    def test_the_newest_are_all_there(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T17: after a fan-out each timeline holds its newest ``max_length``; more only within the stated excess."""
        for length in (1, 3, 9, 10, 11, 2**31, 2**63):
            model = {f"a{length}": set(range(0, 20, 2)), f"b{length}": set(range(100, 105)), f"c{length}": set()}
            for key, ids in model.items():
                timelines.add_many(key, ids)
            for activity_id in (7, 200, 3):
                timelines.add_to_many(list(model), [activity_id], max_length=length)
            slices = timelines.get_many_slices(list(model), 0, None)
            for key, ids in model.items():
                found = slices[key]
                expected = sorted(ids | {7, 200, 3}, reverse=True)[:length]
                assert ids_of(found)[: len(expected)] == expected, key
                assert len(found) <= len(expected) + backend.abilities.fan_out_excess, key

    def test_exact_length(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T17: with the ability of exact length, none stays beyond it, many activities at a time included."""
        if not backend.abilities.exact_fan_out_length:
            pytest.skip("this backend may keep older entries until the next trim")
        assert backend.abilities.fan_out_excess == 0
        keys = [f"key{number}" for number in range(10)]
        for first in range(0, 60, 20):
            timelines.add_to_many(keys, make_activities(20, first), max_length=25)
        expected = newest_first(make_activities(60))[:25]
        assert all(ids_of(found) == expected for found in timelines.get_many_slices(keys, 0, None).values())

    def test_excess_goes_with_the_next_trim(self, timelines: TimelineStorage) -> None:
        """T17: after any fan-out, ``trim`` keeps exactly ``length`` entries."""
        timelines.add_to_many(["a", "b"], make_activities(30), max_length=10)
        timelines.trim("a", 10)
        assert timelines.count("a") == 10

    def test_timelines_of_different_lengths(self, timelines: TimelineStorage) -> None:
        """T17: each timeline is trimmed by its own length."""
        for number in range(8):
            timelines.add_many(f"key{number}", range(100, 100 + number))
        timelines.add_to_many([f"key{number}" for number in range(8)], [5, 300], max_length=4)
        for number in range(8):
            expected = sorted([*range(100, 100 + number), 5, 300], reverse=True)[:4]
            assert ids_of(timelines.get_slice(f"key{number}", 0, 4)) == expected

    def test_no_maximum_trims_nothing(self, timelines: TimelineStorage) -> None:
        """T5: without ``max_length`` everything stays."""
        timelines.add_to_many(["a"], range(50))
        timelines.add_to_many(["a"], [99], max_length=None)
        assert timelines.count("a") == 51

    def test_no_activities_and_no_keys(self, timelines: TimelineStorage) -> None:
        """T1: no keys or no activities is 0, makes no timeline and trims none."""
        timelines.add_many("a", range(5))
        assert timelines.add_to_many([], [1], max_length=2) == 0
        assert timelines.add_to_many(["a", "b"], [], max_length=2) == 0
        assert timelines.remove_from_many([], [1]) == 0
        assert timelines.remove_from_many(["a"], []) == 0
        assert timelines.count("a") == 5
        assert list(timelines.keys()) == ["a"]

    def test_fan_out_any_iterable_is_taken(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T4: iterators of keys and of activities are read once."""
        assert timelines.add_to_many(iter("abc"), iter(range(4)), max_length=9) == counted(backend, 12)
        assert timelines.remove_from_many((key for key in "ab"), {0: None, 1: None}) == counted(backend, 4)

    def test_remove_from_many_counts_what_was_there(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T1: ids and timelines that are not there are no error."""
        timelines.add_to_many(["a", "b"], range(5))
        assert timelines.remove_from_many(["a", "b", "missing"], [0, 4, 9]) == counted(backend, 4)
        assert timelines.remove_from_many(["a", "b", "missing"], [0, 4, 9]) == counted(backend, 0)
        assert ids_of(timelines.get_slice("a", 0, None)) == [3, 2, 1]
        assert "missing" not in list(timelines.keys())

    def test_hard_ids_and_keys(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T3, K2: every id is added to and removed from every key, and no two ids or keys are confused."""
        assert timelines.add_to_many(HARD_KEYS, HARD_IDS) == counted(backend, len(HARD_KEYS) * len(HARD_IDS))
        for key, activity_id in zip(HARD_KEYS, HARD_IDS * len(HARD_KEYS), strict=False):
            timelines.remove(key, activity_id)
        for key, activity_id in zip(HARD_KEYS, HARD_IDS * len(HARD_KEYS), strict=False):
            expected = [one for one in reversed(HARD_IDS) if one != activity_id]
            assert ids_of(timelines.get_slice(key, 0, None)) == expected
        assert timelines.remove_from_many(HARD_KEYS, HARD_IDS) == counted(backend, len(HARD_KEYS) * (len(HARD_IDS) - 1))
        assert list(timelines.keys()) == []

    def test_fan_out_a_thousand_timelines(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T1, T17: the keys of one call may be more than any one statement or message can hold."""
        keys = [f"feed:{number}" for number in range(MANY_KEYS)]
        timelines.add_to_many(keys[::2], range(5))
        assert timelines.add_to_many(keys, [10, 11], max_length=4) == counted(backend, 2 * MANY_KEYS)
        found = timelines.get_many_slices(keys, 0, 4)
        assert all(ids_of(found[key]) == [11, 10, 4, 3] for key in keys[::2])
        assert all(ids_of(found[key]) == [11, 10] for key in keys[1::2])
        assert timelines.remove_from_many(keys, [10, 0]) == counted(
            backend, MANY_KEYS if backend.abilities.exact_fan_out_length else MANY_KEYS + MANY_KEYS // 2
        )

    def test_many_activities_to_many_timelines(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T1: both sides of a fan-out may be long."""
        keys = [f"feed:{number}" for number in range(60)]
        assert timelines.add_to_many(keys, range(700), max_length=650) == counted(backend, 60 * 700)
        assert ids_of(timelines.get_slice("feed:59", 0, 650)) == list(range(699, 49, -1))


class FanOutArgumentSuite(Suite):
    """Invalid lists of keys and lengths, which fan-outs refuse."""

    def test_a_maximum_length_of_nothing_is_refused(self, timelines: TimelineStorage) -> None:
        """T6: a fan-out that would empty timelines is a ValueError that names the calls which do that."""
        timelines.add_to_many(["a"], [1, 2])
        for refused in (0, -1):
            with pytest.raises(ValueError, match=r"max_length is .*1 or more; trim\(key, 0\)"):
                timelines.add_to_many(["a", "b"], [3], max_length=refused)
        assert timelines.count("a") == 2

    def test_fan_out_one_key_where_many_are_wanted_is_refused(self, timelines: TimelineStorage) -> None:
        """T5: a str in the place of a list of keys raises a TypeError, and is not read as a list of characters."""
        keys: Any
        for keys in ("abc", 7, None):
            with pytest.raises(TypeError):
                timelines.add_to_many(keys, [1])
            with pytest.raises(TypeError):
                timelines.remove_from_many(keys, [1])
        activity: Any = make_activity()
        with pytest.raises(TypeError):
            timelines.add_to_many(["a"], activity)
        assert list(timelines.keys()) == []

    @pytest.mark.parametrize(("refused", "error"), REFUSED_KEYS)
    def test_one_bad_key_and_nothing_is_written(
        self, timelines: TimelineStorage, refused: Any, error: type[Exception]
    ) -> None:
        """T13: all keys are checked before the first is sent."""
        timelines.add("a", 1)
        with pytest.raises(error):
            timelines.add_to_many(["b", refused, "c"], [2], max_length=5)
        with pytest.raises(error):
            timelines.remove_from_many(["a", refused], [1])
        assert list(timelines.keys()) == ["a"]
        assert timelines.count("a") == 1

"""The contract of the questions about a timeline: where, whether, how many, which; and of deleting."""

from __future__ import annotations

from typing import Any

import pytest

from feedstore.storage import TimelineStorage
from feedstore.testing.samples import HARD_IDS, HARD_KEYS, REFUSED_IDS, ids_of, make_activities, make_activity
from feedstore.testing.suite import OpenBackend, Suite


class TimelinePositionSuite(Suite):
    """``index_of``, ``contains``, ``count``, ``keys``, ``delete`` and ``flush``."""

    def test_index_of_counts_from_the_newest(self, timelines: TimelineStorage) -> None:
        """T9: a position is how many are newer, as ``get_slice`` counts them."""
        timelines.add_many("key", HARD_IDS)
        order = ids_of(timelines.get_slice("key", 0, None))
        assert [timelines.index_of("key", activity_id) for activity_id in order] == list(range(len(order)))

    def test_index_of_an_absent_id_is_a_value_error(self, timelines: TimelineStorage) -> None:
        """T9: never added, removed, in another timeline only, or in none: the error names the timeline and the id."""
        timelines.add_many("key", [1, 2, 3])
        timelines.add("other", 4)
        timelines.remove("key", 3)
        for key, activity_id in (("key", 9), ("key", 3), ("key", 4), ("key", 0), ("missing", 1)):
            with pytest.raises(ValueError, match=rf"{key}.*{activity_id}"):
                timelines.index_of(key, activity_id)
            with pytest.raises(LookupError):
                timelines.index_of(key, activity_id)

    def test_contains(self, timelines: TimelineStorage) -> None:
        """T9: True for a present id, False for an absent id, never an error."""
        timelines.add_many("key", HARD_IDS)
        assert all(timelines.contains("key", one) is True for one in HARD_IDS)
        assert timelines.contains("key", 2**100) is False
        assert timelines.contains("missing", 0) is False

    def test_count_follows_every_change(self, timelines: TimelineStorage) -> None:
        """T1: count is exact after adds, edits, removals, trims, fan-outs and deletion."""
        changes: list[tuple[Any, int]] = [
            (lambda: timelines.add_many("key", range(10)), 10),
            (lambda: timelines.add_many("key", range(5, 12)), 12),
            (lambda: timelines.remove_many("key", [0, 1, 99]), 10),
            (lambda: timelines.remove_many("key", [0, 1, 99]), 10),
            (lambda: timelines.trim("key", 7), 7),
            (lambda: timelines.add_to_many(["key", "other"], [20, 11]), 8),
            (lambda: timelines.remove_from_many(["key", "other"], [20, 0]), 7),
            (lambda: timelines.trim("key", 0), 0),
            (lambda: timelines.add("key", 5), 1),
            (lambda: timelines.delete("key"), 0),
        ]
        assert timelines.count("key") == 0
        for change, expected in changes:
            change()
            assert timelines.count("key") == expected == len(timelines.get_slice("key", 0, None))

    def test_keys_are_those_that_hold_an_entry(self, timelines: TimelineStorage) -> None:
        """T10: each key once; a timeline that lost all its entries is not among them."""
        timelines.add_to_many(HARD_KEYS, [1])
        assert sorted(timelines.keys()) == sorted(HARD_KEYS)
        timelines.remove(HARD_KEYS[0], 1)
        timelines.trim(HARD_KEYS[1], 0)
        timelines.delete(HARD_KEYS[2])
        assert sorted(timelines.keys()) == sorted(HARD_KEYS[3:])
        timelines.add(HARD_KEYS[0], 1)
        assert sorted(timelines.keys()) == sorted([HARD_KEYS[0], *HARD_KEYS[3:]])

    def test_many_keys(self, timelines: TimelineStorage) -> None:
        """T10: there may be more keys than any one answer holds; deleting while iterating works."""
        keys = [f"key{number}" for number in range(1_100)]
        timelines.add_to_many(keys, [1])
        assert sorted(timelines.keys()) == sorted(keys)
        seen, walk = [], timelines.keys()
        for key in walk:
            seen.append(key)
            if len(seen) % 4 == 0:
                timelines.delete(key)
        assert sorted(seen) == sorted(keys)
        assert sorted(timelines.keys()) == sorted(set(keys) - set(seen[3::4]))

    def test_delete_removes_one_timeline(self, timelines: TimelineStorage) -> None:
        """K4 for timelines: deleting an absent key is no error; a deleted key can be used again."""
        timelines.add_to_many(["key", "other"], make_activities(3))
        delete: Any = timelines.delete
        assert delete("key") is None
        assert delete("key") is None
        assert delete("missing") is None
        assert timelines.get_slice("key", 0, None) == []
        assert timelines.count("other") == 3
        timelines.add("key", make_activity(1))
        assert timelines.get_slice("key", 0, None) == [make_activity(1).reference]

    def test_flush_empties_timelines_alone(self, open_backend: OpenBackend) -> None:
        """T15: flushing empties its own kind in its own namespace, and nothing else."""
        mine, other = open_backend(), open_backend()
        for each in (mine, other):
            each.activity_storage().add_many(make_activities(3))
            each.timeline_storage().add_to_many(["key", "k2"], make_activities(3))
            each.kv_storage().upsert("key", 1)
        flush: Any = mine.timeline_storage().flush
        assert flush() is None
        assert flush() is None
        assert list(mine.timeline_storage().keys()) == []
        assert mine.timeline_storage().count("key") == 0
        assert list(mine.activity_storage().iterate()) == make_activities(3)
        assert mine.kv_storage().fetch_one("key") == 1
        assert sorted(other.timeline_storage().keys()) == ["k2", "key"]

    def test_adding_after_a_flush(self, timelines: TimelineStorage) -> None:
        """T15: a flushed namespace is as good as new."""
        timelines.add_to_many(["key", "other"], range(5), max_length=2)
        timelines.flush()
        timelines.add_many("key", range(3))
        assert ids_of(timelines.get_slice("key", 0, None)) == [2, 1, 0]
        assert list(timelines.keys()) == ["key"]


class TimelinePositionArgumentSuite(Suite):
    """Positions are asked for by ids."""

    @pytest.mark.parametrize(("refused", "error"), REFUSED_IDS)
    def test_position_what_is_no_id_is_refused(
        self, timelines: TimelineStorage, refused: Any, error: type[Exception]
    ) -> None:
        """T5: an id out of range or of another type is no absent id."""
        with pytest.raises(error):
            timelines.contains("key", refused)
        with pytest.raises(error) as caught:
            timelines.index_of("key", refused)
        assert not isinstance(caught.value, LookupError)

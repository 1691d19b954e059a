"""The contract of trimming, and of the floor that it raises."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from feedstore.ids import MAX_ID
from feedstore.storage import Backend, TimelineStorage
from feedstore.storage.backend import backend_of
from feedstore.testing.samples import HARD_IDS, OLDEST_FIRST, ids_of, make_activities, newest_first, with_id
from feedstore.testing.suite import OpenBackend, Suite, counted


class TimelineTrimSuite(Suite):
    """``trim`` keeps the newest."""

    def test_trim_keeps_exactly_the_newest(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T8: exactly ``length`` stay, also of entries that came in one batch; it returns how many went."""
        for length in (0, 1, 2, 7, 12, 13, 14, 10**6, 2**63, 2**70):
            key = f"key{length}"
            with timelines.get_batch_interface() as batch:
                for activity_id in HARD_IDS:
                    timelines.add(key, activity_id, batch_interface=batch)
            gone = max(0, len(HARD_IDS) - length)
            assert timelines.trim(key, length) == counted(backend, gone), length
            assert ids_of(timelines.get_slice(key, 0, None)) == list(HARD_IDS[::-1][:length])
            assert timelines.count(key) == len(HARD_IDS) - gone
            assert timelines.trim(key, length) == counted(backend, 0)

    def test_trim_of_a_missing_timeline(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T8: a key that is not there is 0, and does not come into being."""
        assert timelines.trim("key", 0) == counted(backend, 0)
        assert timelines.trim("key", 5) == counted(backend, 0)
        assert list(timelines.keys()) == []
        assert timelines.get_page("key", 1).floor is None

    def test_trim_touches_one_timeline(self, timelines: TimelineStorage) -> None:
        """T8: others keep their entries and their floor."""
        timelines.add_to_many(["key", "other"], make_activities(5))
        timelines.trim("key", 2)
        assert timelines.count("other") == 5
        assert timelines.get_page("other", 9).complete is True

    def test_trimmed_entries_are_gone(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T8: a trimmed entry is not contained, has no position, counts 0 when removed and 1 when added again."""
        timelines.add_many("key", [1, 2, 3])
        timelines.trim("key", 1)
        assert timelines.contains("key", 2) is False
        with pytest.raises(ValueError, match="0002"):
            timelines.index_of("key", 2)
        assert timelines.remove("key", 2) == counted(backend, 0)
        assert timelines.add("key", 2) == counted(backend, 1)

    def test_trimmed_payloads_are_gone(self, payloads: TimelineStorage, timelines: TimelineStorage) -> None:
        """T8: a reference that is added where an entry with a payload was trimmed has no payload."""
        payloads.add_many("key", [with_id(1, "old"), with_id(2, "old")])
        payloads.trim("key", 1)
        timelines.add("key", 1)
        assert payloads.get_slice("key", 0, 1) == [with_id(2, "old")]
        with pytest.raises(Exception, match="0001"):
            payloads.get_slice("key", 1, 2)

    def test_trim_ten_thousand_entries(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T8: a trim may drop more than any one statement can name."""
        timelines.add_many("key", range(10_000))
        assert timelines.trim("key", 7) == counted(backend, 9_993)
        assert ids_of(timelines.get_slice("key", 0, None)) == list(range(9_999, 9_992, -1))


class TimelineFloorSuite(Suite):
    """The floor, which records how far a timeline was trimmed."""

    def test_no_floor_before_the_first_trim(self, timelines: TimelineStorage) -> None:
        """Floor: None while nothing was trimmed, also after a trim that dropped nothing, or a removal."""
        timelines.add_many("key", [1, 2, 3])
        timelines.trim("key", 3)
        timelines.remove("key", 1)
        timelines.add_to_many(["key"], [4], max_length=3)
        page = timelines.get_page("key", 5)
        assert (page.floor, page.complete) == (None, True)

    def test_the_floor_lies_above_what_went_and_not_above_what_stayed(self, timelines: TimelineStorage) -> None:
        """Floor: every trimmed entry is older than the floor, and no kept entry is."""
        for dropped, kept in pairwise(HARD_IDS):
            timelines.delete("key")
            timelines.add_many("key", HARD_IDS)
            timelines.trim("key", len(HARD_IDS) - HARD_IDS.index(kept))
            page = timelines.get_page("key", 1)
            assert page.floor is not None
            assert dropped < page.floor <= kept

    def test_the_floor_after_trimming_to_nothing(self, timelines: TimelineStorage) -> None:
        """Floor: when 2**128 - 1 itself went, it is 2**128, and an empty page is not complete."""
        timelines.add_many("key", [0, MAX_ID])
        timelines.trim("key", 0)
        page = timelines.get_page("key", 5)
        assert (page.items, page.next_cursor, page.complete, page.floor) == ([], None, False, 2**128)
        timelines.add("key", 5)
        page = timelines.get_page("key", 5, ordering_args=OLDEST_FIRST)
        assert (ids_of(page.items), page.complete, page.floor) == ([5], False, 2**128)

    def test_every_page_tells_the_floor(self, timelines: TimelineStorage) -> None:
        """Floor: every page has it, with a cursor, in either ordering and hydrated, and none is complete."""
        timelines.add_many("key", range(10))
        timelines.trim("key", 6)
        storage = backend_of(timelines.session).activity_storage()
        for ordering in (None, OLDEST_FIRST):
            for hydrate_from in (None, storage):
                first = timelines.get_page("key", 4, None, ordering, hydrate_from)
                second = timelines.get_page("key", 4, first.next_cursor, ordering, hydrate_from)
                assert [(page.floor, page.complete) for page in (first, second)] == [(4, False)] * 2
                assert second.next_cursor is None

    def test_the_floor_only_rises(self, timelines: TimelineStorage) -> None:
        """Floor: late arrivals below it are returned, and trimming them again does not lower it."""
        timelines.add_many("key", range(10, 20))
        timelines.trim("key", 4)
        floor = timelines.get_page("key", 1).floor
        assert floor == 16
        timelines.add_many("key", [3, 4])
        page = timelines.get_page("key", 10)
        assert (ids_of(page.items), page.floor, page.complete) == ([19, 18, 17, 16, 4, 3], floor, False)
        timelines.trim("key", 5)
        assert timelines.get_page("key", 1).floor == floor
        timelines.trim("key", 2)
        assert timelines.get_page("key", 1).floor == 18

    def test_removing_leaves_the_floor(self, timelines: TimelineStorage) -> None:
        """Floor: it stays when every entry is removed, and when entries come back."""
        timelines.add_many("key", range(5))
        timelines.trim("key", 2)
        timelines.remove_many("key", range(5))
        page = timelines.get_page("key", 5)
        assert (page.items, page.floor, page.complete) == ([], 3, False)
        timelines.add("key", 9)
        assert timelines.get_page("key", 5).floor == 3

    def test_delete_and_flush_forget_the_floor(self, timelines: TimelineStorage) -> None:
        """Floor: it falls only by ``delete`` and ``flush``."""
        forgets: tuple[Callable[[], None], ...] = (lambda: timelines.delete("key"), timelines.flush)
        for forget in forgets:
            timelines.add_many("key", range(5))
            timelines.trim("key", 2)
            assert timelines.get_page("key", 5).floor == 3
            forget()
            page = timelines.get_page("key", 5)
            assert (page.items, page.floor, page.complete) == ([], None, True)
            timelines.add("key", 1)
            assert timelines.get_page("key", 5).complete is True

    def test_floors_are_those_of_their_timeline_and_namespace(
        self, open_backend: OpenBackend, timelines: TimelineStorage
    ) -> None:
        """T10: no other timeline of that or another namespace has forgotten anything."""
        others = [timelines, open_backend().timeline_storage()]
        for each in others:
            each.add_to_many(["key", "other"], range(5))
        timelines.trim("key", 2)
        assert [each.get_page(key, 9).floor for each in others for key in ("key", "other")] == [3, None, None, None]

    def test_a_fan_out_raises_the_floor(self, backend: Backend, timelines: TimelineStorage) -> None:
        """Floor: ``max_length`` sets it like ``trim``, also for a late entry that the same call drops."""
        given = make_activities(6)
        timelines.add_to_many(["key"], given[:5], max_length=3)
        page = timelines.get_page("key", 9)
        if backend.abilities.exact_fan_out_length:
            assert page.floor is not None
            assert ids_of(given)[1] < page.floor <= ids_of(given)[2]
        assert page.complete is (page.floor is None)
        assert ids_of(page.items)[:3] == newest_first(given[2:5])
        timelines.add_to_many(["late"], given[1:5], max_length=4)
        assert timelines.add_to_many(["late"], given[:1], max_length=4) == counted(backend, 1)
        page = timelines.get_page("late", 9)
        if backend.abilities.exact_fan_out_length:
            assert ids_of(page.items) == newest_first(given[1:5])
            assert page.floor is not None
            assert ids_of(given)[0] < page.floor <= ids_of(given)[1]


class TimelineTrimArgumentSuite(Suite):
    """Invalid lengths, which trims refuse."""

    @pytest.mark.parametrize(
        ("refused", "error"),
        [
            *[(length, ValueError) for length in (-1, -(2**70))],
            *[(length, TypeError) for length in (None, "5", 1.0, True)],
        ],
    )
    def test_a_length_below_zero_is_refused(
        self, timelines: TimelineStorage, refused: Any, error: type[Exception]
    ) -> None:
        """T6: a length is an int of 0 or more, and nothing is trimmed by another."""
        timelines.add_many("key", [1, 2, 3])
        with pytest.raises(error, match="length"):
            timelines.trim("key", refused)
        assert timelines.count("key") == 3

    def test_a_maximum_below_zero_is_refused(self, timelines: TimelineStorage) -> None:
        """T6: so for the maximum length of a fan-out, which then delivers nothing."""
        refused: Any
        for refused, error in ((-1, ValueError), ("5", TypeError), (1.0, TypeError), (True, TypeError)):
            with pytest.raises(error, match="max_length"):
                timelines.add_to_many(["key"], [1], max_length=refused)
        assert list(timelines.keys()) == []

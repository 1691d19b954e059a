"""The contract of adding to timelines and removing from them."""

from __future__ import annotations

from typing import Any

import pytest

from feedstore.activity import Activity, ActivityRef
from feedstore.storage import Backend, TimelineStorage
from feedstore.testing.samples import (
    HARD_IDS,
    REFUSED_IDS,
    forms_of,
    fresh_copy,
    ids_of,
    make_activities,
    make_activity,
    newest_first,
    of_one_millisecond,
    with_context,
    with_id,
)
from feedstore.testing.suite import Suite, counted

MANY = 10_000


class TimelineAddSuite(Suite):
    """Adding entries, and replacing their payloads."""

    def test_timeline_add_counts_what_is_new(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T1: adding returns how many entries were new; one that is there counts 0."""
        assert timelines.add("key", make_activity(1)) == counted(backend, 1)
        assert timelines.add("key", make_activity(1)) == counted(backend, 0)
        assert timelines.add_many("key", make_activities(3)) == counted(backend, 2)
        assert timelines.add("other", make_activity(1)) == counted(backend, 1)

    def test_entries_come_newest_first(self, timelines: TimelineStorage) -> None:
        """T3: after adds in any order, entries are ordered by id, and returned as references."""
        given = make_activities(7)
        for activity in (given[3], given[6], given[0], given[5]):
            timelines.add("key", activity)
        timelines.add_many("key", [given[2], given[1], given[4]])
        found = timelines.get_slice("key", 0, None)
        assert found == [activity.reference for activity in reversed(given)]
        assert all(type(one) is ActivityRef and type(one.serialization_id) is int for one in found)

    def test_timeline_of_a_duplicate_the_last_wins(self, backend: Backend, payloads: TimelineStorage[Activity]) -> None:
        """T1: an id that comes twice in one call counts once, and its last payload is kept."""
        assert payloads.add_many("key", [with_id(5, 1), with_id(6), with_id(5, 2)]) == counted(backend, 2)
        assert payloads.get_slice("key", 0, None) == [with_id(6), with_id(5, 2)]

    def test_adding_again_replaces_the_payload_in_its_place(
        self, backend: Backend, payloads: TimelineStorage[Activity]
    ) -> None:
        """T1: an edit counts 0, keeps its place and touches no other timeline."""
        payloads.add_many("key", [with_id(4, "old"), with_id(5, "old"), with_id(6, "old")])
        payloads.add("other", with_id(5, "old"))
        assert payloads.add_many("key", [with_id(5, "new"), with_id(7, "new")]) == counted(backend, 1)
        expected = [with_id(7, "new"), with_id(6, "old"), with_id(5, "new"), with_id(4, "old")]
        assert payloads.get_slice("key", 0, None) == expected
        assert payloads.get_slice("other", 0, None) == [with_id(5, "old")]
        assert payloads.count("key") == 4

    def test_a_payload_becomes_a_reference_and_back(
        self, timelines: TimelineStorage, payloads: TimelineStorage
    ) -> None:
        """T1: replacing a payload by nothing, or nothing by a payload, is an edit as any other."""
        payloads.add_many("key", [with_id(5, "payload"), with_id(6, "payload")])
        timelines.add_many("key", [5, 6])
        payloads.add("key", with_id(5, "again"))
        assert payloads.get_slice("key", 1, 2) == [with_id(5, "again")]
        assert ids_of(timelines.get_slice("key", 0, None)) == [6, 5]

    def test_the_two_kinds_of_storage_see_the_same_entries(
        self, timelines: TimelineStorage, payloads: TimelineStorage
    ) -> None:
        """T10: two storages on one namespace share the timelines; references leave payloads unread."""
        payloads.add_many("key", make_activities(2))
        timelines.add("key", make_activity(2))
        assert ids_of(timelines.get_slice("key", 0, None)) == newest_first(make_activities(3))
        assert payloads.get_slice("key", 1, 3) == make_activities(2)[::-1]

    def test_a_large_payload(self, payloads: TimelineStorage[Activity]) -> None:
        """T1: a megabyte beside an id is stored as it is."""
        large = make_activity(extra_context={"text": "ä" * 500_000})
        payloads.add("key", large)
        assert payloads.get_slice("key", 0, 1) == [large]

    def test_ids_of_one_millisecond_keep_their_order(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T3: five ids of one millisecond are five entries, in the order of all their 128 bits."""
        five = of_one_millisecond(5)
        assert timelines.add_many("key", five) == counted(backend, 5)
        assert ids_of(timelines.get_slice("key", 0, None)) == ids_of(five)[::-1]
        assert [timelines.index_of("key", activity) for activity in five] == [4, 3, 2, 1, 0]

    def test_timeline_the_highest_and_lowest_ids(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T2, T3: every operation distinguishes and orders ids from 0 to 2**128 - 1."""
        assert timelines.add_many("key", HARD_IDS) == counted(backend, len(HARD_IDS))
        assert ids_of(timelines.get_slice("key", 0, None)) == list(HARD_IDS[::-1])
        for position, activity_id in enumerate(HARD_IDS[::-1]):
            assert timelines.index_of("key", activity_id) == position
            assert timelines.contains("key", activity_id) is True
        for activity_id in HARD_IDS:
            assert timelines.remove("key", activity_id) == counted(backend, 1)
            assert timelines.contains("key", activity_id) is False
        assert timelines.count("key") == 0

    def test_ids_alone_may_be_added_as_references(self, timelines: TimelineStorage) -> None:
        """T2: the default serializer needs no more of an activity than its id, in any form."""
        for number, form in enumerate(forms_of(make_activity())):
            timelines.add(f"key{number}", form)
            assert timelines.get_slice(f"key{number}", 0, None) == [make_activity().reference]

    def test_timeline_arguments_are_not_changed(self, payloads: TimelineStorage[Activity]) -> None:
        """T4: a call does not change its arguments."""
        given = [make_activity(0, extra_context={"list": [1, {"two": 2}]}), make_activity(1), make_activity(0)]
        copies = list(map(fresh_copy, given))
        keys = ["b", "a", "b"]
        payloads.add_many("key", given)
        payloads.add_to_many(keys, given, max_length=1)
        payloads.remove_from_many(keys, given)
        payloads.remove_many("key", given)
        assert given == copies
        assert keys == ["b", "a", "b"]

    def test_timeline_any_iterable_is_taken(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T4: iterators, tuples and sets are read once."""
        given = make_activities(3)
        assert timelines.add_many("key", iter(given)) == counted(backend, 3)
        assert timelines.add_many("key", tuple(given)) == counted(backend, 0)
        assert timelines.remove_many("key", (activity for activity in given[:1])) == counted(backend, 1)
        assert timelines.remove_many("key", set(given)) == counted(backend, 2)

    def test_timeline_what_comes_back_is_not_what_is_stored(self, payloads: TimelineStorage[Activity]) -> None:
        """T11: changing a result or an argument changes no stored data."""
        given = make_activity(extra_context={"list": [1]})
        expected = fresh_copy(given)
        payloads.add("key", given)
        given.stored_context["list"].append(2)
        entries = payloads.get_slice("key", 0, None)
        entries[0].stored_context["list"].append(3)
        entries.clear()
        payloads.get_page("key", 5).items.clear()
        payloads.get_many_slices(["key"], 0, 5)["key"].clear()
        assert payloads.get_slice("key", 0, None) == [expected]

    def test_timeline_ten_thousand_entries(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T1: a call may hold more than any one statement or message can."""
        given = make_activities(MANY)
        assert timelines.add_many("key", given) == counted(backend, MANY)
        assert timelines.count("key") == MANY
        assert ids_of(timelines.get_slice("key", 0, None)) == newest_first(given)
        assert timelines.index_of("key", given[0]) == MANY - 1
        assert timelines.add_many("key", given) == counted(backend, 0)
        assert timelines.remove_many("key", given[1:]) == counted(backend, MANY - 1)
        assert timelines.get_slice("key", 0, None) == [given[0].reference]


class TimelineRemoveSuite(Suite):
    """Removing entries."""

    def test_timeline_remove_counts_what_was_there(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T1: removing returns how many were there; unknown ids and repetitions are no error."""
        timelines.add_many("key", make_activities(4))
        assert timelines.remove("key", make_activity(0)) == counted(backend, 1)
        assert timelines.remove("key", make_activity(0)) == counted(backend, 0)
        twice = [make_activity(1), make_activity(1), make_activity(2), make_activity(9)]
        assert timelines.remove_many("key", twice) == counted(backend, 2)
        assert timelines.get_slice("key", 0, None) == [make_activity(3).reference]

    def test_remove_from_a_timeline_that_is_not_there(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T1: a key that is not there is no error, and does not come into being."""
        assert timelines.remove("key", make_activity()) == counted(backend, 0)
        assert list(timelines.keys()) == []

    def test_remove_touches_one_timeline(self, timelines: TimelineStorage) -> None:
        """T1: the same entry in another timeline stays."""
        timelines.add_to_many(["key", "other"], make_activities(2))
        timelines.remove_many("key", make_activities(2))
        assert timelines.count("key") == 0
        assert timelines.count("other") == 2

    def test_timeline_every_form_of_an_id_is_taken(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T2: an activity, a reference, an int, a UUID and its text stand for the same entry."""
        for form in forms_of(make_activity()):
            timelines.add("key", make_activity())
            assert timelines.contains("key", form) is True
            assert timelines.index_of("key", form) == 0
            assert timelines.remove("key", form) == counted(backend, 1)
            assert timelines.contains("key", form) is False

    def test_what_was_removed_can_be_added_again(self, backend: Backend, payloads: TimelineStorage[Activity]) -> None:
        """T1: an entry that was removed and comes back is new, with its new payload."""
        payloads.add("key", with_id(5, "old"))
        payloads.remove("key", 5)
        assert payloads.add("key", with_id(5, "new")) == counted(backend, 1)
        assert payloads.get_slice("key", 0, None) == [with_id(5, "new")]

    def test_a_removed_payload_is_gone(self, timelines: TimelineStorage, payloads: TimelineStorage[Activity]) -> None:
        """T1: a reference that is added where an entry with a payload was removed has no payload."""
        payloads.add_many("key", [with_id(5, "old"), with_id(6, "old")])
        payloads.remove("key", 5)
        timelines.add("key", 5)
        assert ids_of(timelines.get_slice("key", 0, None)) == [6, 5]
        with pytest.raises(Exception, match="0005"):
            payloads.get_slice("key", 1, 2)

    def test_timeline_no_items_at_all(self, timelines: TimelineStorage) -> None:
        """T1: an empty call does nothing, counts 0, and makes no timeline."""
        assert timelines.add_many("key", []) == 0
        assert timelines.remove_many("key", []) == 0
        assert list(timelines.keys()) == []


class TimelineAddArgumentSuite(Suite):
    """Invalid activities and lists, which additions and removals refuse."""

    def test_timeline_one_where_many_are_wanted_is_refused(self, timelines: TimelineStorage) -> None:
        """T5: an activity or a str in the place of a list raises a TypeError, and is not split into its parts."""
        text = "00000000-0000-0000-0000-0000000000ff"
        refused: Any
        for refused in (make_activity(), text, 7, None):
            with pytest.raises(TypeError):
                timelines.add_many("key", refused)
            with pytest.raises(TypeError):
                timelines.remove_many("key", refused)
        assert timelines.count("key") == 0

    @pytest.mark.parametrize(("refused", "error"), REFUSED_IDS)
    def test_timeline_one_bad_item_and_nothing_is_written(
        self, timelines: TimelineStorage, refused: Any, error: type[Exception]
    ) -> None:
        """T13: all items are checked before the first is sent."""
        timelines.add("key", 7)
        with pytest.raises(error):
            timelines.add_many("key", [1, refused, 2])
        with pytest.raises(error):
            timelines.remove_many("key", [7, refused])
        with pytest.raises(error):
            timelines.add_to_many(["key", "other"], [1, refused], max_length=1)
        with pytest.raises(error):
            timelines.remove_from_many(["key", "other"], [7, refused])
        assert ids_of(timelines.get_slice("key", 0, None)) == [7]
        assert list(timelines.keys()) == ["key"]

    def test_one_item_that_cannot_be_serialized_and_nothing_is_written(
        self, payloads: TimelineStorage[Activity]
    ) -> None:
        """T13: all items are serialized before the first is sent."""
        unstorable = with_context({"set": {1, 2}})
        for bad in (unstorable, make_activity(2).reference, 7):
            with pytest.raises(TypeError):
                payloads.add_many("key", [make_activity(0), bad, make_activity(1)])
            with pytest.raises(TypeError):
                payloads.add_to_many(["key", "other"], [make_activity(0), bad])
        assert list(payloads.keys()) == []

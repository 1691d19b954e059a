"""The contract of activity storages."""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import Any

import pytest

from feedstore.activity import Activity
from feedstore.errors import AtomicityError, ConditionFailedError, InvalidTypeError, InvalidValueError
from feedstore.ids import MAX_ID
from feedstore.storage import ActivityStorage, Backend, Bounds
from feedstore.testing.samples import (
    HARD_IDS,
    REFUSED_IDS,
    START,
    forms_of,
    fresh_copy,
    ids_of,
    make_activities,
    make_activity,
    with_context,
    with_id,
)
from feedstore.testing.suite import OpenBackend, Suite, counted

MANY = 10_000


class ActivitySuite(Suite):
    """Adding, editing, getting and removing activities by id."""

    def test_activity_add_counts_what_is_new(self, backend: Backend, activities: ActivityStorage) -> None:
        """T1: adding returns how many ids were new; one that is there counts 0."""
        assert activities.add(make_activity(1)) == counted(backend, 1)
        assert activities.add(make_activity(1)) == counted(backend, 0)
        assert activities.add_many(make_activities(3)) == counted(backend, 2)

    def test_adding_again_replaces(self, activities: ActivityStorage) -> None:
        """T1: adding an id that is there is how an activity is edited."""
        activities.add_many([with_id(5, "first"), with_id(6, "other")])
        activities.add(with_id(5, "second"))
        assert activities.get(5) == with_id(5, "second")
        assert activities.get(6) == with_id(6, "other")
        assert ids_of(activities.iterate()) == [5, 6]

    def test_activity_of_a_duplicate_the_last_wins(self, backend: Backend, activities: ActivityStorage) -> None:
        """T1: an id that comes twice in one call counts once, and its last form is kept."""
        assert activities.add_many([with_id(5, 1), with_id(6), with_id(5, 2), with_id(5, 3)]) == counted(backend, 2)
        assert activities.get(5) == with_id(5, 3)

    def test_activity_remove_counts_what_was_there(self, backend: Backend, activities: ActivityStorage) -> None:
        """T1: removing returns how many were there; unknown ids and repetitions are no error."""
        activities.add_many(make_activities(4))
        assert activities.remove(make_activity(0)) == counted(backend, 1)
        assert activities.remove(make_activity(0)) == counted(backend, 0)
        twice = [make_activity(1), make_activity(1), make_activity(2), make_activity(9)]
        assert activities.remove_many(twice) == counted(backend, 2)
        assert list(activities.iterate()) == [make_activity(3)]

    def test_activity_no_items_at_all(self, activities: ActivityStorage) -> None:
        """T1: an empty call does nothing and counts 0."""
        assert activities.add_many([]) == 0
        assert activities.remove_many([]) == 0
        assert activities.get_many([]) == []
        assert list(activities.iterate()) == []

    def test_an_activity_comes_back_equal(self, activities: ActivityStorage) -> None:
        """T1: every field comes back as it went in."""
        context = {
            "none": None,
            "bool": True,
            "int": -(2**70),
            "float": 1.5,
            "text": "ä\0\U0001f600",
            "bytes": b"\0\xff",
            "list": [1, [2, {"three": 3}]],
            "dict": {1: "one", "two": [2]},
            "time": START.astimezone(timezone(timedelta(hours=5, minutes=30))),
        }
        given = [
            Activity("ann", "like", "photo:7", time=START),
            Activity(2**64 - 1, "ä\0", -(2**63), 0, START + timedelta(microseconds=1), context, foreign_id=7),
            Activity("\0", "verb", "'\"\\%_*", "target", START, {}, foreign_id="row-1"),
            Activity("old", "was", "born", time=START.replace(year=1970)),
            Activity("far", "will", "be", time=START.replace(year=9999)),
        ]
        activities.add_many(given)
        for activity in given:
            found = activities.get(activity)
            assert found == activity
            assert found.extra_context == activity.extra_context
            assert type(found.time) is type(activity.time)

    def test_a_large_activity(self, activities: ActivityStorage) -> None:
        """T1: a megabyte of context is stored as it is."""
        large = make_activity(extra_context={"text": "ä" * 500_000})
        activities.add(large)
        assert activities.get(large) == large

    def test_activity_every_form_of_an_id_is_taken(self, backend: Backend, activities: ActivityStorage) -> None:
        """T2: an activity, a reference, an int, a UUID and its str name the same id, which is returned as an int."""
        activity = make_activity()
        for form in forms_of(activity):
            activities.add(activity)
            found = activities.get(form)
            assert found == activity
            assert type(found.serialization_id) is int
            assert activities.get_many([form, form]) == [activity, activity]
            assert activities.remove(form) == counted(backend, 1)
            assert activities.get(form) is None

    def test_activity_the_highest_and_lowest_ids(self, backend: Backend, activities: ActivityStorage) -> None:
        """T3: every operation distinguishes ids from 0 to 2**128 - 1."""
        given = [with_id(activity_id, str(activity_id)) for activity_id in HARD_IDS]
        assert activities.add_many(given) == counted(backend, len(given))
        assert activities.get_many(HARD_IDS) == given
        assert list(activities.iterate()) == given
        for activity in given:
            assert activities.get(activity.serialization_id) == activity
            assert activities.remove(activity.serialization_id) == counted(backend, 1)
            assert activities.get(activity.serialization_id) is None

    def test_get_many_keeps_the_order_asked_for(self, activities: ActivityStorage) -> None:
        """T12: unknown ids are left out, and one that is asked for twice comes twice."""
        zero, one, two = make_activities(3)
        activities.add_many([zero, one, two])
        assert activities.get_many([two, zero, make_activity(9), one, zero]) == [two, zero, one, zero]

    def test_get_of_an_unknown_id_is_none(self, activities: ActivityStorage) -> None:
        """T12: an id that was never added, or was removed, reads as None."""
        assert activities.get(0) is None
        assert activities.get(MAX_ID) is None
        activities.add(with_id(7))
        activities.remove(7)
        assert activities.get(7) is None
        assert activities.get_many([7]) == []

    def test_activity_arguments_are_not_changed(self, activities: ActivityStorage) -> None:
        """T4: a call does not change its arguments."""
        given = [make_activity(0, extra_context={"list": [1, {"two": 2}]}), make_activity(1), make_activity(0)]
        copies = list(map(fresh_copy, given))
        ids = ids_of(given)
        activities.add_many(given)
        activities.get_many(ids)
        activities.remove_many(ids)
        assert given == copies
        assert ids == ids_of(copies)

    def test_activity_any_iterable_is_taken(self, backend: Backend, activities: ActivityStorage) -> None:
        """T4: iterators, tuples, sets and dictionaries' keys are read once."""
        given = make_activities(3)
        assert activities.add_many(iter(given)) == counted(backend, 3)
        assert activities.get_many(tuple(given)) == given
        assert activities.get_many(activity for activity in given) == given
        assert activities.remove_many(set(given[:2])) == counted(backend, 2)
        assert activities.remove_many(dict.fromkeys(given)) == counted(backend, 1)

    def test_activity_what_comes_back_is_not_what_is_stored(self, activities: ActivityStorage) -> None:
        """T11: changing a result or an argument changes no stored data."""
        given = make_activity(extra_context={"list": [1], "dict": {"one": 1}})
        expected = fresh_copy(given)
        activities.add(given)
        given.stored_context["list"].append(2)
        for read in (activities.get, lambda one: activities.get_many([one])[0], lambda one: next(activities.iterate())):
            found = read(given.serialization_id)
            assert found == expected
            found.stored_context["list"].append(3)
            found.stored_context["dict"].clear()
        assert activities.get(given) == expected

    def test_ten_thousand_activities(self, backend: Backend, activities: ActivityStorage) -> None:
        """T1, T12: a call may hold more than any one statement or message can."""
        given = make_activities(MANY)
        assert activities.add_many(given) == counted(backend, MANY)
        assert activities.get_many(reversed(given)) == given[::-1]
        assert activities.remove_many(given[1:]) == counted(backend, MANY - 1)
        assert list(activities.iterate()) == given[:1]


class ActivityIterationSuite(Suite):
    """Walking through all activities, and flushing them."""

    def test_iterate_yields_all_oldest_first(self, activities: ActivityStorage) -> None:
        """T3: every activity is returned once, in the order of the ids, after adds in any order."""
        given = make_activities(2_500)
        activities.add_many(given[::-1])
        assert list(activities.iterate()) == given

    def test_iterate_begins_behind_an_id(self, activities: ActivityStorage) -> None:
        """T3: `after` is exclusive, at every id and in every form."""
        activities.add_many(with_id(activity_id) for activity_id in HARD_IDS)
        for position, activity_id in enumerate(HARD_IDS):
            assert ids_of(activities.iterate(after=activity_id)) == list(HARD_IDS[position + 1 :])
        for form in forms_of(with_id(1)):
            assert ids_of(activities.iterate(form)) == list(HARD_IDS[2:])
        with pytest.raises(ValueError, match="128"):
            activities.iterate(after=-1)

    def test_iterate_within_bounds_in_both_directions(self, activities: ActivityStorage) -> None:
        """T3: both bounds are exclusive; the newest first is the reverse of the oldest first."""
        activities.add_many(with_id(activity_id) for activity_id in HARD_IDS)
        assert ids_of(activities.iterate(reverse=True)) == list(HARD_IDS[::-1])
        for first, last in ((0, 3), (1, len(HARD_IDS) - 1), (2, 2), (3, 1)):
            between = list(HARD_IDS[first + 1 : last])
            assert ids_of(activities.iterate(HARD_IDS[first], HARD_IDS[last])) == between
            downwards = activities.iterate(after=HARD_IDS[first], before=HARD_IDS[last], reverse=True)
            assert ids_of(downwards) == between[::-1]
        assert ids_of(activities.iterate(before=with_id(HARD_IDS[2]))) == list(HARD_IDS[:2])

    def test_iterate_many_newest_first(self, activities: ActivityStorage) -> None:
        """T3: more activities than one round trip reads."""
        given = make_activities(1_300)
        activities.add_many(given)
        assert list(activities.iterate(reverse=True)) == given[::-1]
        assert list(activities.iterate(given[10], given[1_200], reverse=True)) == given[11:1_200][::-1]

    def test_bytes_of_any_length_in_one_write(self, activities: ActivityStorage) -> None:
        """T13: none, some and many bytes, all of them or together with others, are stored as they are."""
        for first, lengths in enumerate(((0, 0), (0, 3, 0, 17), (5, 0), (1 << 20, 1, 0))):
            given = {first * 10 + number + 1: b"\0x" * length for number, length in enumerate(lengths)}
            assert activities.add_to_storage(given).result in (len(given), None)
            assert activities.get_from_storage(list(given)) == given

    def test_bodies_within_bounds_in_both_directions(self, activities: ActivityStorage) -> None:
        """T3 for bytes: `get_bodies` returns the first activities within inclusive bounds, and reads again."""
        given = [with_id(activity_id) for activity_id in HARD_IDS]
        activities.add_many(given)
        first, last = HARD_IDS[1], HARD_IDS[-1]
        bodies = activities.get_bodies(len(given), Bounds(first, last), False)
        assert activities.deserialize_activities(bodies) == given[1:]
        assert activities.get_bodies(2, Bounds(first, last), True) == bodies[::-1][:2]
        assert activities.get_bodies(2, Bounds(first, last).after(first, False), False) == bodies[1:3]
        assert activities.get_bodies(2, Bounds(last, first), False) == []

    def test_bodies_are_stored_as_they_are(self, backend: Backend, activities: ActivityStorage) -> None:
        """T1, T13: `add_bodies` replaces existing ids; in an atomic batch it may require that all ids are new."""
        given = make_activities(5)
        bodies = {each.serialization_id: activities.serialize_activity(each) for each in given}
        assert activities.add_bodies(bodies) == counted(backend, 5)
        more = {MAX_ID: bodies[given[0].serialization_id], **bodies}
        assert activities.add_bodies(more) == counted(backend, 1)
        assert activities.get_many(given) == given
        if not activities.can_require_new:
            with pytest.raises(AtomicityError, match="only_new=False"):
                activities.add_bodies({5: b"5"}, only_new=True)
            return
        with backend.batch(atomic=True) as batch:
            activities.add_bodies({1: b"1", 2: b"2"}, only_new=True, batch_interface=batch)
        assert batch.results == [2]
        batch = backend.batch(atomic=True)
        with pytest.raises(ConditionFailedError, match="stored already"), batch:
            activities.bound_to(batch).add_bodies({2: b"other", 3: b"3"}, only_new=True)
        assert activities.get_from_storage([1, 2, 3]) == {1: b"1", 2: b"2"}
        with pytest.raises(InvalidTypeError, match="atomic batch"):
            activities.add_bodies({5: b"5"}, only_new=True)
        with pytest.raises(InvalidValueError, match="atomic"), backend.batch() as plain:
            activities.add_bodies({5: b"5"}, only_new=True, batch_interface=plain)
        assert activities.get_from_storage([5]) == {}

    def test_iterate_while_all_is_removed(self, activities: ActivityStorage) -> None:
        """K3 for activities: removing returned activities works, and the others are returned exactly once."""
        given = make_activities(600)
        activities.add_many(given)
        seen = []
        for activity in activities.iterate():
            seen.append(activity)
            if len(seen) % 5 == 0:
                activities.remove_many(seen[-5:])
        assert seen == given
        assert list(activities.iterate()) == []

    def test_iterate_while_others_are_added(self, activities: ActivityStorage) -> None:
        """T12: an activity that exists during the whole scan is returned exactly once, and none twice."""
        given = make_activities(600, first=1_000)
        activities.add_many(given)
        seen = []
        for number, activity in enumerate(activities.iterate()):
            seen.append(activity)
            if number < 50:
                activities.add_many([make_activity(number), make_activity(5_000 + number)])
        assert [activity for activity in seen if activity in set(given)] == given
        assert len(set(seen)) == len(seen)

    def test_flush_empties_activities_alone(self, open_backend: OpenBackend, backend: Backend) -> None:
        """T15: flushing empties its own kind in its own namespace, and nothing else."""
        other = open_backend()
        for each in (backend, other):
            each.activity_storage().add_many(make_activities(3))
            each.timeline_storage().add_many("key", make_activities(3))
            each.kv_storage().upsert("key", 1)
        result: Any = backend.activity_storage().flush
        assert result() is None
        assert list(backend.activity_storage().iterate()) == []
        assert backend.timeline_storage().count("key") == 3
        assert backend.kv_storage().fetch_one("key") == 1
        assert list(other.activity_storage().iterate()) == make_activities(3)

    def test_flush_of_nothing(self, activities: ActivityStorage) -> None:
        """T15: flushing twice, or before anything was added, is no error; adding works again afterwards."""
        activities.flush()
        activities.add(make_activity())
        activities.flush()
        activities.flush()
        assert list(activities.iterate()) == []
        activities.add(make_activity())
        assert list(activities.iterate()) == [make_activity()]


class ActivityArgumentSuite(Suite):
    """Invalid ids, activities and lists, which activity storages refuse."""

    @pytest.mark.parametrize(("refused", "error"), REFUSED_IDS)
    def test_activity_what_is_no_id_is_refused(
        self, activities: ActivityStorage, refused: Any, error: type[Exception]
    ) -> None:
        """T5: an id out of range or of another type is refused, and nothing else of the call happens (T13)."""
        activities.add_many(make_activities(2))
        with pytest.raises(error):
            activities.get(refused)
        with pytest.raises(error):
            activities.get_many([make_activity(0), refused])
        with pytest.raises(error):
            activities.remove_many([make_activity(0), refused])
        with pytest.raises((TypeError, ValueError)):
            activities.add_many([make_activity(3), refused])
        assert list(activities.iterate()) == make_activities(2)

    def test_activity_one_where_many_are_wanted_is_refused(self, activities: ActivityStorage) -> None:
        """T5: an activity or a str in the place of a list raises a TypeError, and is not split into its parts."""
        text = "00000000-0000-0000-0000-0000000000ff"
        refused: Any
        for call in (activities.add_many, activities.get_many, activities.remove_many):
            for refused in (make_activity(), text, 7, None):
                with pytest.raises(TypeError):
                    call(refused)

    def test_activity_one_bad_item_and_nothing_is_written(self, activities: ActivityStorage) -> None:
        """T13: all are checked and serialized before the first is sent."""
        unstorable = with_context({"set": {1, 2}})
        bad: Any
        for bad in (unstorable, object(), None, "text", make_activity(2).reference):
            with pytest.raises(TypeError):
                activities.add_many([make_activity(0), bad, make_activity(1)])
        with pytest.raises(ValueError, match="surrogate"):
            activities.add_many([make_activity(0), with_context({"text": "\ud800"})])
        assert list(activities.iterate()) == []

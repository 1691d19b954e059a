"""The contract of hydrated reads: activities in the place of references."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from feedstore.errors import StoredDataError
from feedstore.ids import MAX_ID, id_to_text
from feedstore.serializers import JsonSerializer
from feedstore.storage import ActivityStorage, Backend, Filter, TimelineStorage
from feedstore.storage.backend import backend_of
from feedstore.testing.samples import (
    HARD_IDS,
    OLDEST_FIRST,
    ids_of,
    make_activities,
    make_activity,
    newest_first,
    with_id,
)
from feedstore.testing.suite import OpenBackend, Suite
from feedstore.testing.walks import pages

Reader = Callable[..., list[Any]]


def readers(timelines: TimelineStorage) -> list[Reader]:
    """Return the three ways of a hydrated read, each as a callable that returns the newest five of "key"."""
    return [
        lambda **options: timelines.get_slice("key", 0, 5, **options),
        lambda **options: timelines.get_page("key", 5, **options).items,
        lambda **options: timelines.get_many_slices(["key"], 0, 5, **options)["key"],
    ]


class HydrateSuite(Suite):
    """``hydrate_from=`` on every read that takes it."""

    def test_activities_come_in_the_place_of_references(
        self, timelines: TimelineStorage, activities: ActivityStorage
    ) -> None:
        """T12: the same slice, as activities, in either ordering."""
        given = make_activities(8)
        activities.add_many(given)
        timelines.add_many("key", given)
        for read in readers(timelines):
            assert read(hydrate_from=activities) == given[:2:-1]
            assert read(hydrate_from=activities, ordering_args=OLDEST_FIRST) == given[:5]

    def test_activities_that_are_gone_are_left_out(
        self, timelines: TimelineStorage, activities: ActivityStorage
    ) -> None:
        """T12: positions count references, so a slice may hold fewer than asked for; the timeline keeps them all."""
        given = make_activities(7)
        activities.add_many(given)
        timelines.add_many("key", given)
        activities.remove_many([given[6], given[4]])
        for read in readers(timelines):
            assert read(hydrate_from=activities) == [given[5], given[3], given[2]]
        activities.flush()
        for read in readers(timelines):
            assert read(hydrate_from=activities) == []
        assert timelines.count("key") == 7

    def test_a_page_of_activities_that_are_gone_still_leads_on(
        self, timelines: TimelineStorage, activities: ActivityStorage
    ) -> None:
        """T12, T16: a walk goes by references; a page may be empty and not the last."""
        given = make_activities(9)
        activities.add_many(given[:3])
        timelines.add_many("key", given)
        walked = list(pages(timelines, "key", 3, hydrate_from=activities))
        assert [page.items for page in walked] == [[], [], given[2::-1]]
        assert [page.complete for page in walked] == [False, False, True]
        plain = list(pages(timelines, "key", 3))
        assert [page.next_cursor for page in walked] == [page.next_cursor for page in plain]

    def test_positions_filters_and_hard_ids(self, timelines: TimelineStorage, activities: ActivityStorage) -> None:
        """T3, T7: every option holds for hydrated slices."""
        given = [with_id(activity_id, str(activity_id)) for activity_id in HARD_IDS]
        activities.add_many(given)
        timelines.add_to_many(["key", "other"], given)
        assert timelines.get_slice("key", None, None, hydrate_from=activities) == given[::-1]
        assert timelines.get_slice("key", 2, 5, hydrate_from=activities) == given[::-1][2:5]
        assert timelines.get_slice("key", 5, 5, hydrate_from=activities) == []
        assert timelines.get_slice("key", 99, None, hydrate_from=activities) == []
        bounds: Filter = {"activity_id__gte": 1, "activity_id__lt": MAX_ID}
        expected = given[1:-1][3:]
        assert timelines.get_slice("key", 3, None, bounds, OLDEST_FIRST, activities) == expected
        found = timelines.get_many_slices(["other", "key"], 3, None, bounds, OLDEST_FIRST, activities)
        assert found == {"other": expected, "key": expected}
        nothing: Filter = {"activity_id__lt": 0}
        assert timelines.get_slice("key", 0, None, nothing, hydrate_from=activities) == []

    def test_a_timeline_that_is_not_there(self, timelines: TimelineStorage, activities: ActivityStorage) -> None:
        """T7: it reads as empty, hydrated too."""
        for read in readers(timelines):
            assert read(hydrate_from=activities) == []

    def test_the_activity_storage_decides_and_not_the_payload(
        self, payloads: TimelineStorage, activities: ActivityStorage
    ) -> None:
        """T12: the stored activity is returned for any payload of the entry."""
        payloads.add_many("key", [with_id(5, "payload"), with_id(6, "payload")])
        activities.add(with_id(5, "activity"))
        for read in readers(payloads):
            assert read(hydrate_from=activities) == [with_id(5, "activity")]
        activities.add(with_id(5, "edited"))
        for read in readers(payloads):
            assert read(hydrate_from=activities) == [with_id(5, "edited")]

    def test_another_serializer(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T12: activities are decoded by the storage that they come from."""
        storage = backend.activity_storage(serializer_class=JsonSerializer)
        storage.add_many(make_activities(3))
        timelines.add_many("key", make_activities(3))
        for read in readers(timelines):
            assert read(hydrate_from=storage) == make_activities(3)[::-1]

    def test_an_activity_that_cannot_be_decoded_is_named(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T14: damage is no absence, and the error says which activity it is."""
        backend.activity_storage(serializer_class=JsonSerializer).add(with_id(5))
        timelines.add("key", 5)
        for read in readers(timelines):
            with pytest.raises(StoredDataError, match=id_to_text(5)):
                read(hydrate_from=backend.activity_storage())

    def test_hydrated_what_comes_back_is_not_what_is_stored(
        self, timelines: TimelineStorage, activities: ActivityStorage
    ) -> None:
        """T11: changing a hydrated activity changes nothing that is stored."""
        activities.add(make_activity(extra_context={"list": [1]}))
        timelines.add("key", make_activity())
        for read in readers(timelines):
            (found,) = read(hydrate_from=activities)
            assert found.stored_context == {"list": [1]}
            found.stored_context["list"].append(2)

    def test_many_timelines_that_share_activities(
        self, timelines: TimelineStorage, activities: ActivityStorage
    ) -> None:
        """T12: an activity in several timelines comes in each, and long answers are whole."""
        given = make_activities(1_300)
        activities.add_many(given)
        timelines.add_many("all", given)
        timelines.add_to_many(["some", "same"], given[100:110])
        found = timelines.get_many_slices(["all", "some", "missing", "same"], 0, None, hydrate_from=activities)
        assert ids_of(found["all"]) == newest_first(given)
        assert found["some"] == found["same"] == given[109:99:-1]
        assert found["missing"] == []
        assert timelines.get_slice("all", 0, None, hydrate_from=activities) == given[::-1]


class HydrateArgumentSuite(Suite):
    """Reads hydrate from an activity storage of their own backend alone."""

    def test_activities_of_another_namespace_or_backend(
        self, open_backend: OpenBackend, backend: Backend, timelines: TimelineStorage
    ) -> None:
        """T10: the storage that is handed in is the one that is read, wherever it stands."""
        mine, elsewhere = backend.activity_storage(), open_backend().activity_storage()
        shared = backend.with_namespace(elsewhere.session.namespace).activity_storage()
        mine.add(with_id(5, "mine"))
        elsewhere.add_many([with_id(5, "elsewhere"), with_id(6, "elsewhere")])
        timelines.add_many("key", [5, 6, 7])
        for read in readers(timelines):
            assert read(hydrate_from=mine) == [with_id(5, "mine")]
            assert read(hydrate_from=elsewhere) == [with_id(6, "elsewhere"), with_id(5, "elsewhere")]
            assert read(hydrate_from=shared) == [with_id(6, "elsewhere"), with_id(5, "elsewhere")]

    def test_what_is_no_activity_storage_is_refused(self, timelines: TimelineStorage) -> None:
        """T5: the option is honoured or refused with an error that names it."""
        for read in readers(timelines):
            for refused in (timelines, object(), "activities", backend_of(timelines.session), True):
                with pytest.raises(TypeError, match="hydrate_from"):
                    read(hydrate_from=refused)

"""The contract of named collections of activities and timelines."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from feedstore.storage import AtomicScope, Backend
from feedstore.testing.samples import HARD_KEYS, make_activities, make_activity
from feedstore.testing.suite import OpenBackend, Suite, counted


class CollectionSuite(Suite):
    """Each name of an activity storage or a timeline storage is a collection of its own."""

    @pytest.mark.parametrize("name", [*HARD_KEYS[:4], "events", "e" * 1024], ids=lambda name: repr(name[:12]))
    def test_collections_are_apart(self, backend: Backend, name: str) -> None:
        """T10: the same ids and keys in two collections are different activities and timelines."""
        one, other = make_activities(2)
        backend.activity_storage(name=name).add(one)
        backend.activity_storage().add(other)
        backend.timeline_storage(name=name).add_many("key", [1, 2])
        backend.timeline_storage().add("key", 3)
        assert list(backend.activity_storage(name=name).iterate()) == [one]
        assert list(backend.activity_storage(name="default").iterate()) == [other]
        assert backend.timeline_storage(name=name).count("key") == 2
        assert backend.timeline_storage().count("key") == 1
        assert backend.timeline_storage(name=f"{name[:9]}2").count("key") == 0

    def test_two_storages_of_one_name_see_the_same(self, open_backend: OpenBackend) -> None:
        """T10: also through two backends that were opened apart."""
        first = open_backend()
        second = open_backend(first.namespace)
        first.timeline_storage(name="events").add("key", 1)
        first.activity_storage(name="events").add(make_activity(1))
        assert second.timeline_storage(name="events").contains("key", 1)
        assert second.activity_storage(name="events").get(make_activity(1)) == make_activity(1)

    def test_flushing_stays_in_its_collection(self, backend: Backend) -> None:
        """T15: a flush of one collection leaves the others as they are."""
        for name in ("default", "events", "marks"):
            backend.timeline_storage(name=name).add("key", 1)
            backend.activity_storage(name=name).add(make_activity(1))
        backend.timeline_storage(name="events").flush()
        backend.activity_storage().flush()
        names = ("default", "events", "marks")
        assert [backend.timeline_storage(name=name).count("key") for name in names] == [1, 0, 1]
        assert [len(list(backend.activity_storage(name=name).iterate())) for name in names] == [0, 1, 1]

    def test_namespaces_have_collections_of_their_own(self, open_backend: OpenBackend) -> None:
        """T10: one name in two namespaces is two collections."""
        first = open_backend()
        second = open_backend()
        first.timeline_storage(name="events").add("key", 1)
        assert second.timeline_storage(name="events").count("key") == 0
        assert first.with_namespace(second.namespace).timeline_storage(name="events").count("key") == 0

    def test_a_collection_s_batch_is_that_of_the_backend(self, backend: Backend) -> None:
        """T10: the own storages of the batch are the default ones, not those of the collection that made it."""
        made: Any = backend.timeline_storage(name="events").get_batch_interface()
        with made as batch:
            batch.timelines.add("key", 1)
            batch.kv("marks").upsert("key", 1)
        assert backend.timeline_storage().contains("key", 1)
        assert backend.kv_storage("marks").get("key") == 1

    def test_collections_join_one_batch(self, backend: Backend) -> None:
        """Decision 5: the writes of all collections of a namespace join its batch, in order."""
        events, marks = backend.timeline_storage(name="events"), backend.timeline_storage(name="marks")
        activities = backend.activity_storage(name="events")
        with backend.batch() as batch:
            events.add_many("key", [1, 2, 3], batch_interface=batch)
            marks.add("key", 1, batch_interface=batch)
            activities.add(make_activity(1), batch_interface=batch)
            events.trim("key", 2, batch_interface=batch)
            marks.remove("key", 1, batch_interface=batch)
        assert batch.results == [counted(backend, number) for number in (3, 1, 1, 1, 1)]
        assert (events.count("key"), marks.count("key")) == (2, 0)
        assert activities.get(make_activity(1)) == make_activity(1)

    def test_an_atomic_batch_spans_collections(self, backend: Backend) -> None:
        """Decision 5: where the atomic scope is the backend, it holds writes of several collections."""
        if backend.abilities.atomic_scope not in (AtomicScope.BACKEND, AtomicScope.EVENTUAL):
            pytest.skip("the backend's atomic scope is smaller than the backend")
        events = backend.timeline_storage(name="events")
        with backend.batch(atomic=True) as batch:
            events.add("key", 1, batch_interface=batch)
            backend.timeline_storage().add("key", 2, batch_interface=batch)
        assert events.contains("key", 1)
        assert backend.timeline_storage().contains("key", 2)

    def test_hydrating_from_a_collection(self, backend: Backend) -> None:
        """T12: a timeline of one collection is hydrated from the activities of another."""
        activities, timelines = backend.activity_storage(name="events"), backend.timeline_storage(name="feeds")
        two = make_activities(2)
        activities.add_many(two)
        timelines.add_many("key", two)
        assert timelines.get_slice("key", 0, 5, hydrate_from=activities) == two[::-1]
        assert timelines.get_slice("key", 0, 5, hydrate_from=backend.activity_storage()) == []

    def test_the_names_of_the_storages_are_listed(self, open_backend: OpenBackend) -> None:
        """Factories: the names are those of this namespace alone, of every character, and say whether one is hidden."""
        backend, other = open_backend(), open_backend()
        other.kv_storage("foreign").upsert("key", 1)
        other.timeline_storage(name="foreign").add("key", 1)
        empty = backend.names()
        backend.timeline_storage(name="events").add("key", 1)
        backend.activity_storage(name="posts").add(make_activity(1))
        for name in HARD_KEYS:
            backend.kv_storage(name).upsert("key", 1)
        backend.kv_storage("gone").upsert("key", 1)
        backend.kv_storage("gone").delete("key")
        backend.queue("mails").push(b"1")
        found = backend.names()
        if found == empty:
            assert not found.is_complete
            return
        assert (empty.collections, empty.kv, empty.queues or ()) == (("default",), (), ())
        assert {"default", "events", "posts"} == set(found.collections)
        assert found.kv == tuple(sorted(HARD_KEYS))
        assert found.queues in (("mails",), None)
        assert empty.is_complete
        assert found.is_complete
        backend.timeline_storage(name="a name").add("key", 1)
        assert not backend.names().is_complete
        known = backend.names(["a name", "absent", "events"])
        assert known == replace(found, collections=tuple(sorted((*found.collections, "a name"))))

    def test_a_hashed_name_is_found_if_it_is_known(self, open_backend: OpenBackend) -> None:
        """Factories: in a long namespace, the names of all collections are hashed."""
        base = open_backend()
        backend = base.with_namespace(base.namespace.ljust(48, "_"))
        backend.timeline_storage(name="events").add("key", 1)
        assert backend.names(["events", "default"]).collections == ("default", "events")
        with pytest.raises((ValueError, TypeError), match="name"):
            backend.names([""])


class CollectionArgumentSuite(Suite):
    """Names of collections."""

    def test_a_name_is_a_key(self, backend: Backend) -> None:
        """K2: an invalid key is an invalid name of a collection."""
        for wrong in ("", "x" * 1025, 7, "\ud800"):
            with pytest.raises((ValueError, TypeError), match="name"):
                backend.timeline_storage(name=wrong)  # type: ignore[arg-type]
            with pytest.raises((ValueError, TypeError), match="name"):
                backend.activity_storage(name=wrong)  # type: ignore[arg-type]

"""The contract of backends: namespaces, storages, closing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from feedstore.errors import BackendClosedError, FeedstoreError
from feedstore.storage import Abilities, ActivityStorage, AtomicScope, Backend, KvStorage, TimelineStorage
from feedstore.testing.calls import ACTIVITY_CALLS, BACKEND_CALLS, KV_CALLS, TIMELINE_CALLS, call
from feedstore.testing.samples import ids_of, make_activities, make_activity
from feedstore.testing.suite import OpenBackend, Suite, naming


class BackendSuite(Suite):
    """Backends without their storages: abilities, namespaces, closing."""

    def test_abilities_are_consistent(self, backend: Backend) -> None:
        """Abilities: an exact fan-out has no excess, and another states one."""
        abilities = backend.abilities
        assert isinstance(abilities, Abilities)
        assert isinstance(abilities.atomic_scope, AtomicScope)
        assert (abilities.fan_out_excess == 0) is abilities.exact_fan_out_length

    def test_storages_have_their_kind_and_their_backend(self, backend: Backend) -> None:
        """Factories: three, each of which gives a storage that knows its backend."""
        assert isinstance(backend.activity_storage(), ActivityStorage)
        assert isinstance(backend.timeline_storage(), TimelineStorage)
        assert isinstance(backend.kv_storage(), KvStorage)
        for storage in (backend.activity_storage(), backend.timeline_storage(), backend.kv_storage("name")):
            assert storage.session is backend.session

    def test_two_storages_see_the_same(self, backend: Backend) -> None:
        """T10: storages of one backend, and of two under one namespace, share their data."""
        same = backend.with_namespace(backend.namespace)
        backend.activity_storage().add(make_activity())
        backend.timeline_storage().add("key", 1)
        backend.kv_storage().upsert("key", 1)
        for each in (backend, same):
            assert each.activity_storage().get(make_activity()) == make_activity()
            assert each.timeline_storage().count("key") == 1
            assert each.kv_storage().fetch_one("key") == 1

    def test_two_backends_on_one_namespace_see_the_same(self, open_backend: OpenBackend, backend: Backend) -> None:
        """T10: so do backends that were opened apart on one store."""
        backend.activity_storage().add_many(make_activities(3))
        backend.timeline_storage().add_many("key", range(5))
        backend.timeline_storage().trim("key", 3)
        other = open_backend(backend.namespace)
        assert list(other.activity_storage().iterate()) == make_activities(3)
        assert ids_of(other.timeline_storage().get_slice("key", 0, None)) == [4, 3, 2]
        assert other.timeline_storage().get_page("key", 5).floor == 2
        other.timeline_storage().add_to_many(["key", "new"], [9], max_length=2)
        assert ids_of(backend.timeline_storage().get_slice("key", 0, 2)) == [9, 4]
        assert sorted(backend.timeline_storage().keys()) == ["key", "new"]

    def test_namespaces_never_see_each_other(self, open_backend: OpenBackend) -> None:
        """T10: the same ids and keys under two namespaces are two of each, in every read and every write."""
        one, two = open_backend(), open_backend()
        for number, each in enumerate((one, two)):
            each.activity_storage().add(make_activity(id=5, extra_context={"number": number}))
            each.timeline_storage().add_many("key", [number, 5])
            each.kv_storage().upsert("key", number)
        for number, each in enumerate((one, two)):
            (activity,) = each.activity_storage().iterate()
            assert activity.extra_context == {"number": number}
            assert ids_of(each.timeline_storage().get_slice("key", 0, None)) == [5, number]
            assert each.kv_storage().fetch_one("key") == number
        one.activity_storage().remove(5)
        one.timeline_storage().remove("key", 5)
        one.timeline_storage().trim("key", 0)
        one.timeline_storage().delete("key")
        one.kv_storage().delete("key")
        assert two.activity_storage().get(5) is not None
        assert ids_of(two.timeline_storage().get_slice("key", 0, None)) == [5, 1]
        assert list(two.kv_storage().items()) == [("key", 1)]

    def test_namespaces_that_begin_alike(self, open_backend: OpenBackend) -> None:
        """T10, T15: a namespace that begins as another, or differs in case, - or _, is another."""
        base = open_backend()
        names = [f"n{base.namespace[-32:]}{end}" for end in ("", "1", "-", "_", "A", "a", "-1")]
        spaces = [base.with_namespace(name) for name in names]
        for number, space in enumerate(spaces):
            space.timeline_storage().add("key", number)
            space.kv_storage().upsert("key", number)
            space.activity_storage().add(make_activity(number))
        spaces[0].timeline_storage().flush()
        spaces[0].kv_storage().flush()
        spaces[0].activity_storage().flush()
        for number, space in enumerate(spaces[1:], 1):
            assert ids_of(space.timeline_storage().get_slice("key", 0, None)) == [number]
            assert list(space.kv_storage().items()) == [("key", number)]
            assert list(space.activity_storage().iterate()) == [make_activity(number)]

    def test_many_namespaces_are_cheap(self, backend: Backend) -> None:
        """Decision 14: a namespace is data; forty of them are nothing."""
        spaces = [backend.with_namespace(f"{backend.namespace[-32:]}-{number}") for number in range(40)]
        for number, space in enumerate(spaces):
            space.timeline_storage().add("key", number)
        counts = [ids_of(space.timeline_storage().get_slice("key", 0, None)) for space in spaces]
        assert counts == [[number] for number in range(40)]

    def test_namespaces_that_are_allowed(self, backend: Backend) -> None:
        """Decision 14: 1 to 48 of letters, digits, _ and -."""
        for namespace in ("a", "A", "0", "_", "-", "x" * 48, "--__--", "DROP", "null"):
            with naming(namespace):
                other = backend.with_namespace(namespace)
                assert other.namespace == namespace
                timelines, key = other.timeline_storage(), backend.namespace
                timelines.add(key, 1)
                assert timelines.count(key) == 1
                timelines.delete(key)

    def test_namespaces_that_are_refused(self, backend: Backend) -> None:
        """Decision 14: anything else is refused by name."""
        refused: dict[type[Exception], tuple[Any, ...]] = {
            ValueError: ("", "x" * 49, "a b", "a.b", "a:b", "ä", "a\n", "\0", "a/b", "%", "'"),
            TypeError: (None, 7, b"bytes"),
        }
        for error, names in refused.items():
            for name in names:
                with naming(name), pytest.raises(error, match="namespace"):
                    backend.with_namespace(name)

    def test_ping(self, backend: Backend) -> None:
        """Ping: a store that answers gives None."""
        ping: Any = backend.ping
        assert ping() is None

    @pytest.mark.parametrize("used", [False, True])
    def test_closing_twice_is_no_error(self, backend: Backend, used: bool) -> None:
        """Close: once or twice, before or after the first use."""
        if used:
            backend.ping()
        close: Any = backend.close
        assert close() is None
        assert backend.closed is True
        assert close() is None

    def test_a_backend_is_a_context_manager(self, open_backend: OpenBackend) -> None:
        """Close: the block's end closes, also by an exception; entering a closed one is refused."""
        backend = open_backend()
        assert backend.closed is False

        def fail_inside() -> None:
            with backend as entered:
                assert entered is backend
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail_inside()
        assert backend.closed is True
        with pytest.raises(BackendClosedError), backend:
            pass

    def test_every_use_after_close_is_one_clear_error(self, open_backend: OpenBackend) -> None:
        """Close: each public call of each storage raises BackendClosedError, with any arguments."""
        backend = open_backend()
        used, unused = (
            (each.activity_storage(), each.timeline_storage(), each.kv_storage(), each)
            for each in (backend, backend.with_namespace("unused"))
        )
        used[1].add("key", 1)
        backend.close()
        for storages in (used, unused):
            tables = (ACTIVITY_CALLS, TIMELINE_CALLS, KV_CALLS, BACKEND_CALLS)
            for storage, table in zip(storages, tables, strict=True):
                for name, arguments in table.items():
                    with pytest.raises(BackendClosedError, match="closed") as caught:
                        call(storage, name, arguments)
                    assert isinstance(caught.value, (FeedstoreError, ValueError)), name

    def test_even_a_use_for_nothing_after_close(self, backend: Backend) -> None:
        """Close: a call about no items is a use as any other."""
        activities, timelines = backend.activity_storage(), backend.timeline_storage()
        backend.close()
        uses: tuple[Callable[[], Any], ...] = (
            lambda: activities.add_many([]),
            lambda: activities.get_many([]),
            lambda: activities.remove_many([]),
            lambda: timelines.add_many("key", []),
            lambda: timelines.add_to_many([], [1]),
            lambda: timelines.remove_from_many(["key"], []),
            lambda: timelines.get_slice("key", 5, 5),
            lambda: timelines.get_slice("key", 5, 5, hydrate_from=activities),
            lambda: timelines.get_many_slices([], 0, 5),
        )
        for use in uses:
            with pytest.raises(BackendClosedError, match="closed"):
                use()

    def test_a_batch_that_outlives_its_backend(self, open_backend: OpenBackend) -> None:
        """Close: a batch raises at its end and sends none of its writes; entering another batch raises immediately."""
        backend = open_backend()
        batch = backend.batch()
        batch.__enter__()
        backend.timeline_storage().add("key", 1, batch_interface=batch)
        backend.close()
        with pytest.raises(BackendClosedError):
            batch.__exit__(None, None, None)
        with pytest.raises(BackendClosedError), backend.batch():
            pass

"""The contract of batches."""

from __future__ import annotations

from typing import Any

import pytest

from feedstore.errors import AtomicityError
from feedstore.storage import ActivityStorage, AtomicScope, Backend, Batch, KvStorage, TimelineStorage
from feedstore.storage.backend import backend_of
from feedstore.testing.samples import ids_of, make_activities, make_activity, with_id
from feedstore.testing.suite import OpenBackend, Suite, counted


class _StopError(Exception):
    """Exception that a test raises inside a batch."""


class BatchSuite(Suite):
    """Writes of several storages, queued and sent together."""

    def test_a_batch_spans_storages(
        self, backend: Backend, activities: ActivityStorage, timelines: TimelineStorage, kv: KvStorage
    ) -> None:
        """Decision 5: every write of any storage of the backend joins, and counts in ``results``, in order."""
        two = make_activities(2)
        with backend.batch() as batch:
            writes: list[Any] = [
                activities.add_many(two, batch_interface=batch),
                timelines.add_to_many(["a", "b"], two, max_length=1, batch_interface=batch),
                timelines.add("c", two[0], batch_interface=batch),
                timelines.add_many("c", two, batch_interface=batch),
                timelines.remove("c", two[0], batch_interface=batch),
                timelines.remove_from_many(["a", "c"], [two[1]], batch_interface=batch),
                timelines.trim("b", 0, batch_interface=batch),
                activities.remove(two[0], batch_interface=batch),
                activities.add(make_activity(7), batch_interface=batch),
            ]
            kv.upsert("key", 1)
            kv.upsert("key", 2, batch_interface=batch)
            timelines.delete("a", batch_interface=batch)
            kv.delete("other", batch_interface=batch)
        assert writes == [None] * 9
        counts = [2, 4, 1, 1, 1, 2, 1, 1, 1]
        assert batch.results[:9] == [counted(backend, number) for number in counts]
        assert batch.results[9:] == [None, None, None]
        assert list(activities.iterate()) == [two[1], make_activity(7)]
        assert list(timelines.keys()) == []
        assert kv.fetch_one("key") == 2

    def test_the_storages_of_a_batch_join_it(
        self, backend: Backend, activities: ActivityStorage, timelines: TimelineStorage, kv: KvStorage
    ) -> None:
        """Decision 5: writes of ``batch.activities``, ``batch.timelines`` and ``batch.kv(name)`` join."""
        with backend.batch() as batch:
            written: list[Any] = [
                batch.activities.add(make_activity(1)),
                batch.timelines.add_to_many(["a", "b"], [make_activity(1)]),
                batch.timelines.remove("b", make_activity(1)),
            ]
            batch.kv("default").upsert("key", 3)
            seen = [batch.activities.get(make_activity(1)), timelines.count("a"), list(batch.kv().items())]
        assert written == [None] * 3
        assert seen == [None, 0, []]
        assert batch.results == [*(counted(backend, number) for number in (1, 2, 1)), None]
        assert activities.get(make_activity(1)) == make_activity(1)
        assert (timelines.count("a"), timelines.count("b"), kv.fetch_one("key")) == (1, 0, 3)

    def test_a_storage_of_a_batch_that_has_ended(self, backend: Backend) -> None:
        """Decision 5: a write through a batch's storage raises before and after its block, instead of being lost."""
        batch = backend.batch()
        with pytest.raises(ValueError, match="batch"):
            batch.timelines.add("a", 1)
        with batch:
            bound = batch.timelines
        with pytest.raises(ValueError, match="batch"):
            bound.add("a", 1)

    def test_every_write_joins(
        self, backend: Backend, activities: ActivityStorage, timelines: TimelineStorage, kv: KvStorage
    ) -> None:
        """Decision 5: none of the writes reaches the store before the batch ends."""
        self._fill(activities, timelines, kv)
        before = self._state(activities, timelines, kv)
        with backend.batch() as batch:
            activities.add(make_activity(5), batch_interface=batch)
            activities.add_many([make_activity(6)], batch_interface=batch)
            activities.remove(make_activity(0), batch_interface=batch)
            activities.remove_many([make_activity(1)], batch_interface=batch)
            timelines.add("a", 5, batch_interface=batch)
            timelines.add_many("a", [6], batch_interface=batch)
            timelines.add_to_many(["a", "new"], [7], batch_interface=batch)
            timelines.remove("a", 0, batch_interface=batch)
            timelines.remove_many("a", [1], batch_interface=batch)
            timelines.remove_from_many(["a", "b"], [2], batch_interface=batch)
            timelines.trim("a", 3, batch_interface=batch)
            timelines.delete("b", batch_interface=batch)
            kv.upsert("key", 2, batch_interface=batch)
            kv.delete("gone", batch_interface=batch)
            assert len(batch) == 14
            assert self._state(activities, timelines, kv) == before
        expected = (
            [make_activity(2), make_activity(5), make_activity(6)],
            {"a": [7, 6, 5], "new": [7]},
            [("key", 2)],
        )
        assert self._state(activities, timelines, kv) == expected
        with backend.batch() as batch:
            for storage in (activities, timelines, kv):
                storage.flush(batch_interface=batch)
            assert self._state(activities, timelines, kv) == expected
        assert self._state(activities, timelines, kv) == ([], {}, [])

    @staticmethod
    def _fill(activities: ActivityStorage, timelines: TimelineStorage, kv: KvStorage) -> None:
        activities.add_many(make_activities(3))
        timelines.add_to_many(["a", "b"], [0, 1, 2])
        kv.upsert("key", 1)
        kv.upsert("gone", 1)

    @staticmethod
    def _state(activities: ActivityStorage, timelines: TimelineStorage, kv: KvStorage) -> tuple[Any, ...]:
        entries = {key: ids_of(timelines.get_slice(key, 0, None)) for key in sorted(timelines.keys())}
        return list(activities.iterate()), entries, list(kv.items())

    def test_writes_take_effect_in_their_order(self, payloads: TimelineStorage, kv: KvStorage) -> None:
        """Decision 5: a later write of a batch sees the earlier ones; the last one wins."""
        with payloads.get_batch_interface() as batch:
            payloads.add("key", with_id(5, "old"), batch_interface=batch)
            payloads.add_many("key", [with_id(5, "new"), with_id(6)], batch_interface=batch)
            payloads.trim("key", 1, batch_interface=batch)
            payloads.add("key", with_id(4), batch_interface=batch)
            kv.upsert("key", 1, batch_interface=batch)
            kv.delete("key", batch_interface=batch)
            kv.upsert("key", 2, batch_interface=batch)
            kv.upsert("other", 1, batch_interface=batch)
            kv.delete("other", batch_interface=batch)
        assert payloads.get_slice("key", 0, None) == [with_id(6), with_id(4)]
        assert batch.results[:4] == [counted(backend_of(payloads.session), number) for number in (1, 1, 1, 1)]
        assert list(kv.items()) == [("key", 2)]

    def test_items_are_serialized_at_the_call(self, activities: ActivityStorage, kv: KvStorage) -> None:
        """Decision 5: changing an argument between the call and the end of the batch does not change the write."""
        changing = make_activity(extra_context={"list": [1]})
        value = [1]
        with backend_of(activities.session).batch() as batch:
            activities.add(changing, batch_interface=batch)
            kv.upsert("key", value, batch_interface=batch)
            changing.stored_context["list"].append(2)
            value.append(2)
        found = activities.get(changing)
        assert found is not None
        assert found.extra_context == {"list": [1]}
        assert kv.fetch_one("key") == [1]

    @pytest.mark.parametrize("atomic", [False, True])
    def test_an_exception_inside_sends_nothing(
        self, backend: Backend, timelines: TimelineStorage, kv: KvStorage, atomic: bool
    ) -> None:
        """Decision 5: the exception comes out as it is, and nothing was written."""
        for error in (_StopError("stop"), KeyboardInterrupt()):
            batch = backend.batch(atomic=atomic)
            with pytest.raises(type(error)), batch:
                self._write_and_raise(batch, timelines, kv, error)
            assert batch.results == []
        assert list(timelines.keys()) == []
        assert list(kv.items()) == []

    @staticmethod
    def _write_and_raise(batch: Batch, timelines: TimelineStorage, kv: KvStorage, error: BaseException) -> None:
        timelines.add("key", 1, batch_interface=batch)
        kv.upsert("key", 1, batch_interface=batch)
        raise error

    def test_only_calls_that_are_given_it_join(self, timelines: TimelineStorage) -> None:
        """Decision 5: a call without ``batch_interface`` inside the block takes effect immediately."""
        with timelines.get_batch_interface() as batch:
            timelines.add("key", 1, batch_interface=batch)
            assert timelines.add("key", 2) == counted(backend_of(timelines.session), 1)
            assert ids_of(timelines.get_slice("key", 0, None)) == [2]
        assert ids_of(timelines.get_slice("key", 0, None)) == [2, 1]

    def test_an_empty_batch(self, backend: Backend) -> None:
        """Decision 5: nothing is sent, and there are no results."""
        with backend.batch() as batch:
            assert len(batch) == 0
        assert batch.results == []
        with backend.batch(atomic=backend.abilities.atomic_scope is not AtomicScope.NONE) as batch:
            pass
        assert batch.results == []

    def test_writes_of_no_items_count_0(
        self, backend: Backend, activities: ActivityStorage, timelines: TimelineStorage
    ) -> None:
        """T1: an empty write has its place among the results, and does nothing."""
        timelines.add_many("key", [1, 2, 3])
        with backend.batch() as batch:
            activities.add_many([], batch_interface=batch)
            activities.remove_many([], batch_interface=batch)
            timelines.add_many("key", [], batch_interface=batch)
            timelines.remove_many("key", [], batch_interface=batch)
            timelines.add_to_many(["key"], [], max_length=1, batch_interface=batch)
            timelines.add_to_many([], [1], batch_interface=batch)
            timelines.remove_from_many([], [1], batch_interface=batch)
            timelines.remove_from_many(["key"], [], batch_interface=batch)
            timelines.add("key", 4, batch_interface=batch)
        assert batch.results == [0] * 8 + [counted(backend, 1)]
        assert timelines.count("key") == 4

    def test_storages_of_one_namespace_share_a_batch(self, backend: Backend) -> None:
        """Decision 5: so do storages of ``with_namespace`` of the same name, which stand on the same store."""
        same = backend.with_namespace(backend.namespace)
        with same.batch() as batch:
            backend.timeline_storage().add("key", 1, batch_interface=batch)
            same.timeline_storage().add("key", 2, batch_interface=batch)
        assert backend.timeline_storage().count("key") == 2

    def test_a_large_batch(self, backend: Backend, timelines: TimelineStorage, kv: KvStorage) -> None:
        """Decision 5: a thousand writes are one batch."""
        with backend.batch() as batch:
            for number in range(600):
                timelines.add(f"key{number % 50}", number, batch_interface=batch)
                kv.upsert(f"{number:04}", number, batch_interface=batch)
        assert len(batch.results) == 1_200
        assert sum(timelines.count(f"key{number}") for number in range(50)) == 600
        assert list(kv.fetch_all()) == list(range(600))


class AtomicBatchSuite(Suite):
    """``batch(atomic=True)``: all or nothing, inside the backend's atomic scope."""

    def test_all_writes_happen(
        self, backend: Backend, activities: ActivityStorage, timelines: TimelineStorage, kv: KvStorage
    ) -> None:
        """Decision 5: with the scope of the whole backend, any writes go together, as without ``atomic``."""
        if backend.abilities.atomic_scope not in (AtomicScope.BACKEND, AtomicScope.EVENTUAL):
            pytest.skip("the backend's atomic scope is smaller than the backend")
        with backend.batch(atomic=True) as batch:
            activities.add_many(make_activities(3), batch_interface=batch)
            timelines.add_to_many(["a", "b"], [1, 2, 3], max_length=2, batch_interface=batch)
            timelines.remove_from_many(["a"], [3], batch_interface=batch)
            kv.upsert("key", 1, batch_interface=batch)
        assert batch.results == [*(counted(backend, number) for number in (3, 6, 1)), None]
        assert list(activities.iterate()) == make_activities(3)
        assert ids_of(timelines.get_slice("a", 0, None)) == [2]
        assert kv.fetch_one("key") == 1

    def test_keys_with_equal_braces_lie_together(self, backend: Backend) -> None:
        """T22: an atomic batch over them works also where the scope is a slot, with timelines and items of any name."""
        if backend.abilities.atomic_scope is AtomicScope.NONE:
            pytest.skip("the backend has no atomic scope")
        timelines, events = backend.timeline_storage(), backend.timeline_storage(name="events")
        items, flags = backend.kv_storage(), backend.kv_storage("flags")
        with backend.batch(atomic=True) as batch:
            timelines.add_to_many(["{bob}:home", "unseen:{bob}"], [1, 2], max_length=1, batch_interface=batch)
            events.add("{bob}", 3, batch_interface=batch)
            items.upsert("{bob}:name", "Bob", batch_interface=batch)
            flags.upsert("bob:{x}", 1, batch_interface=batch)
        assert batch.results == [*(counted(backend, number) for number in (4, 1)), None, None]
        assert [ids_of(timelines.get_slice(key, 0, 1)) for key in ("{bob}:home", "unseen:{bob}")] == [[2], [2]]
        assert ids_of(events.get_slice("{bob}", 0, None)) == [3]
        assert (items.fetch_one("{bob}:name"), flags.fetch_one("bob:{x}")) == ("Bob", 1)
        for one in (timelines, events):
            assert sorted(one.keys()) == (["{bob}"] if one is events else ["unseen:{bob}", "{bob}:home"])

    def test_beyond_the_scope_nothing_is_sent(
        self, backend: Backend, activities: ActivityStorage, timelines: TimelineStorage
    ) -> None:
        """Decision 5: an AtomicityError before the first write; without any scope, for the smallest batch."""
        if backend.abilities.atomic_scope is not AtomicScope.NONE:
            pytest.skip("the backend has an atomic scope")
        batch = backend.batch(atomic=True)
        batch.__enter__()
        activities.add(make_activity(), batch_interface=batch)
        timelines.add("key", 1, batch_interface=batch)
        with pytest.raises(AtomicityError):
            batch.__exit__(None, None, None)
        assert list(activities.iterate()) == []
        assert list(timelines.keys()) == []


class BatchArgumentSuite(Suite):
    """Writes and arguments that batches refuse."""

    def test_bad_input_is_refused_at_the_call(
        self, backend: Backend, activities: ActivityStorage, timelines: TimelineStorage, kv: KvStorage
    ) -> None:
        """T13: the call that was given bad input raises and queues nothing; the others are sent."""
        bad: Any = object()
        with backend.batch() as batch:
            activities.add(make_activity(), batch_interface=batch)
            with pytest.raises(TypeError):
                activities.add_many([make_activity(1), bad], batch_interface=batch)
            with pytest.raises(ValueError, match="empty"):
                timelines.add("", 1, batch_interface=batch)
            with pytest.raises(ValueError, match="length"):
                timelines.trim("key", -1, batch_interface=batch)
            with pytest.raises(TypeError):
                kv.upsert("key", bad, batch_interface=batch)
        assert batch.results == [counted(backend, 1)]
        assert list(activities.iterate()) == [make_activity()]

    def test_a_batch_is_used_once(self, backend: Backend, timelines: TimelineStorage) -> None:
        """Decision 5: writes before or after the block, and a second block, are refused, and change nothing."""
        batch = backend.batch()
        with pytest.raises(ValueError, match="batch"):
            timelines.add("key", 1, batch_interface=batch)
        with batch:
            timelines.add("key", 2, batch_interface=batch)
            with pytest.raises(ValueError, match="batch"):
                batch.__enter__()
        with pytest.raises(ValueError, match="batch"):
            timelines.add("key", 3, batch_interface=batch)
        with pytest.raises(ValueError, match="batch"):
            batch.__enter__()
        assert ids_of(timelines.get_slice("key", 0, None)) == [2]

    def test_another_backend_s_batch_is_refused(
        self, open_backend: OpenBackend, backend: Backend, timelines: TimelineStorage, kv: KvStorage
    ) -> None:
        """Decision 5: another namespace's batch is a ValueError at the call, and nothing is queued."""
        for other in (open_backend(), backend.with_namespace("elsewhere")):
            with other.batch() as batch:
                with pytest.raises(ValueError, match="batch"):
                    timelines.add("key", 1, batch_interface=batch)
                with pytest.raises(ValueError, match="batch"):
                    kv.flush(batch_interface=batch)
                assert len(batch) == 0
        assert list(timelines.keys()) == []

    def test_what_is_no_batch_is_refused(self, activities: ActivityStorage, timelines: TimelineStorage) -> None:
        """T5: a TypeError names the argument, and nothing is written."""
        refused: Any
        for refused in (object(), "batch", timelines, True, 0):
            with pytest.raises(TypeError, match="batch_interface"):
                timelines.add("key", 1, batch_interface=refused)
            with pytest.raises(TypeError, match="batch_interface"):
                activities.add_many([], batch_interface=refused)
        assert list(timelines.keys()) == []

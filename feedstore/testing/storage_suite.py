"""The contract that activity and timeline storages share: options, serializer, ids, metrics, the ancestors' names."""

from __future__ import annotations

from typing import Any

import pytest

from feedstore.activity import Activity, ActivityRef
from feedstore.aggregated import AggregatedActivity
from feedstore.errors import InvalidTypeError, InvalidValueError, StoredDataError
from feedstore.metrics import Metrics
from feedstore.serializers import (
    JsonSerializer,
    MsgpackSerializer,
    TimelineReferenceSerializer,
)
from feedstore.storage import (
    ActivityStorage,
    Backend,
    KvStorage,
    Storage,
    TimelineStorage,
)
from feedstore.testing.calls import ACTIVITY_CALLS, KV_CALLS, TIMELINE_CALLS, WRITES, call
from feedstore.testing.recording import RecordingMetrics
from feedstore.testing.samples import forms_of, make_activities, make_activity, with_id
from feedstore.testing.suite import Suite


class SpecialActivity(Activity):
    """An application's own class of activities."""

    __slots__ = ()


class StorageSuite(Suite):
    """Options, serializers and attributes of every storage."""

    def test_base_classes_and_default_serializers(
        self, activities: ActivityStorage, timelines: TimelineStorage
    ) -> None:
        """Face: storages derive from the contracts' classes and have their default serializers."""
        assert isinstance(activities, ActivityStorage)
        assert isinstance(timelines, TimelineStorage)
        assert isinstance(activities, Storage)
        assert isinstance(timelines, Storage)
        assert timelines.default_serializer_class is TimelineReferenceSerializer
        assert activities.default_serializer_class is MsgpackSerializer
        for storage in (activities, timelines):
            assert storage.activity_class is Activity
            assert storage.aggregated_activity_class is AggregatedActivity
            assert isinstance(storage.metrics, Metrics)
            assert isinstance(storage.serializer, storage.default_serializer_class)
            assert storage.serializer is storage.serializer

    def test_ids_of_activities(self, activities: ActivityStorage, timelines: TimelineStorage) -> None:
        """T2: ``activity_to_id`` and ``activities_to_ids`` take every form, and keep order and duplicates."""
        given = make_activity()
        for storage in (activities, timelines):
            for form in forms_of(given):
                found = storage.activity_to_id(form)
                assert found == given.serialization_id
                assert type(found) is int
            assert storage.activities_to_ids([7, given, 7, 0]) == [7, given.serialization_id, 7, 0]
            assert storage.activities_to_ids(iter([1])) == [1]

    def test_serializing_by_hand(self, activities: ActivityStorage, timelines: TimelineStorage) -> None:
        """Face: the serialized form of activities can be obtained, and read again."""
        given = make_activities(2)
        serialized = activities.serialize_activities([*given, given[0]])
        assert list(serialized) == [one.serialization_id for one in given]
        assert serialized[given[0].serialization_id] == activities.serialize_activity(given[0])
        assert activities.deserialize_activities(serialized) == given
        assert activities.deserialize_activities(list(serialized.items())[::-1]) == given[::-1]
        assert timelines.serialize_activity(given[0]) == b""
        assert timelines.deserialize_activities({7: b""}) == [ActivityRef(7)]
        for storage in (activities, timelines):
            assert storage.deserialize_activities(None) == storage.deserialize_activities([]) == []

    def test_deserializing_what_is_no_entry(self, activities: ActivityStorage, timelines: TimelineStorage) -> None:
        """Face: bytes without their id are refused, also where two bytes could be mistaken for an id and its bytes."""
        data = activities.serialize_activity(make_activity())
        for storage in (activities, timelines):
            wrong: list[Any] = [
                [data],
                [b"ab"],
                ["ab"],
                [bytearray(2)],
                [1, 2],
                [(1,)],
                [(1, data, 2)],
                [None],
                b"ab",
                7,
            ]
            for given in [*wrong, [(True, data)], [(-1, data)], [(2**128, data)], {1.5: data}, {None: data}]:
                with pytest.raises((InvalidTypeError, InvalidValueError)):
                    storage.deserialize_activities(given)
        for damaged in (None, 7, "text", bytearray(data)):
            with pytest.raises(StoredDataError, match="0000-000000000007"):
                activities.deserialize_activities([(7, damaged)])  # type: ignore[list-item]

    def test_options(self, backend: Backend) -> None:
        """Face: each option has its documented effect, on either storage."""
        metrics = RecordingMetrics()
        for make in (backend.activity_storage, backend.timeline_storage):
            storage = make(JsonSerializer, SpecialActivity, metrics=metrics, aggregated_activity_class=dict)
            assert type(storage.serializer) is JsonSerializer
            assert storage.activity_class is SpecialActivity
            assert storage.aggregated_activity_class is dict
            assert storage.metrics is metrics
            assert storage.serializer.activity_class is SpecialActivity
            assert storage.serializer.aggregated_activity_class is dict
            by_name = make(serializer_class=JsonSerializer, activity_class=SpecialActivity)
            assert type(by_name.serializer) is JsonSerializer

    def test_an_activity_class_of_one_s_own(self, backend: Backend) -> None:
        """Face: activities come back as the storage's class, and others are refused."""
        storage = backend.activity_storage(activity_class=SpecialActivity)
        given = SpecialActivity("ann", "like", "photo:7", time=make_activity().time)
        storage.add(given)
        assert type(storage.get(given)) is SpecialActivity
        assert storage.get(given) == given
        with pytest.raises(TypeError, match="SpecialActivity"):
            storage.add(make_activity())
        hydrated = backend.timeline_storage()
        hydrated.add("key", given)
        assert hydrated.get_slice("key", 0, 5, hydrate_from=storage) == [given]

    def test_an_unknown_option_is_refused(self, backend: Backend) -> None:
        """T5: a TypeError names the option."""
        for make in (backend.activity_storage, backend.timeline_storage):
            with pytest.raises(TypeError, match="colour"):
                make(colour="red")
        factory: Any = backend.kv_storage
        with pytest.raises(TypeError, match="colour"):
            factory(colour="red")

    def test_a_serializer_that_is_none_is_refused(self, backend: Backend) -> None:
        """T5: a serializer class is a subclass of Serializer: no instance, no other class, no name."""
        refused: Any
        for refused in (MsgpackSerializer(), dict, "msgpack", 7):
            for make in (backend.activity_storage, backend.timeline_storage):
                with pytest.raises(TypeError, match="serializer_class"):
                    make(serializer_class=refused)

    def test_an_unknown_keyword_is_a_type_error(
        self, activities: ActivityStorage, timelines: TimelineStorage, kv: KvStorage
    ) -> None:
        """T5: no public call takes an argument that it does not honour; nothing is written."""
        tables = ((activities, ACTIVITY_CALLS), (timelines, TIMELINE_CALLS), (kv, KV_CALLS))
        for storage, table in tables:
            for name, arguments in table.items():
                with pytest.raises(TypeError, match="colour"):
                    call(storage, name, arguments, colour="red")
                if name not in WRITES:
                    with pytest.raises(TypeError, match="batch_interface"):
                        call(storage, name, arguments, batch_interface=None)
        assert list(activities.iterate()) == []
        assert list(timelines.keys()) == []
        assert list(kv.items()) == []

    def test_a_batch_is_given_by_name(
        self, activities: ActivityStorage, timelines: TimelineStorage, kv: KvStorage
    ) -> None:
        """T5: every write takes ``batch_interface=``, and by that name alone."""
        for storage, table in ((activities, ACTIVITY_CALLS), (timelines, TIMELINE_CALLS), (kv, KV_CALLS)):
            for name in WRITES & set(table):
                with pytest.raises(TypeError):
                    call(storage, name, (*table[name], None))
                call(storage, name, table[name], batch_interface=None)


class MetricsSuite(Suite):
    """Metrics hooks: once a public call, with how many items it was about."""

    def test_each_call_of_an_activity_storage_is_told_once(self, backend: Backend) -> None:
        """Metrics: writes and removals report the distinct items of their arguments, reads the returned items."""
        metrics = RecordingMetrics()
        storage = backend.activity_storage(metrics=metrics)
        kind = type(storage)
        given = make_activities(3)
        for make_call, expected in (
            (lambda: storage.add(given[0]), ("write", kind, 1)),
            (lambda: storage.add_many([*given, given[0]]), ("write", kind, 3)),
            (lambda: storage.add_many([]), ("write", kind, 0)),
            (lambda: storage.get(given[0]), ("read", kind, 1)),
            (lambda: storage.get(7), ("read", kind, 0)),
            (lambda: storage.get_many([*given, 7]), ("read", kind, 3)),
            (lambda: storage.remove(given[0]), ("remove", kind, 1)),
            (lambda: storage.remove_many([given[1], given[1], given[2], 7]), ("remove", kind, 3)),
        ):
            make_call()
            assert metrics.take() == [expected]

    def test_each_call_of_a_timeline_storage_is_told_once(self, backend: Backend) -> None:
        """Metrics: the same for one timeline."""
        metrics = RecordingMetrics()
        storage = backend.timeline_storage(metrics=metrics)
        kind = type(storage)
        for make_call, expected in (
            (lambda: storage.add("key", 1), ("write", kind, 1)),
            (lambda: storage.add_many("key", [1, 2, 3, 1]), ("write", kind, 3)),
            (lambda: storage.get_slice("key", 0, 2), ("read", kind, 2)),
            (lambda: storage.get_slice("missing", 0, 2), ("read", kind, 0)),
            (lambda: storage.get_slice("key", 2, 2), ("read", kind, 0)),
            (lambda: storage.get_page("key", 2), ("read", kind, 2)),
            (lambda: storage.get_many_slices(["key", "missing"], 0, 2), ("read", kind, 2)),
            (lambda: storage.index_of("key", 1), ("read", kind, 1)),
            (lambda: storage.remove("key", 1), ("remove", kind, 1)),
            (lambda: storage.remove_many("key", [1, 2, 2]), ("remove", kind, 2)),
        ):
            make_call()
            assert metrics.take() == [expected]

    def test_a_hydrated_read_is_one_read(self, backend: Backend) -> None:
        """Metrics: the timeline storage reports a hydrated read once, for any number of requests."""
        metrics = RecordingMetrics()
        timelines, activities = backend.timeline_storage(metrics=metrics), backend.activity_storage(metrics=metrics)
        activities.add_many([with_id(1), with_id(2)])
        timelines.add_many("key", [1, 2])
        metrics.take()
        timelines.get_slice("key", 0, 5, hydrate_from=activities)
        timelines.get_page("key", 5, hydrate_from=activities)
        timelines.get_many_slices(["key"], 0, 5, hydrate_from=activities)
        assert metrics.take() == [("read", type(timelines), 2)] * 3

    def test_a_fan_out_is_timed_and_reported_once(self, backend: Backend) -> None:
        """Metrics: with the activities that it was given, however many the timelines."""
        metrics = RecordingMetrics()
        storage = backend.timeline_storage(metrics=metrics)
        kind = type(storage)
        storage.add_to_many(["a", "b", "c"], [1, 2, 1], max_length=1)
        assert (metrics.take(), metrics.take_timed()) == ([("add_to_many", kind, 2)], [("add_to_many", kind)])
        storage.add_to_each({"a": [3], "b": [4, 5]})
        assert (metrics.take(), metrics.take_timed()) == ([("add_to_each", kind, 3)], [("add_to_each", kind)])
        storage.remove_from_many(["a", "b"], [1, 1])
        assert (metrics.take(), metrics.take_timed()) == ([("remove_from_many", kind, 1)], [("remove_from_many", kind)])

    def test_a_timer_is_open_while_the_store_works(self, backend: Backend) -> None:
        """Metrics: each read and write is timed, and the timer is closed when the count is reported."""
        opened: list[int] = []

        class Checking(RecordingMetrics):
            def on_storage_read(self, storage_class: type, activities_count: int) -> None:
                opened.append(self.open_timers)

            on_storage_write = on_storage_remove = on_storage_read

        metrics = Checking()
        timelines, activities = backend.timeline_storage(metrics=metrics), backend.activity_storage(metrics=metrics)
        of_timelines, of_activities = type(timelines), type(activities)
        for make_call, expected in (
            (lambda: activities.add(with_id(1)), [("write", of_activities)]),
            (lambda: activities.get(1), [("read", of_activities)]),
            (lambda: timelines.add("key", 1), [("write", of_timelines)]),
            (lambda: timelines.get_slice("key", 0, 5), [("read", of_timelines)]),
            (lambda: timelines.get_page("key", 5), [("read", of_timelines)]),
            (lambda: timelines.get_many_slices(["key"], 0, 5), [("read", of_timelines)]),
            (lambda: timelines.get_many_pages(["key"], 5), [("read", of_timelines)]),
            (lambda: timelines.get_merged_page(["key"], 5), [("read", of_timelines)]),
            (lambda: timelines.index_of("key", 1), [("read", of_timelines)]),
            (lambda: timelines.remove("key", 1), [("remove", of_timelines)]),
            (lambda: activities.remove(1), [("remove", of_activities)]),
        ):
            make_call()
            assert metrics.take_timed() == expected
        assert opened == [0] * 11
        assert metrics.open_timers == 0

    def test_a_refused_call_is_not_told(self, backend: Backend) -> None:
        """Metrics: bad input is no read and no write."""
        metrics = RecordingMetrics()
        timelines, activities = backend.timeline_storage(metrics=metrics), backend.activity_storage(metrics=metrics)
        bad: Any = object()
        for refused in (
            lambda: timelines.add("", 1),
            lambda: timelines.add("key", bad),
            lambda: timelines.get_slice("key", -1, 5),
            lambda: timelines.remove_many("key", bad),
            lambda: activities.add(bad),
            lambda: activities.get_many(bad),
        ):
            with pytest.raises((TypeError, ValueError)):
                refused()
        assert metrics.take() == []

    def test_metrics_hear_after_the_store_has_answered(self, backend: Backend) -> None:
        """Metrics: a hook runs after the reported write has happened."""
        timelines = backend.timeline_storage()
        seen: list[int] = []

        class Looking(Metrics):
            def on_storage_write(self, storage_class: type, activities_count: int) -> None:
                seen.append(timelines.count("key"))

            def on_storage_remove(self, storage_class: type, activities_count: int) -> None:
                seen.append(timelines.count("key"))

        storage = backend.timeline_storage(metrics=Looking())
        storage.add_many("key", [1, 2])
        storage.remove("key", 1)
        assert seen == [2, 1]

    def test_a_batch_is_counted_once_it_is_committed(self, backend: Backend) -> None:
        """Metrics: the writes of a batch are reported after its commit, in order."""
        metrics = RecordingMetrics()
        timelines, activities = backend.timeline_storage(metrics=metrics), backend.activity_storage(metrics=metrics)
        # A batch's commit is timed by the backend's metrics, and its writes are not timed separately.
        backend.session.metrics = metrics
        with backend.batch() as batch:
            activities.add(with_id(1), batch_interface=batch)
            timelines.add("key", 1, batch_interface=batch)
            timelines.remove("key", 2, batch_interface=batch)
            assert metrics.take() == []
        assert metrics.take_timed() == [("batch", type(backend))]
        assert metrics.take() == [
            ("write", type(activities), 1),
            ("write", type(timelines), 1),
            ("remove", type(timelines), 1),
        ]

    def test_a_batch_that_raises_is_not_counted(self, backend: Backend) -> None:
        """Metrics: writes that were not stored are not reported."""
        metrics = RecordingMetrics()
        timelines = backend.timeline_storage(metrics=metrics)
        batch = backend.batch()
        with batch:
            timelines.add("key", 1, batch_interface=batch)
            timelines.add_to_many(["key"], [1], batch_interface=batch)
            # An exception inside the block drops the writes.
            batch.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
        assert metrics.take() == []

    def test_the_backend_s_metrics_are_the_default(self, backend: Backend) -> None:
        """Metrics: a storage without its own metrics reports to the backend's."""
        assert backend.activity_storage().metrics is backend.metrics
        assert backend.timeline_storage().metrics is backend.metrics

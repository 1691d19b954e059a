"""Every class, method and argument of stream_framework's storage package exists here, under the name it had."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from feedstore import connect
from feedstore.activity import Activity
from feedstore.aggregated import AggregatedActivity
from feedstore.backends.memory import InMemoryKvStorage
from feedstore.compat import eric_sse, stream_framework
from feedstore.compat.stream_framework import (
    BaseActivityStorage,
    BaseStorage,
    BaseTimelineStorage,
    DummySerializer,
    InMemoryActivityStorage,
    InMemoryTimelineStorage,
    SimpleTimelineSerializer,
    compare,
    reverse_bisect_left,
)
from feedstore.metrics import Metrics
from feedstore.serializers import Serializer, TimelineReferenceSerializer
from feedstore.storage import ActivityStorage, Storage, TimelineStorage
from seed_names import SeedMethod, seed_methods

STORAGE = {
    "activities_to_ids": ["activities_or_ids"],
    "activity_to_id": ["activity"],
    "deserialize_activities": ["serialized_activities"],
    "flush": [],
    "serialize_activities": ["activities"],
    "serialize_activity": ["activity"],
}
ACTIVITY_STORAGE = {
    **STORAGE,
    "add": ["activity"],
    "add_many": ["activities"],
    "add_to_storage": ["serialized_activities"],
    "get": ["activity_id"],
    "get_from_storage": ["activity_ids"],
    "get_many": ["activity_ids"],
    "remove": ["activity"],
    "remove_from_storage": ["activity_ids"],
    "remove_many": ["activities"],
}
TIMELINE_STORAGE = {
    **STORAGE,
    "add": ["key", "activity"],
    "add_many": ["key", "activities"],
    "add_to_storage": ["key", "serialized_activities"],
    "contains": ["key", "activity_id"],
    "count": ["key"],
    "delete": ["key"],
    "get_batch_interface": [],
    "get_index_of": ["key", "activity_id"],
    "get_slice": ["key", "start", "stop", "filter_kwargs", "ordering_args"],
    "get_slice_from_storage": ["key", "start", "stop", "filter_kwargs", "ordering_args"],
    "index_of": ["key", "activity_or_id"],
    "remove": ["key", "activity"],
    "remove_from_storage": ["key", "serialized_activities"],
    "remove_many": ["key", "activities"],
    "trim": ["key", "length"],
}
CLASSES: list[tuple[type[Any], dict[str, list[str]]]] = [
    (BaseStorage, STORAGE),
    (BaseActivityStorage, ACTIVITY_STORAGE),
    (BaseTimelineStorage, TIMELINE_STORAGE),
    (InMemoryActivityStorage, ACTIVITY_STORAGE),
    (InMemoryTimelineStorage, TIMELINE_STORAGE),
]


@pytest.mark.parametrize("method", seed_methods(CLASSES), ids=str)
def test_a_method_takes_the_arguments_it_had(method: SeedMethod) -> None:
    method.check()


@pytest.mark.parametrize("owner", [InMemoryActivityStorage, InMemoryTimelineStorage])
def test_a_storage_stands_on_its_own(owner: Any) -> None:
    storage = owner(serializer_class=None, activity_class=None)
    assert isinstance(storage, BaseStorage)
    assert isinstance(storage.metrics, Metrics)
    assert isinstance(storage.serializer, Serializer)
    assert storage.serializer is storage.serializer
    assert storage.activity_class is Activity
    assert storage.aggregated_activity_class is AggregatedActivity
    with pytest.raises(TypeError, match="redis_server"):
        owner(redis_server="default")


def test_the_default_serializers() -> None:
    assert BaseStorage.default_serializer_class is DummySerializer
    assert BaseTimelineStorage.default_serializer_class is SimpleTimelineSerializer


def test_the_storage_package_s_example() -> None:
    activities = [Activity("ann", "like", f"photo:{number}") for number in range(5)]
    storage = InMemoryActivityStorage()
    storage.add_many(activities)
    assert storage.get_many([activity.serialization_id for activity in activities]) == activities
    timelines = InMemoryTimelineStorage()
    timelines.add_many("key", activities)
    assert timelines.get_slice("key", 0, 2) == [activities[4].reference, activities[3].reference]
    timelines.remove_many("key", activities)
    assert timelines.count("key") == 0


def test_the_batch_interface_is_a_context_manager() -> None:
    with connect("memory://") as backend:
        timelines = backend.timeline_storage()
        with timelines.get_batch_interface() as batch:
            timelines.add("key", Activity("ann", "like", "photo:7"), batch_interface=batch)
        assert timelines.count("key") == 1


def test_the_memory_module_s_helpers() -> None:
    assert list(inspect.signature(reverse_bisect_left).parameters) == ["a", "x", "lo", "hi"]
    assert reverse_bisect_left([9, 7, 5], 6) == 2
    assert compare(1, 2) == -1


@pytest.mark.parametrize("module", [stream_framework, eric_sse])
def test_every_name_of_compat_is_listed(module: Any) -> None:
    assert sorted(module.__all__) == module.__all__
    assert all(hasattr(module, name) for name in module.__all__)


def test_aliases_are_the_classes_themselves() -> None:
    assert eric_sse.InMemoryStorage is InMemoryKvStorage
    assert (BaseStorage, BaseActivityStorage, BaseTimelineStorage) == (Storage, ActivityStorage, TimelineStorage)
    assert SimpleTimelineSerializer is TimelineReferenceSerializer

"""Storages made by hand, without a backend's factories."""

from __future__ import annotations

from typing import Any

import pytest
from dict_backend import DictActivityStorage, DictBackend, DictKvStorage, DictTimelineStorage

from feedstore import Activity, ActivityRef, connect
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.metrics import Metrics
from feedstore.serializers import JsonSerializer
from feedstore.storage import ActivityStorage, KvStorage, Storage, TimelineStorage
from feedstore.storage.session import Session
from feedstore.testing.samples import make_activity

LIKE = make_activity()


@pytest.mark.parametrize("kind", [DictActivityStorage, DictTimelineStorage])
def test_a_storage_needs_its_backend(kind: Any) -> None:
    with pytest.raises(InvalidTypeError, match=r"backend=connect\(url\)"):
        kind()
    backend = DictBackend()
    for refused in ("dict://", 7, DictBackend, backend.kv_storage(), backend.batch(), backend.notifier()):
        with pytest.raises(InvalidTypeError, match="backend must be the result"):
            kind(backend=refused)


def test_a_storage_made_by_hand_is_one_of_the_factory_s() -> None:
    with DictBackend() as backend:
        by_hand = DictActivityStorage(JsonSerializer, backend=backend)
        by_hand.add(make_activity())
        assert backend.activity_storage(JsonSerializer).get(make_activity()) == make_activity()
        DictKvStorage(backend=backend).upsert("key", 1)
        assert backend.kv_storage().fetch_one("key") == 1
        with pytest.raises(InvalidTypeError, match="backend"):
            DictKvStorage(backend="dict://")


@pytest.mark.parametrize("refused", [dict, object, "Activity", ActivityRef, Activity("a", "b", "c")])
def test_a_class_that_is_no_activity_is_refused(refused: Any) -> None:
    with DictBackend() as backend:
        for make in (backend.activity_storage, backend.timeline_storage):
            with pytest.raises(InvalidTypeError, match=r"activity_class must be feedstore\.Activity or a subclass"):
                make(activity_class=refused)


def test_the_classes_have_metrics() -> None:
    for kind in (Storage, ActivityStorage, TimelineStorage, DictActivityStorage):
        assert type(kind.metrics) is Metrics


@pytest.mark.parametrize("kind", [Storage, ActivityStorage, TimelineStorage, KvStorage, Session])
def test_the_contracts_are_abstract(kind: Any) -> None:
    with pytest.raises(TypeError, match="abstract"):
        kind()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda backend: backend.activity_storage().add([LIKE]), "add_many"),
        (lambda backend: backend.activity_storage().get([5]), "_many"),
        (lambda backend: backend.timeline_storage().add("key", [LIKE]), "_many"),
        (lambda backend: backend.timeline_storage().add(LIKE, "key"), "the key comes first"),
        (lambda backend: backend.timeline_storage().add_many(LIKE, ["key"]), "the key comes first"),
        (lambda backend: backend.timeline_storage().remove(LIKE.reference, "key"), "the key comes first"),
        (lambda backend: backend.timeline_storage().get_page("key", 0), "limit is 0; it must be 1 or more$"),
        (lambda backend: backend.timeline_storage().get_page("key", -1), "limit is -1; it must be 1 or more$"),
        (lambda backend: backend.activity_storage(foo=1), "no option 'foo'.*serializer_class, activity_class, aggr"),
        (lambda backend: backend.timeline_storage(foo=1), "no option 'foo'.*metrics, notifier$"),
        (lambda backend: backend.queue(foo=0), "no option 'foo'.*visibility_timeout, max_length, when_full$"),
    ],
)
def test_an_error_says_what_was_meant(call: Any, message: str) -> None:
    with connect("memory://") as backend, pytest.raises((InvalidTypeError, InvalidValueError), match=message):
        call(backend)


class CountingSerializer(JsonSerializer):
    """Counts the activities that it serializes."""

    count = 0

    def dumps(self, activity: Any) -> bytes:
        type(self).count += 1
        return super().dumps(activity)


def test_add_to_each_serializes_each_activity_once() -> None:
    with DictBackend() as backend:
        timelines = backend.timeline_storage(CountingSerializer)
        older, newer = make_activity(1), make_activity(2)
        CountingSerializer.count = 0
        deliveries = {"feed:bob": [older, newer], "feed:eve": iter([newer, newer]), "feed:dan": [older]}
        assert timelines.add_to_each(deliveries) == 4
        assert CountingSerializer.count == 2
        assert timelines.get_slice("feed:bob", 0, 9) == [newer, older]
        assert timelines.get_slice("feed:eve", 0, 9) == [newer]


def test_of_two_activities_with_one_id_each_timeline_of_a_call_keeps_its_own() -> None:
    with DictBackend() as backend:
        timelines = backend.timeline_storage(JsonSerializer)
        like = make_activity()
        edited = Activity(like.actor, like.verb, like.object, like.target, like.time, {"edited": True}, id=like.id)
        timelines.add_to_each({"feed:bob": [like], "feed:eve": [edited], "feed:dan": [like, edited]})
        assert timelines.get_slice("feed:bob", 0, 9) == [like]
        assert timelines.get_slice("feed:eve", 0, 9) == [edited]
        assert timelines.get_slice("feed:dan", 0, 9) == [edited]

"""The contract between storages and serializers: formats, damage, identity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from feedstore.errors import StoredDataError
from feedstore.ids import id_to_text
from feedstore.serializers import DummySerializer, JsonSerializer, MsgpackSerializer, Serializer
from feedstore.serializers.pickle import PickleSerializer
from feedstore.storage import Backend, KvStorage
from feedstore.testing.samples import START, make_activities, make_activity, with_id
from feedstore.testing.suite import Suite, naming

GOLDEN_MSGPACK = bytes.fromhex("1195a3616e6ea46c696b65a770686f746f3a37c0cf0006474846204000")
GOLDEN_JSON = b'!{"actor":"ann","verb":"like","object":"photo:7","time":1767225600000000}'
GOLDEN_VALUE = bytes.fromhex("0192a3616e6e07")
DAMAGED = (b"", b"\x00", b"\x11", b"\x11\xc1", b"\x11\x90", b"\x11\x95\xa3", b"\x21{", b"\x12", b"\xff" * 40)


class HomemadeSerializer(Serializer):
    """Custom serializer that raises its own exceptions for some objects and bytes."""

    def dumps(self, activity: Any) -> bytes:
        """Return the object of the activity as text, refusing one that is called unstorable."""
        if activity.object == "unstorable":
            raise ZeroDivisionError("unstorable")
        return str(activity.object).encode()

    def loads(self, data: bytes, activity_id: int) -> Any:
        """Return the id and the text."""
        if data == b"unreadable":
            raise ZeroDivisionError("unreadable")
        return activity_id, data.decode()


class SerializerSuite(Suite):
    """Stored bytes, and errors for bytes that cannot be decoded."""

    @pytest.mark.parametrize("serializer_class", [MsgpackSerializer, JsonSerializer, PickleSerializer])
    def test_activities_come_back(self, backend: Backend, serializer_class: type[Serializer]) -> None:
        """T1: through each serializer, beside a timeline's ids and in the activity storage."""
        given = [*make_activities(2), make_activity(2, target=7, foreign_id="row", extra_context={"list": [1.5, None]})]
        timelines = backend.timeline_storage(serializer_class=serializer_class)
        activities = backend.activity_storage(serializer_class=serializer_class)
        timelines.add_many("key", given)
        activities.add_many(given)
        assert timelines.get_slice("key", 0, None) == given[::-1]
        assert activities.get_many(given) == given

    def test_formats_of_earlier_releases_are_read(self, backend: Backend, kv: KvStorage) -> None:
        """Decision 8: bytes that are stored today are read by every later release."""
        expected = make_activity(id=7).restore(7, "ann", "like", "photo:7", None, START, {}, None)
        for serializer_class, golden in ((MsgpackSerializer, GOLDEN_MSGPACK), (JsonSerializer, GOLDEN_JSON)):
            activities = backend.activity_storage(serializer_class=serializer_class)
            timelines = backend.timeline_storage(serializer_class=serializer_class)
            activities.add_to_storage({7: golden})
            timelines.add_to_storage("key", {7: golden})
            assert activities.get(7) == expected
            assert timelines.get_slice("key", 0, 1) == [expected]
        kv._upsert("key", GOLDEN_VALUE)
        assert kv.fetch_one("key") == ["ann", 7]

    def test_bytes_of_another_serializer_are_refused(self, backend: Backend) -> None:
        """T14: damage raises an error that names the id, and never reads as absent; undamaged data stays readable."""
        backend.activity_storage(serializer_class=JsonSerializer).add(with_id(5))
        backend.timeline_storage(serializer_class=JsonSerializer).add("key", with_id(5))
        activities = backend.activity_storage()
        timelines = backend.timeline_storage(serializer_class=MsgpackSerializer)
        activities.add(with_id(6))
        timelines.add("key", with_id(6))
        for read in (
            lambda: activities.get(5),
            lambda: activities.get_many([6, 5]),
            lambda: list(activities.iterate()),
            lambda: timelines.get_slice("key", 0, None),
            lambda: timelines.get_page("key", 5),
            lambda: timelines.get_many_slices(["other", "key"], 0, None),
        ):
            with pytest.raises(StoredDataError, match=id_to_text(5)):
                read()
        assert activities.get(6) == with_id(6)
        assert timelines.get_slice("key", 0, 1) == [with_id(6)]
        assert timelines.contains("key", 5) is True

    def test_damaged_bytes_are_refused(self, backend: Backend) -> None:
        """T14: for every kind of damage, the error names the id; removing and replacing still work."""
        damaged = dict(enumerate(DAMAGED, 5))
        for serializer_class in (MsgpackSerializer, JsonSerializer, PickleSerializer):
            activities = backend.activity_storage(serializer_class=serializer_class)
            timelines = backend.timeline_storage(serializer_class=serializer_class)
            activities.add_to_storage(damaged)
            timelines.add_to_storage("key", damaged)
            for position, activity_id in enumerate(sorted(damaged, reverse=True)):
                with naming(serializer_class, damaged[activity_id]):
                    with pytest.raises(StoredDataError, match=id_to_text(activity_id)):
                        activities.get(activity_id)
                    with pytest.raises(StoredDataError, match=id_to_text(activity_id)):
                        timelines.get_slice("key", position, position + 1)
            sound = [with_id(activity_id) for activity_id in damaged]
            activities.add_many(sound)
            timelines.remove_many("key", sound)
            assert activities.get_many(sound) == sound
            assert timelines.get_slice("key", 0, None) == []

    def test_a_serializer_of_one_s_own(self, backend: Backend) -> None:
        """T13, T14: its errors on writing come out and nothing is written; on reading they name the id."""
        timelines = backend.timeline_storage(serializer_class=HomemadeSerializer)
        unstorable = make_activity().restore(9, "ann", "like", "unstorable", None, START, {}, None)
        unreadable = make_activity().restore(8, "ann", "like", "unreadable", None, START, {}, None)
        with pytest.raises(ZeroDivisionError):
            timelines.add_many("key", [with_id(5), unstorable])
        assert timelines.count("key") == 0
        timelines.add_many("key", [with_id(5), unreadable])
        with pytest.raises(StoredDataError, match=id_to_text(8)) as caught:
            timelines.get_slice("key", 0, 5)
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        assert timelines.get_slice("key", 1, 2) == [(5, "photo:0")]

    def test_the_dummy_serializer(self, backend: Backend) -> None:
        """Dummy: a store of objects keeps the very object; a store of bytes refuses it by name, writing nothing.

        Which of the two a store is shows when it is tried: no ability says so, for nothing else depends on it.
        """
        activities = backend.activity_storage(serializer_class=DummySerializer)
        timelines = backend.timeline_storage(serializer_class=DummySerializer)
        given = make_activity()
        if self._keeps_objects(backend):
            activities.add(given)
            timelines.add("key", given)
            assert activities.get(given) is given
            assert timelines.get_slice("key", 0, 5)[0] is given
            return
        writes: tuple[Callable[[], Any], ...] = (
            lambda: activities.add(given),
            lambda: timelines.add_many("key", [given]),
            lambda: timelines.add_to_many(["key"], [given]),
        )
        for refused in writes:
            with pytest.raises(TypeError, match="DummySerializer"):
                refused()
        assert activities.get_many([given]) == []
        assert list(timelines.keys()) == []

    @staticmethod
    def _keeps_objects(backend: Backend) -> bool:
        space = backend.with_namespace(f"{backend.namespace[-40:]}-dummy")
        storage = space.activity_storage(serializer_class=DummySerializer)
        try:
            storage.add(make_activity())
        except TypeError:
            return False
        storage.flush()
        return True

    def test_dummies_hand_bytes_through(self, backend: Backend) -> None:
        """Dummy: bytes come back as they are from every store."""
        timelines = backend.timeline_storage(serializer_class=DummySerializer)
        for data in (b"", b"\0", b"\xff" * 3_000):
            timelines.add_to_storage("key", {5: data})
            assert timelines.get_slice("key", 0, 1) == [data]

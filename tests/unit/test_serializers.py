"""Serializers: values survive a round trip, others are refused, and damage raises an error."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from feedstore import Activity
from feedstore.errors import FeedstoreError, InvalidTypeError, InvalidValueError, StoredDataError
from feedstore.ids import id_to_text
from feedstore.serializers import JsonSerializer, MsgpackSerializer, Serializer
from feedstore.serializers.pickle import PickleSerializer
from feedstore.serializers.values import pack_value, unpack_value
from feedstore.testing.kv_value_suite import same

TIME = datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=timezone.utc)
SERIALIZERS: list[Serializer] = [MsgpackSerializer(), JsonSerializer(), PickleSerializer()]
texts = st.text(max_size=6)
names = st.one_of(st.text(min_size=1, max_size=6), st.integers(-(2**63), 2**64 - 1))
offsets = st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59))
times = st.builds(
    lambda moment, offset: moment.replace(tzinfo=timezone(offset), fold=0),
    st.datetimes(),
    st.one_of(st.just(timedelta(0)), offsets),
)
plain_scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), texts)
scalars = st.one_of(
    plain_scalars,
    st.binary(max_size=6),
    times,
    st.dates(),
    st.decimals().filter(lambda number: not number.is_nan()),
    st.uuids(),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(scalars, inner, max_size=4)),
    max_leaves=12,
)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)
moments = st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(timezone.utc))  # noqa: DTZ001 - bounds are naive


def activities(context_values: st.SearchStrategy[Any]) -> st.SearchStrategy[Activity]:
    return st.builds(
        Activity,
        names,
        st.text(min_size=1, max_size=6),
        names,
        st.one_of(st.none(), names),
        moments,
        st.dictionaries(texts, context_values, max_size=4),
        st.one_of(st.none(), st.integers(0, 2**128 - 1)),
        st.one_of(st.none(), names),
    )


@given(values)
def test_values_come_back(value: Any) -> None:
    same(unpack_value(pack_value(value)), value)


@given(activities(values))
def test_activities_come_back_from_msgpack(activity: Activity) -> None:
    _comes_back(MsgpackSerializer(), activity)


@given(activities(json_values))
def test_activities_come_back_from_json(activity: Activity) -> None:
    _comes_back(JsonSerializer(), activity)
    json.loads(JsonSerializer().dumps(activity)[1:])


@given(activities(values))
def test_activities_come_back_from_pickles(activity: Activity) -> None:
    _comes_back(PickleSerializer(), activity)


def _comes_back(serializer: Serializer, activity: Activity) -> None:
    data = serializer.dumps(activity)
    assert type(data) is bytes
    assert serializer.dumps_many([activity, activity]) == [data, data]
    found = serializer.loads(data, activity.id)
    assert found == activity
    same(found.extra_context, activity.extra_context)
    for field in ("actor", "verb", "object", "target", "time", "foreign_id"):
        assert type(getattr(found, field)) is type(getattr(activity, field))
    assert serializer.loads_many([(5, data), (activity.id, data)])[1] == activity


@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize("refused", [None, "text", 7, b"bytes", {}, object(), Activity("a", "b", "c").reference])
def test_what_is_no_activity_is_refused(serializer: Serializer, refused: Any) -> None:
    with pytest.raises(InvalidTypeError, match=type(refused).__name__):
        serializer.dumps(refused)
    with pytest.raises(InvalidTypeError):
        serializer.dumps_many([Activity("a", "b", "c"), refused])


class SpecialActivity(Activity):
    __slots__ = ()


@pytest.mark.parametrize("kind", [MsgpackSerializer, JsonSerializer, PickleSerializer])
def test_a_class_of_activities_of_one_s_own(kind: type[Serializer]) -> None:
    serializer = kind(activity_class=SpecialActivity)
    special = SpecialActivity("ann", "like", 7, time=TIME)
    found = serializer.loads(serializer.dumps(special), special.id)
    assert type(found) is SpecialActivity
    assert found == special
    with pytest.raises(InvalidTypeError, match="SpecialActivity"):
        serializer.dumps(Activity("ann", "like", 7))


@pytest.mark.parametrize("kind", [MsgpackSerializer, JsonSerializer])
def test_a_subclass_that_would_come_back_as_its_base_is_refused(kind: type[Serializer]) -> None:
    special = SpecialActivity("ann", "like", 7, time=TIME)
    for refused in (kind().dumps, lambda one: kind().dumps_many([one])):
        with pytest.raises(InvalidTypeError, match="activity_class=SpecialActivity"):
            refused(special)
    assert type(PickleSerializer().loads(PickleSerializer().dumps(special), special.id)) is SpecialActivity


def with_context(value: Any) -> Activity:
    """An activity whose context was not checked."""
    one = Activity("ann", "like", "photo:7", time=TIME)
    return Activity.restore(one.id, "ann", "like", "photo:7", None, TIME, {"value": value}, None)


REFUSED_BY_BOTH: tuple[Any, ...] = ({1}, 1j, object(), TIME.replace(tzinfo=None), bytearray(b"a"))


@pytest.mark.parametrize("serializer", SERIALIZERS[:2])
@pytest.mark.parametrize("refused", [*REFUSED_BY_BOTH, "\ud800"])
def test_a_context_that_would_not_come_back_is_refused(serializer: Serializer, refused: Any) -> None:
    for value in (refused, [refused], {"deep": [refused]}):
        activity = with_context(value)
        with pytest.raises((InvalidTypeError, InvalidValueError), match=id_to_text(activity.id)):
            serializer.dumps(activity)
        with pytest.raises((InvalidTypeError, InvalidValueError), match=id_to_text(activity.id)):
            serializer.dumps_many([with_context(1), activity])


@pytest.mark.parametrize(
    "refused",
    [
        b"a",
        (1,),
        TIME,
        TIME.date(),
        Decimal(1),
        UUID(int=1),
        float("nan"),
        float("inf"),
        {1: 2},
        {None: 1},
        {"a": {b"b": 1}},
    ],
    ids=repr,
)
def test_what_json_cannot_carry_is_refused(refused: Any) -> None:
    with pytest.raises((InvalidTypeError, InvalidValueError), match=id_to_text(with_context(1).id)):
        JsonSerializer().dumps(with_context(refused))


def test_json_names_the_path_of_what_it_cannot_carry() -> None:
    with pytest.raises(InvalidTypeError, match=r"extra_context\['value'\]\[1\]\['a'\] is b'x' of type bytes"):
        JsonSerializer().dumps(with_context([0, {"a": b"x"}]))
    with pytest.raises(InvalidTypeError, match=r"extra_context\['value'\]\['a'\] has the key 1 of type int"):
        JsonSerializer().dumps(with_context({"a": {1: 2}}))


@pytest.mark.parametrize("refused", [lambda: None, pytest, threading.Lock()])
def test_what_cannot_be_pickled_is_refused(refused: Any) -> None:
    with pytest.raises(InvalidTypeError, match=id_to_text(with_context(1).id)):
        PickleSerializer().dumps(with_context(refused))


def test_pickles_carry_what_others_refuse() -> None:
    for value in ((1,), {1}, 1j, TIME.date()):
        activity = with_context(value)
        assert PickleSerializer().loads(PickleSerializer().dumps(activity), activity.id) == activity


@pytest.mark.parametrize("serializer", SERIALIZERS[:2])
def test_nesting_is_stored_or_refused_by_name(serializer: Serializer) -> None:
    for depth in (10, 100, 400, 5_000):
        value: Any = 1
        for _ in range(depth):
            value = [value]
        activity = Activity.restore(5, "ann", "like", 7, None, TIME, {"value": value}, None)
        if depth <= 400:
            assert serializer.loads(serializer.dumps(activity), 5) == activity
        else:
            with pytest.raises(InvalidValueError, match=id_to_text(5)):
                serializer.dumps(activity)


@given(st.binary(max_size=60))
@example(b"")
@example(b"\x11\x90")
@example(b"\x11\x95\xa1a\xa1b\xa1c\xc0\xcb\x7f\xf8\0\0\0\0\0\0")
@example(b"\x11\x95\xa1a\xa1b\xa1c\xc0\xcb\x7f\xef\xff\xff\xff\xff\xff\xff")
@example(b"\x11\x95\xa1a\xa1b\xa1c\xc0\xc0")
@example(b"\x11\x95\xa1a\xa1b\xa1c\xc0\xd6\x01\0\0\0\0")
@example(b"\x11\x95\xa1a\xa1b\xa1c\xc0\xd8\x01" + b"\xff" * 16)
@example(b"\x11\x96\xa1a\xa1b\xa1c\xc0\0\x81\x80\x01")
@example(b"\x11\x96\xa1a\xa1b\xa1c\xc0\0\x05")
@example(b"\x11\x98\xa1a\xa1b\xa1c\xc0\0\x80\xc0\xc0")
@example(b"\x11" + b"\x91" * 2_000)
@example(b"\x11\xdd\xff\xff\xff\xff")
@example(b"\x21")
@example(b"\x21[]")
@example(b"\x21{}")
@example(b'\x21{"actor":1,"verb":"b","object":"c","time":1e999}')
@example(b'\x21{"actor":1,"verb":"b","object":"c","time":"now"}')
@example(b'\x21{"actor":1,"verb":"b","object":"c","time":0,"extra_context":5}')
@example(b"\x21" + b"[" * 100_000)
@example(b"\x21" + b"9" * 5_000)
@example(b"\x31")
@example(b"\x31cos\nno_such_name\n.")
@example(b"\x31\x80\x04\x95")
def test_random_bytes_are_an_activity_or_damage(data: bytes) -> None:
    for serializer in SERIALIZERS:
        _loads_or_tells(serializer, data)


@given(activities(values), st.data())
def test_altered_bytes_are_an_activity_or_damage(activity: Activity, data: st.DataObject) -> None:
    stored = MsgpackSerializer().dumps(activity)
    place = data.draw(st.integers(0, len(stored) - 1))
    altered = data.draw(
        st.sampled_from(
            [
                stored[:place],
                stored[:place] + stored[place + 1 :],
                stored[:place] + bytes([data.draw(st.integers(0, 255))]) + stored[place + 1 :],
                stored + stored[:place],
            ]
        )
    )
    _loads_or_tells(MsgpackSerializer(), altered)


def _loads_or_tells(serializer: Serializer, data: bytes) -> None:
    try:
        (found,) = serializer.loads_many([(5, data)])
    except StoredDataError as damage:
        message = str(damage)
    else:
        assert isinstance(found, Activity) or isinstance(serializer, PickleSerializer)
        return
    assert id_to_text(5) in message


@given(st.binary(max_size=40))
@example(b"\xc1")
@example(b"\xd8\x01" + b"\x7f" * 16)
@example(b"\xc7\x00\x02")
@example(b"\xd4\x05\x00")
@example(b"\xd6\xff\x00\x00\x00\x00")
@example(b"\x81\x80\x01")
def test_random_bytes_are_a_value_or_a_usual_error(data: bytes) -> None:
    try:
        unpack_value(data)
    except FeedstoreError as error:
        raise AssertionError("the caller names the key") from error
    except (ValueError, TypeError, OverflowError):
        return


class HalfASerializer(Serializer):
    def dumps(self, activity: Any) -> bytes:
        return b"x"


def test_a_serializer_has_both_methods() -> None:
    with pytest.raises(TypeError, match="loads"):
        HalfASerializer()  # type: ignore[abstract]

"""The stored bytes, pinned: every later release reads the bytes of an earlier one."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

import feedstore.serializers
from feedstore import Activity, ActivityRef
from feedstore.aggregated import AggregatedActivity
from feedstore.errors import StoredDataError
from feedstore.events import Event
from feedstore.events.layout import EventSerializer, Place, PlaceSerializer, StoredEvent, contents_of
from feedstore.fanout.edges import Follow, FollowSerializer
from feedstore.feeds import GroupEntry, GroupSerializer
from feedstore.ids import id_to_text
from feedstore.serializers import (
    AggregatedActivitySerializer,
    DummySerializer,
    JsonSerializer,
    MsgpackSerializer,
    Serializer,
    TimelineReferenceSerializer,
)
from feedstore.serializers.pickle import PickleSerializer
from feedstore.serializers.values import pack_value, unpack_value

TIME = datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=timezone.utc)
PLAIN = Activity("ann", "like", "photo:7", time=TIME)
TARGETED = Activity("ann", "like", "photo:7", "album:1", TIME)
NUMBERED = Activity(1, "like", -7, 0, TIME, foreign_id=0)
OLDEST = Activity("ä\0", "中", "\U0001f600", time=datetime(1970, 1, 1, tzinfo=timezone.utc))
LAST = Activity("a", "b", "c", time=datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone.utc))
WITH_CONTEXT = Activity("ann", "like", "photo:7", time=TIME, extra_context={"z": 1, "ä": [None, True, 1.5]})
FULL = Activity(
    "ann",
    "like",
    2**64 - 1,
    -(2**63),
    TIME,
    {
        "z": 1,
        "a": [None, True, 1.5, b"\xff", {"t": TIME.astimezone(timezone(-timedelta(hours=3, minutes=30)))}],
        "big": 2**70,
        "neg": -(2**70),
    },
    foreign_id="row-1",
)
FOLLOW = Follow("ann", 5)
EVENT = StoredEvent(5, 7, Event("n", "app", 1, ["e"], "text"))
PLACE = Place(5, int.from_bytes(range(16)))
GROUP_ENTRY = GroupEntry(5, bytes(range(1, 9)))
MSGPACK = [
    (PLAIN, "1195a3616e6ea46c696b65a770686f746f3a37c0cf00064752c13c8600"),
    (TARGETED, "1195a3616e6ea46c696b65a770686f746f3a37a7616c62756d3a31cf00064752c13c8600"),
    (NUMBERED, "119701a46c696b65f900cf00064752c13c86008000"),
    (OLDEST, "1195a3c3a400a3e4b8ada4f09f9880c000"),
    (LAST, "1195a161a162a163c0cf0384440ccc735fff"),
    (WITH_CONTEXT, "1196a3616e6ea46c696b65a770686f746f3a37c0cf00064752c13c860082a17a01a2c3a493c0c3cb3ff8000000000000"),
    (
        FULL,
        (
            "1197a3616e6ea46c696b65cfffffffffffffffffd38000000000000000cf00064752c13c860084a17a01a16195c0c3cb3ff80000"
            "00000000c401ff81a174d80100064752c13c8600fffffffd10fb4200a3626967c70902400000000000000000a36e6567c70902c0"
            "0000000000000000a5726f772d31"
        ),
    ),
]
JSON = [
    (PLAIN, '!{"actor":"ann","verb":"like","object":"photo:7","time":1767270615123456}'),
    (TARGETED, '!{"actor":"ann","verb":"like","object":"photo:7","time":1767270615123456,"target":"album:1"}'),
    (NUMBERED, '!{"actor":1,"verb":"like","object":-7,"time":1767270615123456,"target":0,"foreign_id":0}'),
    (OLDEST, '!{"actor":"ä\\u0000","verb":"中","object":"\U0001f600","time":0}'),
    (LAST, '!{"actor":"a","verb":"b","object":"c","time":253402300799999999}'),
    (
        WITH_CONTEXT,
        (
            '!{"actor":"ann","verb":"like","object":"photo:7","time":1767270615123456,'
            '"extra_context":{"z":1,"ä":[null,true,1.5]}}'
        ),
    ),
]
PICKLED = (
    "31800495d0000000000000008c086275696c74696e73948c07676574617474729493948c126665656473746f72652e6163746976697479948c08"
    "41637469766974799493948c07726573746f72659486945294288a106d66409954f106a94b77538889799b018c03616e6e948c046c696b65948c"
    "0770686f746f3a37944e8c086461746574696d65948c086461746574696d65949394430a07ea01010c1e0f01e24094680c8c0874696d657a6f6e"
    "65949394680c8c0974696d6564656c74619493944b004b004b008794529485945294869452947d944e749452942e"
)
VALUES: list[tuple[Any, str]] = [
    (None, "c0"),
    (True, "c3"),
    (False, "c2"),
    (0, "00"),
    (-1, "ff"),
    (2**64 - 1, "cfffffffffffffffff"),
    (2**64, "c70902010000000000000000"),
    (-(2**63) - 1, "c70902ff7fffffffffffffff"),
    (1.5, "cb3ff8000000000000"),
    ("ä", "a2c3a4"),
    (b"\0", "c40100"),
    ([1, [2]], "92019102"),
    ({"a": {1: 2}}, "81a161810102"),
    (TIME, "d80100064752c13c86000000000000000000"),
    (TIME.astimezone(timezone(timedelta(hours=5, minutes=30))), "d80100064752c13c8600000000049c2c0600"),
    (date(2026, 1, 31), "d603000b493f"),
    (Decimal("-1.50"), "c705042d312e3530"),
    (UUID(int=2**64), "d80500000000000000010000000000000000"),
    ({UUID(int=1): [Decimal("1E+9"), date.max]}, "81d8050000000000000000000000000000000192d60431452b39d6030037b9db"),
]


@pytest.mark.parametrize(("activity", "stored"), MSGPACK, ids=lambda value: None)
def test_msgpack(activity: Activity, stored: str) -> None:
    assert MsgpackSerializer().dumps(activity).hex() == stored
    assert MsgpackSerializer().loads(bytes.fromhex(stored), activity.id) == activity


@pytest.mark.parametrize(("activity", "stored"), JSON, ids=lambda value: None)
def test_json(activity: Activity, stored: str) -> None:
    assert JsonSerializer().dumps(activity).decode() == stored
    assert JsonSerializer().loads(stored.encode(), activity.id) == activity


def test_pickle() -> None:
    assert PickleSerializer().loads(bytes.fromhex(PICKLED), PLAIN.id) == PLAIN
    assert PickleSerializer().dumps(PLAIN)[:3] == bytes.fromhex(PICKLED)[:3]


@pytest.mark.parametrize(("value", "stored"), VALUES, ids=lambda value: repr(value)[:20])
def test_values(value: Any, stored: str) -> None:
    assert pack_value(value).hex() == stored
    found = unpack_value(bytes.fromhex(stored))
    assert found == value
    assert type(found) is type(value)


def test_references() -> None:
    serializer = TimelineReferenceSerializer()
    for whatever in (PLAIN, PLAIN.reference, PLAIN.id):
        assert serializer.dumps(whatever) == b""
    assert serializer.loads(b"", 7) == ActivityRef(7)
    assert serializer.loads(b"left unread", 7) == ActivityRef(7)
    assert serializer.loads_many([(7, b""), (0, b"x")]) == [ActivityRef(7), ActivityRef(0)]
    assert serializer.dumps_many([PLAIN, 5]) == [b"", b""]


def test_dummies() -> None:
    thing = object()
    assert DummySerializer().dumps(thing) is thing
    assert DummySerializer().loads(thing, 7) is thing
    assert DummySerializer().loads_many([(1, thing), (2, b"")]) == [thing, b""]


@pytest.mark.parametrize(
    ("serializer", "item", "stored"),
    [
        (FollowSerializer(), FOLLOW, "51a3616e6e"),
        (EventSerializer(), EVENT, "96a47465787407a16ea3617070cb3ff000000000000091a165"),
        (PlaceSerializer(), PLACE, "71000102030405060708090a0b0c0d0e0f"),
        (GroupSerializer(), GROUP_ENTRY, "0102030405060708"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Serializer) else "",
)
def test_entries_of_feeds_graphs_and_events(serializer: Serializer[Any], item: Any, stored: str) -> None:
    assert serializer.dumps(item).hex() == stored
    assert serializer.loads(bytes.fromhex(stored), item.serialization_id) == item


@pytest.mark.parametrize("length", [0, 1, 31, 32, 255, 256, 65_535, 65_536])
def test_the_content_of_an_event_is_found_in_its_bytes(length: int) -> None:
    stored = EventSerializer().dumps(StoredEvent(5, 7, Event("n", "app", 1, ["e"], "x" * length)))
    assert contents_of([stored, stored]) == [b"x" * length] * 2
    other_fields = len(bytes.fromhex("07a16ea3617070cb3ff000000000000091a165"))
    for cut in (b"", stored[:1], stored[:-other_fields], b"\x95" + stored[1:]):
        with pytest.raises((ValueError, IndexError)):
            contents_of([stored, cut])


def test_each_format_has_a_byte_of_its_own() -> None:
    group = AggregatedActivity(255, "likes", (PLAIN,), 1, True, TIME, TIME)
    serializers: list[tuple[Serializer[Any], Any]] = [
        (MsgpackSerializer(), PLAIN),
        (JsonSerializer(), PLAIN),
        (PickleSerializer(), PLAIN),
        (AggregatedActivitySerializer(), group),
        (FollowSerializer(), FOLLOW),
        (EventSerializer(), EVENT),
        (PlaceSerializer(), PLACE),
    ]
    stored = [serializer.dumps(item) for serializer, item in serializers]
    assert [data[0] for data in stored] == [0x11, 0x21, 0x31, 0x41, 0x51, 0x96, 0x71]
    for (serializer, _), own in zip(serializers, stored, strict=True):
        for data in stored:
            if data is not own:
                with pytest.raises(StoredDataError, match=rf"0x{data[0]:02x}.*0x{own[0]:02x}"):
                    serializer.loads(data, PLAIN.id)


def test_a_stored_group_with_a_field_of_another_type_is_damaged() -> None:
    serializer = AggregatedActivitySerializer()
    fields = ["likes", 1, True, 0, 0, None, False, [[b"i" * 16, "ann", "like", "photo:7", None, 0]]]
    data = b"\x41" + pack_value(fields)
    assert serializer.dumps(serializer.loads(data, 255)) == data
    members: list[Any] = [None, {}, [[]], [5], [["id"]], [[b"short"]], [[b"i" * 16]]]
    for place, wrong in [
        *[(0, 5), (0, None), (1, "1"), (1, True), (1, 0), (2, 1), (2, None), (3, "0"), (3, 1.5), (3, 2**70), (4, None)],
        *[(5, 1), (6, "no"), *((7, one) for one in members)],
    ]:
        with pytest.raises(StoredDataError, match=id_to_text(255)):
            serializer.loads(b"\x41" + pack_value([*fields[:place], wrong, *fields[place + 1 :]]), 255)
    others: list[Any] = [fields[:-1], [*fields, None], {}, "likes"]
    for other in others:
        with pytest.raises(StoredDataError, match=id_to_text(255)):
            serializer.loads(b"\x41" + pack_value(other), 255)


@pytest.mark.parametrize("serializer", [MsgpackSerializer(), JsonSerializer()])
def test_the_id_is_the_one_that_it_was_stored_under(serializer: Serializer) -> None:
    assert serializer.loads(serializer.dumps(PLAIN), 5).serialization_id == 5


def test_pickles_are_read_by_nothing_that_was_not_asked_to() -> None:
    evil = b"\x31cposix\nsystem\n(S'false'\ntR."
    for serializer in (MsgpackSerializer(), JsonSerializer()):
        with pytest.raises(StoredDataError):
            serializer.loads(evil, 5)


def test_pickles_are_not_even_imported_unless_by_name() -> None:
    script = "import sys, feedstore.storage; assert 'feedstore.serializers.pickle' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
    assert not [name for name in feedstore.serializers.__all__ if "ickle" in name]

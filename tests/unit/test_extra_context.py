"""The extra context of activities, and their form in JSON."""

from __future__ import annotations

import copy
import json
import pickle
from collections import OrderedDict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest

from feedstore import Activity
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.ids import id_to_text
from feedstore.read_only import ReadOnlyDict, ReadOnlyList
from feedstore.serializers import MsgpackSerializer
from feedstore.serializers.values import pack_value, unpack_value
from unit.test_activity import TIME, Colour, Number, SpecialActivity, Word, like


@dataclass
class Point:
    x: int


class Shape(Enum):
    ROUND = 1.5


class Plain(Enum):
    A = "a"


class Moment(datetime):
    pass


class Index:
    def __index__(self) -> int:
        return 1


def test_its_context_is_read_only() -> None:
    context = {"list": [1, {"two": [2]}], "dict": {"three": 3}}
    activity = like(extra_context=context)
    for stored in (activity, pickle.loads(pickle.dumps(activity)), copy.deepcopy(activity), copy.copy(activity)):
        found: Any = stored.extra_context
        assert found is stored.extra_context
        for container in (found, found["dict"], like().extra_context):
            for name, changes in {
                "__setitem__": ("a", 1),
                "__delitem__": ("three",),
                "__ior__": ({"a": 1},),
                "update": ({"a": 1},),
                "setdefault": ("a", 1),
                "pop": ("three",),
                "popitem": (),
                "clear": (),
            }.items():
                with pytest.raises(InvalidTypeError, match="read-only"):
                    getattr(container, name)(*changes)
        for container in (found["list"], found["list"][1]["two"]):
            for name, arguments in {
                "__setitem__": (0, 1),
                "__delitem__": (0,),
                "__iadd__": ([1],),
                "__imul__": (2,),
                "append": (1,),
                "extend": ([1],),
                "insert": (0, 1),
                "pop": (),
                "remove": (1,),
                "clear": (),
                "sort": (),
                "reverse": (),
            }.items():
                with pytest.raises(InvalidTypeError, match="read-only"):
                    getattr(container, name)(*arguments)
        assert found == context
        assert json.loads(json.dumps(found)) == context


def test_every_change_of_a_dict_and_a_list_is_refused() -> None:
    for kind, base in ((ReadOnlyDict, dict), (ReadOnlyList, list)):
        same = {name for name in dir(base) if getattr(kind, name, None) is getattr(base, name)}
        reading = {
            *dir(object),
            *("__contains__", "__getitem__", "__iter__", "__len__", "__reversed__", "__class_getitem__"),
            *("__add__", "__mul__", "__rmul__", "__or__", "__ror__", "__hash__"),
            *("count", "index", "fromkeys", "get", "items", "keys", "values"),
        }
        assert same <= reading


def test_a_copy_of_its_context_can_be_changed() -> None:
    activity = like(extra_context={"list": [1], "dict": {"a": [1]}})
    for changed in (copy.deepcopy(activity.extra_context), pickle.loads(pickle.dumps(activity.extra_context))):
        assert (type(changed), type(changed["list"]), type(changed["dict"]["a"])) == (dict, list, list)
        changed["list"].append(2)
        assert like(extra_context=changed).extra_context["list"] == [1, 2]
    shallow = activity.extra_context.copy()
    shallow["more"] = [*activity.extra_context["list"].copy(), 2]
    assert like(extra_context=shallow).extra_context == {"list": [1], "dict": {"a": [1]}, "more": [1, 2]}
    assert MsgpackSerializer().dumps(like(extra_context=activity.extra_context)) == MsgpackSerializer().dumps(activity)
    assert unpack_value(pack_value(activity.extra_context)) == activity.extra_context


@pytest.mark.parametrize(
    ("given_value", "kept"),
    [
        ((1, ("a",)), [1, ["a"]]),
        (date(2026, 1, 1), date(2026, 1, 1)),
        (Decimal("1.50"), Decimal("1.50")),
        (UUID(int=5), UUID(int=5)),
        (Colour.RED, "red"),
        ({Colour.RED: Number.ONE}, {"red": 1}),
    ],
    ids=repr,
)
def test_values_of_its_context(given_value: Any, kept: Any) -> None:
    activity = like(extra_context={"value": given_value})
    assert activity.extra_context == {"value": kept}
    found = MsgpackSerializer().loads(MsgpackSerializer().dumps(activity), activity.id)
    assert found == activity
    assert repr(found) == repr(activity)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1}, r"extra_context\['deep'\]\[1\] is \{1\} of type set: pass sorted\(value\)"),
        (timedelta(1), r"extra_context\['deep'\]\[1\] is .*timedelta: pass value.total_seconds\(\)"),
        (bytearray(b"a"), r"\[1\] is bytearray\(b'a'\) of type bytearray: pass bytes\(value\)"),
        (Word("a"), r"\[1\] is 'a' of type Word: pass str\(value\)"),
        (OrderedDict(a=1), r"\[1\] is .*OrderedDict: pass dict\(value\)"),
        (Point(1), r"\[1\] is Point\(x=1\) of type Point: pass dataclasses.asdict\(value\)"),
        (Shape.ROUND, r"\[1\] is <Shape.ROUND: 1.5> of type Shape: pass value.name"),
        (Moment(2026, 1, 1), r"of type Moment: pass datetime.fromisoformat\(value.isoformat\(\)\)"),
        (Index(), r"of type Index: pass int\(value\)"),
        ({Plain.A: 1, "a": 2}, r"extra_context\['deep'\]\[1\] has two keys that are equal"),
        (object(), r"\[1\] is <object .*: pass str\(value\)"),
        ({(1,): 2}, r"extra_context\['deep'\]\[1\] has the key \(1,\) of type tuple"),
        ({"a": TIME.replace(tzinfo=None)}, r"extra_context\['deep'\]\[1\]\['a'\] is the time .*without a timezone"),
        ("\ud800", r"\[1\] is '\\ud800', which holds a lone surrogate"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_names_the_path_of_a_value(value: Any, message: str) -> None:
    with pytest.raises((InvalidTypeError, InvalidValueError), match=message):
        like(extra_context={"fine": 1, "deep": [0, value]})


def test_it_has_a_form_for_json() -> None:
    activity = like(
        actor=2**60,
        target="album:1",
        foreign_id=7,
        extra_context={"when": TIME, "day": date(2026, 1, 1), "n": 2**60, "price": Decimal("1.5"), "list": (1, b"a")},
    )
    document = json.loads(json.dumps(activity.to_dict()))
    assert document == {
        "id": id_to_text(activity.id),
        "time": "2026-01-01T12:30:15.123456+00:00",
        "actor": 2**60,
        "verb": "like",
        "object": "photo:7",
        "target": "album:1",
        "foreign_id": 7,
        "extra_context": {
            "when": "2026-01-01T12:30:15.123456+00:00",
            "day": "2026-01-01",
            "n": str(2**60),
            "price": "1.5",
            "list": [1, "YQ=="],
        },
    }
    found = SpecialActivity.from_dict(document)
    assert type(found) is SpecialActivity
    assert found.to_dict() == document
    assert found.id == activity.id


def test_what_json_carries_comes_back_whole() -> None:
    activity = like(foreign_id="row", extra_context={"a": [1, None, True, 1.5, "x", {"b": []}]})
    assert Activity.from_dict(activity.to_dict()) == activity
    assert Activity.from_dict({"actor": "ann", "verb": "like", "object": "photo:7", "time": TIME}) == like()
    assert Activity.from_dict({**like().to_dict(), "time": "2026-01-01T12:30:15.123456Z"}) == like()
    with_sentence = activity.to_dict(lambda one: f"{one.actor} liked it")
    assert with_sentence == {**activity.to_dict(), "sentence": "ann liked it"}
    assert Activity.from_dict(with_sentence) == activity
    with pytest.raises(InvalidTypeError, match=r"unknown field 'colour'.*actor, verb"):
        Activity.from_dict({**like().to_dict(), "colour": 1})
    with pytest.raises(InvalidTypeError, match="lacks the field verb"):
        Activity.from_dict({"actor": "ann", "object": 1})
    with pytest.raises(InvalidTypeError, match="mapping"):
        Activity.from_dict("{}")  # type: ignore[arg-type]
    for text in ("", "yesterday", "2026-13-01T00:00:00Z"):
        with pytest.raises(InvalidValueError, match="RFC 3339"):
            Activity.from_dict({**like().to_dict(), "time": text})

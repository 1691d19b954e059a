"""Activities and references: frozen values."""

from __future__ import annotations

import copy
import datetime as datetime_module
import enum
import pickle
from collections import ChainMap, OrderedDict
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedstore import Activity, ActivityRef, Verb
from feedstore.activity import references_to
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.ids import MAX_ID, derive_id, id_to_text
from feedstore.serializers import JsonSerializer, MsgpackSerializer
from feedstore.testing.samples import forms_of

TIME = datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=timezone.utc)
EARLIER_AND_LATER = (TIME - timedelta(seconds=1), TIME + timedelta(microseconds=1))


def like(**fields: Any) -> Activity:
    return Activity(**{"actor": "ann", "verb": "like", "object": "photo:7", "time": TIME, **fields})


class SpecialActivity(Activity):
    __slots__ = ()


class Word(str):
    __slots__ = ()


class Colour(str, enum.Enum):  # noqa: UP042 - applications have both kinds
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1


def test_it_has_the_fields_that_it_was_given() -> None:
    activity = Activity("ann", "like", 7, "album:1", TIME, {"note": "x"}, 5, "row-1")
    assert (activity.actor, activity.verb, activity.object, activity.target) == ("ann", "like", 7, "album:1")
    assert (activity.time, activity.extra_context, activity.foreign_id) == (TIME, {"note": "x"}, "row-1")
    assert activity.serialization_id == activity.id == 5
    assert activity == Activity(
        actor="ann",
        verb="like",
        object=7,
        target="album:1",
        time=TIME,
        extra_context={"note": "x"},
        id=5,
        foreign_id="row-1",
    )


def test_what_is_not_given() -> None:
    before = datetime.now(timezone.utc)
    activity = Activity("ann", "like", "photo:7")
    assert before <= activity.time <= datetime.now(timezone.utc)
    assert activity.time.tzinfo is timezone.utc
    assert (activity.target, activity.extra_context, activity.foreign_id) == (None, {}, None)


def test_the_id_is_derived_from_what_happened() -> None:
    assert like().id == derive_id(TIME, "ann", "like", "photo:7", None)
    assert like(foreign_id="row-1").id == derive_id(TIME, "ann", "like", "photo:7", None, "row-1")
    different = [
        like(),
        like(actor="bob"),
        like(verb="love"),
        like(object="photo:8"),
        like(object=7),
        like(object="7"),
        like(target="album:1"),
        like(target=0),
        like(foreign_id=0),
        like(foreign_id="0"),
        *(like(time=time) for time in EARLIER_AND_LATER),
    ]
    assert len({activity.id for activity in different}) == len(different)
    assert like(extra_context={"note": "x"}).id == like().id


@pytest.mark.parametrize("form", forms_of(like())[2:], ids=lambda form: type(form).__name__)
def test_an_id_of_one_s_own(form: Any) -> None:
    assert Activity("bob", "see", 1, id=form).id == like().id
    assert ActivityRef(form).serialization_id == like().id


def test_a_verb_is_kept_by_its_name() -> None:
    activity = like(verb=Verb("like", past_tense="liked"))
    assert type(activity.verb) is str
    assert activity == like()


@pytest.mark.parametrize(
    ("given_value", "plain"), [(Word("ann"), "ann"), (Colour.RED, "red"), (Number.ONE, 1)], ids=repr
)
def test_kinds_of_texts_and_ints_are_kept_as_texts_and_ints(given_value: Any, plain: Any) -> None:
    activity = like(actor=given_value, object=given_value, target=given_value, foreign_id=given_value)
    expected = like(actor=plain, object=plain, target=plain, foreign_id=plain)
    assert activity == expected
    assert activity.id == expected.id
    fields = (activity.actor, activity.object, activity.target, activity.foreign_id)
    assert {type(field) for field in fields} == {type(plain)}
    assert MsgpackSerializer().dumps(activity) == MsgpackSerializer().dumps(expected)
    if isinstance(plain, str):
        assert type(like(verb=given_value).verb) is str
        assert like(verb=given_value) == like(verb=plain)


def test_a_kind_of_time_is_kept_as_a_time_in_utc() -> None:
    class Moment(datetime):
        pass

    elsewhere = TIME.astimezone(timezone(timedelta(hours=5, minutes=45)))
    moment = Moment(2026, 1, 1, 12, 30, 15, 123456, tzinfo=timezone.utc)
    for time in (elsewhere, moment):
        activity = like(time=time)
        assert type(activity.time) is datetime
        assert activity.time.tzinfo is timezone.utc
        assert activity == like()


def test_its_containers_are_copied() -> None:
    context: dict[str, Any] = {"list": [1, {"two": [2]}], "dict": {"three": 3}}
    activity = like(extra_context=context)
    context["list"][1]["two"].append(3)
    context["dict"].clear()
    assert activity.extra_context == {"list": [1, {"two": [2]}], "dict": {"three": 3}}
    for mapping in (MappingProxyType({"a": 1}), OrderedDict(a=1), ChainMap({"a": 1})):
        copied = like(extra_context=mapping).extra_context
        assert isinstance(copied, dict)
        assert copied == {"a": 1}


def test_an_id_of_time_and_foreign_id_alone() -> None:
    first, second = (like(actor=actor, id=derive_id(TIME, "row-1"), foreign_id="row-1") for actor in ("ann", "bob"))
    assert first.id == second.id
    assert like(foreign_id="row-1") != like(foreign_id="row-1", time=EARLIER_AND_LATER[0])


def test_a_reference_says_how_to_get_the_fields_of_its_activity() -> None:
    reference: Any = like().reference
    for field in ("actor", "verb", "object", "target", "time", "extra_context", "foreign_id"):
        with pytest.raises(AttributeError, match=rf"ActivityRef has no attribute '{field}'.*hydrate_from="):
            getattr(reference, field)
    with pytest.raises(AttributeError, match=r"no attribute 'colour'$"):
        _ = reference.colour


def test_a_verb_of_another_kind_gets_advice() -> None:
    class Love:
        infinitive = "love"

    for verb in (Love, Love()):
        with pytest.raises(InvalidTypeError, match=r"pass verb\.infinitive"):
            like(verb=verb)


class User:
    pk = 7


@pytest.mark.parametrize(
    ("value", "advice"), [(UUID(int=5), r"pass str\(actor\)"), (User(), r"actor\.pk"), (like(), r"actor\.id")]
)
def test_an_actor_of_another_type_gets_advice(value: Any, advice: str) -> None:
    with pytest.raises(InvalidTypeError, match=advice):
        like(actor=value)


@pytest.mark.parametrize("value", [like(extra_context={"a": 1}), ActivityRef(5)], ids=["activity", "reference"])
def test_it_is_frozen(value: Any) -> None:
    for name in ("serialization_id", "colour"):
        with pytest.raises(AttributeError, match="frozen"):
            setattr(value, name, 7)
        with pytest.raises(AttributeError, match="frozen"):
            delattr(value, name)
    assert not hasattr(value, "__dict__")


def test_activities_are_equal_when_all_fields_are() -> None:
    assert like() == like()
    assert hash(like()) == hash(like())
    different = [
        like(),
        like(id=5),
        like(id=5, actor="bob"),
        like(id=5, target="album"),
        like(id=5, extra_context={"a": 1}),
        like(id=5, extra_context={"a": 2}),
        like(id=5, foreign_id="row"),
        like(id=5, time=EARLIER_AND_LATER[0]),
        SpecialActivity("ann", "like", "photo:7", time=TIME),
        like().id,
        None,
    ]
    for place, one in enumerate(different):
        for other in different[place + 1 :]:
            assert one != other
    assert len(set(different)) == len(different)


def test_references_are_equal_by_id() -> None:
    assert ActivityRef(5) == ActivityRef(UUID(int=5)) == like(id=5).reference == like(id=5).get_dehydrated()
    assert ActivityRef(5) != ActivityRef(6)
    assert ActivityRef(5) != 5
    assert len({ActivityRef(5), ActivityRef(5), ActivityRef(MAX_ID)}) == 2


def test_a_reference_is_not_its_activity_and_says_so() -> None:
    reference = like().reference
    comparisons: tuple[Callable[[], bool], ...] = (
        lambda: reference == like(),
        lambda: like() == reference,
        lambda: like() in [ActivityRef(5), reference],
        lambda: reference in [like(id=5), like()],
    )
    for compare in comparisons:
        with pytest.warns(UserWarning, match=r"activity\.reference.*contains\(key, activity\)"):
            assert compare() is False
    with pytest.warns(UserWarning, match="never equal"):
        assert reference != like()
    assert ActivityRef(5) != like()
    assert like() not in [ActivityRef(5), ActivityRef(6)]
    assert like().reference in [ActivityRef(5), reference]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_they_can_be_pickled(protocol: int) -> None:
    values = [
        like(),
        like(target=0, extra_context={"a": [1]}, foreign_id="row", id=MAX_ID),
        SpecialActivity("ann", "like", 7, time=TIME),
        ActivityRef(0),
    ]
    for value in values:
        found = pickle.loads(pickle.dumps(value, protocol))
        assert found == value
        assert type(found) is type(value)


def test_they_can_be_copied() -> None:
    activity = like(extra_context={"list": [1]}, foreign_id=7)
    for copied in (copy.copy(activity), copy.deepcopy(activity)):
        assert copied == activity
        assert copied is not activity
    copy.deepcopy(activity).stored_context["list"].append(2)
    assert activity.extra_context == {"list": [1]}
    assert copy.deepcopy(ActivityRef(5)) == ActivityRef(5)


def test_a_repr_is_an_expression_of_an_equal_activity() -> None:
    context = {"price": Decimal("1.50"), "row": UUID(int=7), "day": date(2026, 1, 2), "at": TIME, "tags": ["a", None]}
    names = {"Activity": Activity, "Decimal": Decimal, "UUID": UUID, "datetime": datetime_module}
    for activity in (like(), like(object=None), like(target=7, foreign_id="x", id=5, extra_context=context)):
        assert eval(repr(activity), names) == activity
    floats = {"at": [float("nan"), {-float("inf"): "banana", "x": float("inf")}]}
    text = repr(like(extra_context=floats))
    assert repr(eval(text, names)) == text


def test_an_activity_needs_no_object() -> None:
    login = Activity("ann", "log in", time=TIME)
    assert login.object is None
    assert login.id != like(verb="log in").id
    assert Activity.from_dict(login.to_dict()) == login
    for serializer in (MsgpackSerializer(), JsonSerializer()):
        assert serializer.loads(serializer.dumps(login), login.id) == login
    with pytest.raises(InvalidTypeError, match="lacks the field verb"):
        Activity.from_dict({"actor": "ann"})


def test_what_they_show() -> None:
    activity = like(target="album:1", extra_context={"secret": "context"}, id=255)
    assert repr(activity) == (
        "Activity('ann', 'like', 'photo:7', target='album:1', "
        "time=datetime.datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=datetime.timezone.utc), "
        "id='00000000-0000-0000-0000-0000000000ff', extra_context={'secret': 'context'})"
    )
    assert f"{activity}" == repr(activity)
    shown = [like(id=5), like(id=5, foreign_id=0), like(id=5, foreign_id="0"), like(id=5, extra_context={"a": 1})]
    assert len({repr(one) for one in shown}) == len(shown)
    assert "int of" in repr(like(extra_context={"a": 10**5000}))
    assert repr(SpecialActivity("ann", "like", 7, time=TIME)).startswith("SpecialActivity('ann', 'like', 7, time=")
    assert repr(ActivityRef(255)) == f"ActivityRef({id_to_text(255)!r})"


ENDLESS: dict[str, Any] = {}
ENDLESS["self"] = ENDLESS


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        *[({name: ""}, InvalidValueError, f"{name}.*empty") for name in ("actor", "verb", "object", "target")],
        *[({name: "\ud800"}, InvalidValueError, f"{name}.*surrogate") for name in ("actor", "verb", "foreign_id")],
        *[({name: 2**64}, InvalidValueError, f"{name}.*64 bits") for name in ("actor", "object", "target")],
        *[({name: -(2**63) - 1}, InvalidValueError, f"{name}.*64 bits") for name in ("object", "foreign_id")],
        *[({name: True}, InvalidTypeError, f"{name}.*bool") for name in ("actor", "object", "target", "foreign_id")],
        *[({name: 1.5}, InvalidTypeError, f"{name}.*float") for name in ("actor", "verb", "object")],
        *[({name: None}, InvalidTypeError, f"{name}.*NoneType") for name in ("actor", "verb")],
        *[({name: b"ann"}, InvalidTypeError, f"{name}.*bytes") for name in ("actor", "verb", "object")],
        ({"verb": 7}, InvalidTypeError, "verb.*int"),
        ({"verb": Verb("\ud800")}, InvalidValueError, "verb.*surrogate"),
        ({"time": TIME.replace(tzinfo=None)}, InvalidValueError, "timezone"),
        ({"time": TIME.replace(year=1969)}, InvalidValueError, "1970"),
        ({"time": TIME.timestamp()}, InvalidTypeError, "datetime"),
        ({"time": datetime.max.replace(tzinfo=timezone(-timedelta(hours=1)))}, InvalidValueError, "last year"),
        ({"extra_context": [("a", 1)]}, InvalidTypeError, "extra_context"),
        ({"extra_context": "a"}, InvalidTypeError, "extra_context"),
        ({"extra_context": ENDLESS}, InvalidValueError, "extra_context"),
        ({"id": -1}, InvalidValueError, "2\\*\\*128"),
        ({"id": "x"}, InvalidValueError, "UUID"),
        ({"id": 1.5}, InvalidTypeError, "id"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else None,
)
def test_what_is_refused(fields: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        like(**fields)


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(TypeError, match="colour"):
        like(colour="red")


names = st.one_of(st.text(min_size=1, max_size=5), st.integers(-(2**63), 2**64 - 1))


@given(names, st.text(min_size=1, max_size=5), names, st.one_of(st.none(), names), st.one_of(st.none(), names))
def test_any_names_make_an_activity_that_is_always_the_same(
    actor: Any, verb: str, object_: Any, target: Any, foreign_id: Any
) -> None:
    one, other = (Activity(actor, verb, object_, target, TIME, foreign_id=foreign_id) for _ in range(2))
    assert one == other
    assert one.id == other.id
    assert UUID(int=one.id).version == 7


@pytest.mark.parametrize("refused", [-1, 2**128, "x", None, 1.5, True])
def test_a_reference_to_what_is_no_id_is_refused(refused: Any) -> None:
    with pytest.raises((InvalidTypeError, InvalidValueError)):
        ActivityRef(refused)


def test_an_int_too_long_to_be_shown_is_refused_by_its_length() -> None:
    with pytest.raises(InvalidValueError, match=r"actor.*50001 bits"):
        like(actor=1 << 50_000)


def test_many_references_are_those_made_one_by_one() -> None:
    ids = [0, 7, 7, MAX_ID]
    assert references_to(ids) == [ActivityRef(one) for one in ids]
    assert references_to([]) == []

"""Activities as ActivityStreams 2.0 documents and back, and documents that are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyld import jsonld

from feedstore import Activity
from feedstore.errors import FeedstoreError, InvalidTypeError, InvalidValueError
from feedstore.interchange import activities_from_as2, from_as2, from_tagged, to_as2, to_as2_collection, to_tagged
from feedstore.interchange.as2_check import CONTEXT, TERMS
from interchange.drawn import names, plain, verbs

NOON = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)
LIKE: dict[str, Any] = {
    "@context": [CONTEXT, {"vcard": "http://www.w3.org/2006/vcard/ns#"}],
    "id": "https://social.example/activities/1",
    "type": ["Like", "https://schema.example/LikeAction"],
    "actor": {"type": "Person", "id": "https://social.example/ann", "nameMap": {"en": "Ann", "de-AT": "Anni"}},
    "object": [{"type": "Note", "content": "A note without an id"}, "https://social.example/notes/2"],
    "target": {"type": "Link", "href": "https://social.example/board", "rel": ["canonical", "me"]},
    "published": "2026-05-01T14:00:00.5+02:00",
    "to": ["https://social.example/bob"],
    "vcard:given-name": "Ann",
}


def jsonld_context() -> dict[str, Any]:
    """The terms that the vocabulary gives a type, as a JSON-LD context."""
    kinds: dict[str, dict[str, Any]] = {term: {"@type": "@id"} for term in TERMS["references"]}
    kinds |= {term: {"@type": "http://www.w3.org/2001/XMLSchema#dateTime"} for term in TERMS["times"]}
    kinds["href"] = {"@type": "@id"}
    kinds["orderedItems"] = {"@type": "@id", "@container": "@list"}
    context: dict[str, Any] = {"@vocab": f"{CONTEXT}#", "id": "@id", "type": "@type"}
    context |= {term: {"@id": f"{CONTEXT}#{term}", **kind} for term, kind in kinds.items()}
    maps = {term: {"@id": f"{CONTEXT}#{term[:-3]}", "@container": "@language"} for term in TERMS["maps"]}
    return {**context, **maps}


def compacted(document: dict[str, Any]) -> Any:
    context = jsonld_context()

    def load(url: str, options: Any = None) -> dict[str, Any]:
        assert url == CONTEXT
        return {"contextUrl": None, "documentUrl": url, "document": {"@context": context}}

    return jsonld.compact(document, context, {"documentLoader": load})


@given(
    verbs, names, names, st.none() | names, st.dictionaries(st.text(max_size=4), plain, max_size=3), st.none() | names
)
def test_an_activity_comes_back_from_its_document(
    verb: str, actor: Any, object_: Any, target: Any, context: dict[str, Any], foreign_id: Any
) -> None:
    context.pop("as2", None)
    activity = Activity(actor, verb, object_, target, NOON, context, foreign_id=foreign_id)
    options: dict[str, Any] = {"base": "https://social.example/", "types": {"post": "Create", "like": "Like"}}
    for chosen in ({}, options):
        text = json.dumps(to_as2(activity, **chosen), allow_nan=False)
        assert from_as2(text, **chosen) == activity


@given(plain)
def test_a_value_comes_back_from_its_tagged_form(value: Any) -> None:
    assert from_tagged(json.loads(json.dumps(to_tagged(value), allow_nan=False))) == value


def test_tagged_values_keep_their_types() -> None:
    value = [1, 1.0, True, NOON, date(2026, 5, 1), Decimal("1.5"), UUID(int=7), b"\xff", 10**5000, {"$a": "7"}, {1: 2}]
    found = from_tagged(json.loads(json.dumps(to_tagged(value))))
    assert (found, [type(one) for one in found]) == (value, [type(one) for one in value])


def test_a_value_too_deep_for_its_form_is_refused() -> None:
    for convert in (to_tagged, from_tagged):
        with pytest.raises(InvalidValueError, match="nested"):
            convert(nested(495, lambda inner: {"a": [inner]}))


@pytest.mark.parametrize(
    "form",
    [
        *({"$other": "1"}, {"$int": "1e9"}, {"$int": 7}, {"$bytes": "%"}, {"$uuid": "7"}, {"$date": "2026"}),
        *({"$datetime": "2026-05-01T12:00"}, {"$map": 7}, {"$map": [[[1], 2]]}, {"$decimal": "x"}),
    ],
)
def test_a_damaged_tag_is_refused(form: Any) -> None:
    with pytest.raises(InvalidValueError):
        from_tagged([form])


def test_a_foreign_document_comes_back_whole() -> None:
    activity = from_as2(LIKE)
    assert (activity.actor, activity.verb) == ("https://social.example/ann", "like")
    assert str(activity.object).startswith("_:")
    assert (activity.target, activity.foreign_id) == ("https://social.example/board", LIKE["id"])
    assert activity.time == datetime(2026, 5, 1, 12, 0, 0, 500_000, tzinfo=timezone.utc)
    assert to_as2(activity) == LIKE
    assert compacted(to_as2(activity)) == compacted(LIKE)


def test_a_document_has_the_same_meaning_in_json_ld() -> None:
    own = to_as2(Activity("ann", "review", "photo:7", time=NOON, extra_context={"stars": 5}, foreign_id=3))
    found = compacted(own)
    assert found["type"] == ["Activity", "urn:feedstore:verb:review"]
    assert found["urn:feedstore:extraContext"] == {"type": "@json", "@value": {"stars": 5}}
    assert (found["actor"], found["published"]) == ("urn:feedstore:name:ann", "2026-05-01T12:00:00Z")


def test_the_fields_that_changed_are_replaced_in_a_document() -> None:
    first = from_as2(LIKE)
    later = datetime(2026, 5, 2, tzinfo=timezone.utc)
    context = {**first.stored_context, "seen": 1}
    changed = Activity("bob", "dislike", first.object, None, later, context, foreign_id=first.foreign_id)
    document = to_as2(changed)
    assert (document["type"], document["actor"], document["published"]) == (
        "Dislike",
        "urn:feedstore:name:bob",
        "2026-05-02T00:00:00Z",
    )
    assert "target" not in document
    assert (document["object"], document["to"]) == (LIKE["object"], LIKE["to"])
    assert from_as2(document).stored_context["seen"] == 1


def test_a_document_without_a_time_takes_the_default_and_stays_without() -> None:
    document = {"type": "Follow", "actor": "https://social.example/ann", "object": "acct:bob@social.example"}
    with pytest.raises(InvalidValueError, match="default_time"):
        from_as2(document)
    activity = from_as2(document, default_time=NOON)
    assert (activity.time, activity.object) == (NOON, "acct:bob@social.example")
    assert to_as2(activity) == document


def test_names_are_described_on_request() -> None:
    people = {"ann": {"type": "Person", "name": "Ann"}}
    activity = Activity("ann", "like", "photo:7", time=NOON)
    document = to_as2(activity, base="https://social.example/", describe=lambda name: people.get(str(name)))
    assert document["actor"] == {"id": "https://social.example/ann", "type": "Person", "name": "Ann"}
    assert from_as2(document, base="https://social.example/") == activity


def test_a_collection_gives_its_activities_page_after_page() -> None:
    activities = [Activity("ann", "post", f"photo:{number}", time=NOON) for number in range(3)]
    first, second = activities[:2], activities[2:]
    page = to_as2_collection(first, "https://a.example/feed?page=1", part_of="https://a.example/feed")
    page["next"] = to_as2_collection(second, "https://a.example/feed?page=2", part_of="https://a.example/feed")
    whole = {**to_as2_collection([], "https://a.example/feed", total_items=3), "first": page}
    assert list(activities_from_as2(json.dumps(whole))) == activities
    assert list(activities_from_as2(page)) == activities
    assert list(activities_from_as2(to_as2_collection(activities, "https://a.example/feed"))) == activities
    assert list(activities_from_as2(LIKE)) == [from_as2(LIKE)]


def test_a_member_that_is_no_activity_does_not_stop_the_others() -> None:
    errors: list[FeedstoreError] = []
    members = [{"type": "Note"}, "https://social.example/activities/2", 7, LIKE]
    document = {"@context": CONTEXT, "type": "OrderedCollection", "orderedItems": members}
    assert list(activities_from_as2(document, on_error=errors.append)) == [from_as2(LIKE)]
    assert len(errors) == 3
    with pytest.raises(InvalidValueError, match="type of an object"):
        list(activities_from_as2(document))


def nested(levels: int, wrap: Callable[[Any], Any], value: Any = "https://a.example/") -> Any:
    for _ in range(levels):
        value = wrap(value)
    return value


HOLDS_ITSELF: list[Any] = []
HOLDS_ITSELF.append(HOLDS_ITSELF)
ENDLESS: dict[str, Any] = {"type": "Collection", "items": []}
ENDLESS["first"] = {**ENDLESS, "type": "CollectionPage"}
ENDLESS["first"]["next"] = ENDLESS["first"]
OWN = to_as2(Activity("ann", "like", "photo:7", time=NOON))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"actor": 90}, "actor: 90 is a number"),
        ({"actor": None}, "no actor"),
        ({"actor": []}, "no actor"),
        ({"object": "images/1"}, "object: 'images/1' is no absolute IRI"),
        ({"object": nested(150, lambda inner: {"type": "Note", "inReplyTo": inner})}, "levels"),
        ({"object": nested(2000, lambda inner: {"@list": inner})}, "levels"),
        ({"object": nested(2000, lambda inner: {"@set": [inner]})}, "levels"),
        ({"object": HOLDS_ITSELF}, "object"),
        ({"object": {"extension": HOLDS_ITSELF}}, "holds itself"),
        ({"extension": HOLDS_ITSELF}, "holds itself"),
        ({"actor": {"type": "Link", "href": {"type": "Note"}}}, "actor.href"),
        ({"object": {"type": "Note", "content": 42}}, r"object\.content"),
        ({"type": 16}, "type: 16"),
        ({"type": "Note", "actor": None}, None),
        ({"id": 4}, "id: 4"),
        ({"name": {"en": "x"}}, "nameMap"),
        ({"nameMap": "x"}, "nameMap"),
        ({"contentMap": {"de-419-DE": "x"}}, "de-419-DE"),
        ({"@context": 3}, "@context"),
        ({"@context": "http://schema.example"}, "lacks the context"),
        ({"published": "yesterday"}, "published"),
        ({"published": "2026-05-01T12:00:00"}, "offset"),
        ({"published": "2026-13-01T12:00:00Z"}, "published"),
        ({"published": "1969-12-31T23:59:59Z"}, "1970"),
        ({"duration": "2h"}, "duration"),
        ({"latitude": "1"}, "latitude"),
        ({"latitude": float("inf")}, "latitude"),
        ({"width": -1}, "width"),
        ({"mediaType": "html"}, "mediaType"),
        ({"replies": {"type": "OrderedCollection", "items": []}}, "orderedItems"),
        ({"replies": {"type": "Collection", "orderedItems": []}}, "replies.orderedItems"),
        ({"replies": {"type": "Collection", "first": {"type": "Create"}}}, "no page"),
    ],
)
def test_a_document_that_breaks_the_vocabulary_is_refused(change: dict[str, Any], message: str | None) -> None:
    with pytest.raises(InvalidValueError, match=message):
        from_as2({**LIKE, **change})


@pytest.mark.parametrize(
    ("document", "error"),
    [
        (7, InvalidTypeError),
        (["x"], InvalidTypeError),
        ("[]", InvalidValueError),
        ('"Now"', InvalidValueError),
        ("{", InvalidValueError),
        ('{"type": NaN}', InvalidValueError),
        (json.dumps({**LIKE, "extension": 0}).replace(" 0}", " 1e999}"), InvalidValueError),
        (b'{"type": "\xff"}', InvalidValueError),
        ({"verb": "post", "actor": {}}, InvalidValueError),
        ({"type": "Note"}, InvalidValueError),
        ({}, InvalidValueError),
        ({"type": "Like", "actor": "urn:feedstore:int:x", "published": "2026-05-01T12:00:00Z"}, InvalidValueError),
        ("[" * 100_000, InvalidValueError),
        (ENDLESS, InvalidValueError),
        ({**OWN, "extraContext": 7}, InvalidValueError),
        ({**OWN, "id": LIKE["id"], "extraContext": 7}, InvalidValueError),
        ({**OWN, "extraContext": {"deep": nested(700, lambda inner: [inner])}}, InvalidValueError),
        ({**OWN, "extraContext": {"as2": {"type": "Like", "actor": 7}}}, InvalidValueError),
    ],
)
def test_bad_input_is_refused(document: Any, error: type[FeedstoreError]) -> None:
    with pytest.raises(error):
        from_as2(document)
    with pytest.raises(error):
        list(activities_from_as2(document))


def test_large_ints_and_unusual_keys_are_accepted() -> None:
    """JSON bounds no number, and Python's mappings have keys that JSON lacks."""
    document = {**LIKE, "latitude": 10**400, "object": {1: 10**5000, "a": 3}}
    activity = from_as2(document)
    assert str(activity.object).startswith("_:")
    assert to_as2(activity) == document


def test_a_deep_document_comes_back() -> None:
    document = {**LIKE, "extension": nested(450, lambda inner: [inner])}
    assert to_as2(from_as2(document)) == document


def test_a_stored_document_that_is_none_is_refused() -> None:
    for document in ({}, {"type": "Like", "actor": 7}):
        with pytest.raises(InvalidValueError):
            to_as2(Activity("ann", "like", "photo:7", time=NOON, extra_context={"as2": document}))


def test_options_are_checked() -> None:
    activity = Activity("ann", "like", "photo:7", time=NOON)
    for base in ("social.example", "https://social example/"):
        with pytest.raises(InvalidValueError, match="base"):
            to_as2(activity, base=base)
    with pytest.raises(InvalidValueError, match="two verbs"):
        to_as2(activity, types={"post": "Create", "upload": "Create"})
    for types in (7, ["post"], {"post": ["Create"]}, {"post": ""}, {7: "Create"}):
        with pytest.raises(InvalidTypeError, match="types that are not empty"):
            to_as2(activity, types=types)  # type: ignore[arg-type]
    with pytest.raises(InvalidTypeError, match="Activity"):
        to_as2("activity")  # type: ignore[arg-type]
    with pytest.raises(InvalidValueError, match="partOf"):
        to_as2_collection([activity], "https://a.example/1", part_of="feed")

"""Activities as JSON Feed and as Atom."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from xml.etree import ElementTree

import pytest

from feedstore import Activity
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.ids import id_to_text
from feedstore.interchange import to_atom, to_json_feed

NOON = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)
POSTS = [Activity("ann", "post", f"photo:{number}", time=NOON - timedelta(seconds=number)) for number in range(2)]
ATOM = "{http://www.w3.org/2005/Atom}"


def sentence(activity: Activity) -> str:
    return f"{activity.actor} <posts> {activity.object} \x00\ud7ff"


def address(activity: Activity) -> str | None:
    return None if activity.object == "photo:1" else f"https://a.example/{activity.object}?a=1&b=2"


def test_a_json_feed_has_the_fields_of_its_version() -> None:
    feed = to_json_feed(
        POSTS,
        "Ann's feed",
        render=sentence,
        home_page_url="https://a.example/",
        feed_url="https://a.example/feed.json",
        next_url="https://a.example/feed.json?page=2",
        link=address,
    )
    assert json.loads(json.dumps(feed)) == {
        "version": "https://jsonfeed.org/version/1.1",
        "title": "Ann's feed",
        "home_page_url": "https://a.example/",
        "feed_url": "https://a.example/feed.json",
        "next_url": "https://a.example/feed.json?page=2",
        "items": [
            {
                "id": f"urn:uuid:{id_to_text(POSTS[0].id)}",
                "content_text": sentence(POSTS[0]),
                "url": "https://a.example/photo:0?a=1&b=2",
                "date_published": "2026-05-01T12:00:00Z",
                "authors": [{"name": "ann"}],
            },
            {
                "id": f"urn:uuid:{id_to_text(POSTS[1].id)}",
                "content_text": sentence(POSTS[1]),
                "date_published": "2026-05-01T11:59:59Z",
                "authors": [{"name": "ann"}],
            },
        ],
    }


def test_an_atom_feed_has_the_elements_of_the_rfc() -> None:
    data = to_atom(
        POSTS,
        "Ann & Bob",
        id="urn:feed:ann",
        render=sentence,
        feed_url="https://a.example/atom",
        next_url="https://a.example/atom?page=2&x=1",
        link=address,
    )
    root = ElementTree.fromstring(data)
    assert root.tag == f"{ATOM}feed"
    assert [root.findtext(f"{ATOM}{tag}") for tag in ("title", "id", "updated")] == [
        "Ann & Bob",
        "urn:feed:ann",
        "2026-05-01T12:00:00Z",
    ]
    assert {link.get("rel"): link.get("href") for link in root.findall(f"{ATOM}link")} == {
        "self": "https://a.example/atom",
        "next": "https://a.example/atom?page=2&x=1",
    }
    entries = root.findall(f"{ATOM}entry")
    assert [entry.findtext(f"{ATOM}id") for entry in entries] == [f"urn:uuid:{id_to_text(one.id)}" for one in POSTS]
    assert entries[0].findtext(f"{ATOM}title") == sentence(POSTS[0]).replace("\x00", "\ufffd")
    assert [entry.findtext(f"{ATOM}author/{ATOM}name") for entry in entries] == ["ann", "ann"]
    assert [len(entry.findall(f"{ATOM}link")) for entry in entries] == [1, 0]


def test_an_empty_atom_feed_has_a_time() -> None:
    root = ElementTree.fromstring(to_atom([], "Ann", id="urn:feed:ann", render=sentence, updated=NOON))
    assert root.findtext(f"{ATOM}updated") == "2026-05-01T12:00:00Z"
    updated = ElementTree.fromstring(to_atom([], "Ann", id="urn:feed:ann", render=sentence)).findtext(f"{ATOM}updated")
    assert updated is not None
    assert datetime.fromisoformat(updated) > NOON - timedelta(days=3650)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(InvalidTypeError, match="hydrate_from"):
        to_json_feed([POSTS[0].reference], "Ann", render=sentence)  # type: ignore[list-item]
    with pytest.raises(InvalidTypeError, match="title"):
        to_json_feed([], None, render=sentence)  # type: ignore[arg-type]
    with pytest.raises(InvalidTypeError, match="render"):
        to_atom(POSTS, "Ann", id="urn:feed:ann", render=lambda activity: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(InvalidValueError, match="IRI"):
        to_atom(POSTS, "Ann", id="ann", render=sentence)
    with pytest.raises(InvalidValueError, match="timezone"):
        to_atom(POSTS, "Ann", id="urn:feed:ann", render=sentence, updated=datetime(2026, 5, 1))  # noqa: DTZ001

"""Activities as JSON Feed 1.1 and as Atom (RFC 4287)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import Any
from xml.etree import ElementTree

from feedstore.activity import Activity
from feedstore.activity_fields import in_utc
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.interchange.as2 import urn_of, utc_text
from feedstore.shown import shown

JSON_FEED_VERSION = "https://jsonfeed.org/version/1.1"
ATOM = "http://www.w3.org/2005/Atom"
Sentence = Callable[[Activity], str]
"""A function that returns the sentence of an activity, such as ``SentenceRenderer.render``."""
Link = Callable[[Activity], "str | None"]
"""A function that returns the address of an activity's page, or None."""

# The characters that XML 1.0 has no form for.
_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_json_feed(
    activities: Iterable[Activity],
    title: str,
    *,
    render: Sentence,
    home_page_url: str | None = None,
    feed_url: str | None = None,
    next_url: str | None = None,
    link: Link | None = None,
) -> dict[str, Any]:
    """Return a JSON Feed 1.1 of activities, such as those of a page of a feed.

    Args:
        activities: the activities, in the order of the feed.
        title: the title of the feed.
        render: returns the sentence of an activity, which becomes ``content_text``.
        home_page_url: the address of the page that shows the feed.
        feed_url: the address of the feed.
        next_url: the address of the next page of the feed.
        link: returns the address of an activity's page, which becomes ``url``.

    >>> post = Activity("ann", "post", "photo:7", time=datetime(2026, 5, 1, tzinfo=timezone.utc))
    >>> feed = to_json_feed([post], "Ann", render=lambda one: f"{one.actor} posted {one.object}")
    >>> feed["items"][0]["content_text"], feed["items"][0]["date_published"]
    ('ann posted photo:7', '2026-05-01T00:00:00Z')
    """
    feed: dict[str, Any] = {"version": JSON_FEED_VERSION, "title": _checked_title(title)}
    addresses = {"home_page_url": home_page_url, "feed_url": feed_url, "next_url": next_url}
    feed |= {name: url for name, url in addresses.items() if url is not None}
    items = []
    for activity in activities:
        item = {"id": urn_of(activity), "content_text": _sentence_of(activity, render)}
        if link is not None and (url := link(activity)) is not None:
            item["url"] = url
        items.append({**item, "date_published": utc_text(activity.time), "authors": [{"name": str(activity.actor)}]})
    feed["items"] = items
    return feed


def to_atom(
    activities: Iterable[Activity],
    title: str,
    *,
    id: str,
    render: Sentence,
    feed_url: str | None = None,
    next_url: str | None = None,
    link: Link | None = None,
    updated: datetime | None = None,
) -> bytes:
    """Return an Atom feed of activities as XML in UTF-8.

    Characters that XML cannot carry become U+FFFD.

    Args:
        activities: the activities, in the order of the feed.
        title: the title of the feed.
        id: the permanent IRI of the feed.
        render: returns the sentence of an activity, which becomes the title of its entry.
        feed_url: the address of the feed, as ``rel="self"``.
        next_url: the address of the next page, as ``rel="next"`` (RFC 5005).
        link: returns the address of an activity's page.
        updated: the time of the feed; by default that of the newest activity, or of this call if there is none.
    """
    ordered = list(activities)
    if not isinstance(id, str) or ":" not in id:
        raise InvalidValueError(f"id must be an IRI, such as https://example.org/ann, not {shown(id)}")
    newest = max((one.time for one in ordered), default=datetime.now(timezone.utc))
    root = ElementTree.Element("feed", xmlns=ATOM)
    _add(root, "title", _checked_title(title))
    _add(root, "id", id)
    _add(root, "updated", utc_text(newest if updated is None else in_utc(updated)))
    for relation, url in (("self", feed_url), ("next", next_url)):
        if url is not None:
            ElementTree.SubElement(root, "link", rel=relation, href=carried_by_xml(url))
    for activity in ordered:
        root.append(_entry_of(activity, render, link))
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _entry_of(activity: Activity, render: Sentence, link: Link | None) -> ElementTree.Element:
    entry = ElementTree.Element("entry")
    _add(entry, "title", _sentence_of(activity, render))
    _add(entry, "id", urn_of(activity))
    _add(entry, "updated", utc_text(activity.time))
    _add(entry, "published", utc_text(activity.time))
    _add(ElementTree.SubElement(entry, "author"), "name", str(activity.actor))
    url = None if link is None else link(activity)
    if url is not None:
        ElementTree.SubElement(entry, "link", rel="alternate", href=carried_by_xml(url))
    return entry


def _add(parent: ElementTree.Element, tag: str, text: str) -> None:
    ElementTree.SubElement(parent, tag).text = carried_by_xml(text)


def carried_by_xml(text: str) -> str:
    """Return a str with U+FFFD for each character that XML 1.0 has no form for."""
    return _NOT_IN_XML.sub("\ufffd", text)


def _checked_title(title: str) -> str:
    if not isinstance(title, str):
        raise InvalidTypeError(f"title must be a str, not {shown(title)}")
    return title


def _sentence_of(activity: Activity, render: Sentence) -> str:
    if not isinstance(activity, Activity):
        raise InvalidTypeError(f"a feed for readers needs activities, not {shown(activity)}; read with hydrate_from=")
    sentence = render(activity)
    if not isinstance(sentence, str):
        raise InvalidTypeError(f"render returned {shown(sentence)}; it must return a str")
    return sentence

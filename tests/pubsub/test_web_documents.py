"""Documents of web feeds: Atom, RSS and JSON Feed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feedstore.errors import PayloadError
from feedstore.pubsub import web_documents
from feedstore.pubsub.parsers import AtomParser
from feedstore.pubsub.web_documents import header_links, read_feed
from pubsub.web_server import ATOM, ENTRY, atom, ids

RSS = """<rss version="2.0"><channel><title>Blog</title><link>https://a.example/</link><description>All</description>
<item><title>B &amp;amp; more</title><link>/b</link><guid isPermaLink="false">b</guid>
<pubDate>Fri, 01 May 2026 14:00:00 +0200</pubDate><category>coffee</category>
<enclosure url="https://a.example/b.mp3" length="9" type="audio/mpeg"/></item>
<item><title>A</title><link>https://a.example/a</link></item>
<item><description>neither id nor link</description></item></channel></rss>"""
ENTITIES = '<!DOCTYPE r [<!ENTITY a "aa">]><rss version="2.0"><channel><title>&a;</title></channel></rss>'
NAMESPACE = 'xmlns="http://www.w3.org/2005/Atom"'
JSON_FEED = {
    "version": "https://jsonfeed.org/version/1.1",
    "title": "Eve",
    "language": "en",
    "feed_url": "https://e.example/feed.json",
    "hubs": [{"type": "WebSub", "url": "https://hub.example/"}, {"type": "rssCloud", "url": "https://other.example/"}],
    "authors": [{"name": "Eve", "url": "https://e.example/"}],
    "items": [
        {
            "id": 2,
            "content_text": "1 < 2",
            "url": "/2",
            "date_published": "2026-05-02T12:00:00+02:00",
            "date_modified": "2026-05-03T12:00:00Z",
            "tags": ["math"],
            "attachments": [{"url": "/2.png", "mime_type": "image/png", "size_in_bytes": 7}],
        },
        {"id": "1", "title": "One", "content_html": "<p>Hi</p>", "author": {"name": "Bob"}},
        "no item",
    ],
}


def test_an_rss_feed() -> None:
    document = read_feed(RSS.encode(), "https://a.example/rss", "text/xml")
    parsed = [AtomParser()(one) for one in document.items]
    assert ids(document.items)[1:] == ["https://a.example/a", "b"]
    assert document.items[0].id.startswith("sha256:")
    assert ids(read_feed(RSS.encode(), "https://a.example/rss").items) == ids(document.items)
    assert parsed[0]["summary"] == "neither id nor link"
    assert (parsed[2]["title"], parsed[2]["url"]) == ("B & more", "https://a.example/b")
    assert (parsed[2]["published"], parsed[2]["categories"]) == ("2026-05-01T12:00:00Z", ["coffee"])
    assert parsed[2]["enclosures"][0]["href"] == "https://a.example/b.mp3"
    assert document.metadata == {"title": "Blog", "description": "All"}


def test_a_json_feed() -> None:
    document = read_feed(json.dumps(JSON_FEED).encode(), "https://e.example/feed.json")
    assert document.links == {"self": ("https://e.example/feed.json",), "hub": ("https://hub.example/",)}
    assert document.metadata == {"title": "Eve", "language": "en"}
    one, two = document.items
    assert (one.id, one.publisher, AtomParser()(one)["content"]) == ("1", "Bob", "Hi")
    parsed = AtomParser()(two)
    assert (two.id, two.publisher, parsed["content"], parsed["url"]) == ("2", "Eve", "1 < 2", "https://e.example/2")
    assert (parsed["published"], parsed["updated"]) == ("2026-05-02T10:00:00Z", "2026-05-03T12:00:00Z")
    assert (parsed["categories"], parsed["enclosures"][0]["length"]) == (["math"], "7")


def test_addresses_and_times_that_are_none_are_left_out() -> None:
    bad, time = "http://[", "0001-01-01T00:00:00+14:00"
    entry = {"id": "1", "url": bad, "external_url": "/1", "attachments": [{"url": bad}], "date_published": time}
    document = read_feed(json.dumps({**JSON_FEED, "feed_url": bad, "items": [entry]}).encode(), "https://e.example/")
    assert (document.links, document.items[0].published) == ({"hub": ("https://hub.example/",)}, None)
    assert AtomParser()(document.items[0])["links"] == [{"rel": "alternate", "href": "https://e.example/1"}]
    assert header_links(f"<{bad}>; rel=hub, </f>; rel=self", "https://e.example/") == {"self": ("https://e.example/f",)}


def test_the_newest_of_entries_with_one_id_counts() -> None:
    entries = ENTRY.format(1) + ENTRY.format(1).replace("Text 1", "Later").replace("05-01", "05-09") + ENTRY.format(2)
    document = read_feed(ATOM.format(entries).encode(), "https://a.example/")
    assert ids(document.items) == ["urn:2", "urn:1"]
    assert AtomParser()(document.items[1])["content"] == "Later"


def test_control_characters_and_endless_ids_give_good_xml() -> None:
    feed = {**JSON_FEED, "items": [{"id": "é" * 501, "title": "a\x01b\ufffe"}]}
    (item,) = read_feed(json.dumps(feed).encode(), "https://e.example/").items
    assert item.id.startswith("sha256:")
    assert AtomParser()(item)["title"] == "a\ufffdb\ufffd"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no feed"),
        (b"<html><body>A page</body></html>", "no feed"),
        (b"\xff\xfe\x00", "no feed"),
        (b'{"version": "https://jsonfeed.org/version/2", "items": []}', "no JSON Feed"),
        (b"{", "cannot be read as JSON"),
        (
            b"<rss version='2.0'><channel><title>%s</title></channel></rss>" % (b"&#60;!-" * 2001 + b"&lt;!--" * 2001),
            "comments",
        ),
        (ENTITIES.encode(), "entities"),
        (f'<?xml version="1.0" encoding="utf-16"?>{ENTITIES}'.encode("utf-16"), "entities"),
        (f'<?xml version="1.0" encoding="cp037"?>{ENTITIES}'.encode("cp037"), "entities"),
        (f'<?xml version="1.0" encoding="utf-7"?>{ENTITIES}'.replace("<!E", "+ADwAIQ-E").encode(), "entities"),
        (json.dumps({**JSON_FEED, "items": [{"id": str(one)} for one in range(10_001)]}).encode(), "10000 entries"),
    ],
)
def test_documents_that_are_no_feed(body: bytes, reason: str) -> None:
    with pytest.raises(PayloadError, match=reason):
        read_feed(body, "https://a.example/")


def test_parts_that_every_entry_repeats_are_limited() -> None:
    feed = {**JSON_FEED, "items": [{"id": one} for one in range(100)], "authors": [{"name": "Eve"}] * 3}
    assert len(read_feed(json.dumps(feed).encode(), "https://e.example/").items) == 100
    feed["authors"] = [{"name": "Eve"}] * 1000
    with pytest.raises(PayloadError, match="far larger than its document"):
        read_feed(json.dumps(feed).encode(), "https://e.example/")


@pytest.mark.parametrize(("base", "count"), [("https://b.example/" + "b" * 50_000, 1), ("b/" * 500, 60)])
def test_bases_of_relative_addresses_are_limited(base: str, count: int) -> None:
    entries = ENTRY.format(1) * 100
    assert len(read_feed(f"<feed {NAMESPACE} xml:base='https://b.example/c/'>{entries}</feed>".encode(), "").items) == 1
    inner = f"<x xml:base='{base}'>" * count + entries + "</x>" * count
    with pytest.raises(PayloadError, match="long base addresses"):
        read_feed(f"<feed {NAMESPACE}>{inner}</feed>".encode(), "https://a.example/")


def test_many_links_of_one_relation_cost_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    # If the time grew with the square of the number, it would take minutes.
    monkeypatch.setattr(web_documents, "urljoin", lambda url, address: address)
    links = web_documents._relations([{"rel": "hub", "href": "x"}] * 100_000, "https://e.example/")
    assert len(links["hub"]) == 100_000


def test_a_body_never_opens_a_file(tmp_path: Any) -> None:
    path = tmp_path / "feed.xml"
    path.write_bytes(atom(1))
    with pytest.raises(PayloadError):
        read_feed(str(path).encode(), "https://a.example/")

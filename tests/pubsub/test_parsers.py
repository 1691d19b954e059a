"""The parsers of items: Atom, ActivityStreams 2.0 and JSON."""

from __future__ import annotations

import json

import pytest

from feedstore.errors import PayloadError
from feedstore.pubsub import ServiceItem, markup
from feedstore.pubsub.markup import LARGEST_PAYLOAD, MOST_XML_LEVELS, read_xml, text_of_html
from feedstore.pubsub.parsers import ActivityStreamsParser, AtomParser, ItemParser, JsonParser

MICROBLOG = """<entry xmlns="http://www.w3.org/2005/Atom" xmlns:thr="http://purl.org/syndication/thread/1.0"
  xml:lang="fr">
  <id>tag:a.example,2026:1</id>
  <title type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">
    <p>Un <b>caf</b>\u00e9 &lt;3</p><p>noir</p></div></title>
  <summary type="html">&lt;p&gt;Deux&lt;/p&gt;&lt;script&gt;secret()&lt;/script&gt;cafés</summary>
  <content>un
     texte</content>
  <published>2026-05-01T14:00:00+02:00</published><updated>2026-05-01T12:30:00.5Z</updated>
  <author><name>Ann</name><uri>xmpp:ann@a.example</uri><email>ann@a.example</email></author>
  <contributor><name>Bob</name></contributor>
  <category term="coffee"/><category term="morning"/><category term="coffee"/><category/>
  <link rel="alternate" href="xmpp:ann@a.example?;node=urn%3Axmpp%3Amicroblog%3A0;item=1"/>
  <link href="https://a.example/1" type="text/html"/>
  <link rel="replies" title="comments" href="xmpp:pubsub.a.example?;node=comments%2F1"/>
  <link rel="via" href="xmpp:eve@a.example?;node=n;item=2" ref="tag:a.example,2026:2"/>
  <link rel="enclosure" href="https://a.example/1.png" type="image/png" length="99"/>
  <link rel="self"/>
  <thr:in-reply-to ref="tag:a.example,2026:0" href="https://a.example/0"/>
  <generator uri="https://client.example">Client</generator>
  <source><id>tag:a.example,2026:feed</id><title>Feed of Ann</title></source>
  <rights>CC0</rights>
  <geoloc xmlns="http://jabber.org/protocol/geoloc"><lat>48.1</lat><lon>-3.3</lon></geoloc>
</entry>"""
NOTE = {
    "@context": "https://www.w3.org/ns/activitystreams",
    "type": "Create",
    "actor": {"type": "Person", "id": "https://a.example/ann", "name": "Ann"},
    "object": {
        "type": "Note",
        "contentMap": {"en": "<p>Fresh <b>cof</b>fee</p>"},
        "tag": [{"type": "Link", "href": "https://a.example/t", "name": "morning"}],
    },
}


def item(payload: str | bytes) -> ServiceItem:
    return ServiceItem("1", payload if isinstance(payload, bytes) else payload.encode())


def container(document: object) -> str:
    return f"<json xmlns='urn:xmpp:json:0'>{json.dumps(document).replace('&', '&amp;').replace('<', '&lt;')}</json>"


def test_every_part_of_an_atom_entry() -> None:
    parsed = AtomParser()(item(MICROBLOG))
    links = parsed.pop("links")
    assert [one["rel"] for one in links] == ["alternate", "alternate", "replies", "via", "enclosure"]
    assert parsed == {
        "lang": "fr",
        "id": "tag:a.example,2026:1",
        "title": "Un café <3 noir",
        "title_html": "<p>Un <b>caf</b>é &lt;3</p><p>noir</p>",
        "summary": "Deux cafés",
        "summary_html": "<p>Deux</p><script>secret()</script>cafés",
        "content": "un texte",
        "published": "2026-05-01T12:00:00Z",
        "updated": "2026-05-01T12:30:00.500000Z",
        "authors": [{"name": "Ann", "uri": "xmpp:ann@a.example", "email": "ann@a.example"}],
        "contributors": [{"name": "Bob"}],
        "categories": ["coffee", "morning"],
        "url": "https://a.example/1",
        "comments": ["xmpp:pubsub.a.example?;node=comments%2F1"],
        "repeat_of": {"rel": "via", "href": "xmpp:eve@a.example?;node=n;item=2", "ref": "tag:a.example,2026:2"},
        "enclosures": [{"rel": "enclosure", "href": "https://a.example/1.png", "type": "image/png", "length": "99"}],
        "in_reply_to": [{"ref": "tag:a.example,2026:0", "href": "https://a.example/0"}],
        "generator": {"name": "Client", "uri": "https://client.example"},
        "source": {"id": "tag:a.example,2026:feed", "title": "Feed of Ann"},
        "rights": "CC0",
        "geoloc": {"lat": "48.1", "lon": "-3.3"},
    }
    json.dumps(parsed)


def test_the_text_of_an_atom_entry_has_no_markup() -> None:
    text = AtomParser().text(item(MICROBLOG))
    assert text == "Un café <3 noir Deux cafés un texte Ann coffee morning"


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (
            '<feed xmlns="http://www.w3.org/2005/Atom"><title>Blog</title></feed>',
            {"is_metadata": True, "title": "Blog"},
        ),
        (
            '<entry xmlns="http://www.w3.org/2005/Atom"><content src="https://a.example/v" type="video/mp4"/></entry>',
            {"content_src": "https://a.example/v", "content_type": "video/mp4"},
        ),
        (
            '<entry xmlns="http://www.w3.org/2005/Atom"><content type="image/svg+xml"><svg>dot</svg></content></entry>',
            {"content": "dot", "content_type": "image/svg+xml"},
        ),
        (
            '<entry xmlns="http://www.w3.org/2005/Atom"><published>yesterday</published><updated>2026</updated></entry>',
            {},
        ),
        ('<?xml version="1.0" encoding="iso-8859-1"?><entry xmlns="http://www.w3.org/2005/Atom"/>', {}),
    ],
)
def test_unusual_atom(payload: str, expected: dict[str, object]) -> None:
    assert AtomParser()(item(payload)) == expected


def test_an_encoding_that_the_document_names() -> None:
    head = "<?xml version='1.0' encoding='{}'?><entry xmlns='http://www.w3.org/2005/Atom'><title>é</title></entry>"
    for encoding in ("utf-8", "iso-8859-1", "utf-16", "windows-1252"):
        assert AtomParser()(item(head.format(encoding).encode(encoding))) == {"title": "é"}


def test_the_text_of_an_item_that_was_just_parsed() -> None:
    parser = JsonParser()
    first, second = item('{"a": "one"}'), item('{"a": "two"}')
    assert (parser(first), parser.text(first)) == ({"a": "one"}, "one")
    assert (parser.text(second), parser.text(first)) == ("two", "one")


@pytest.mark.parametrize("document", [json.dumps(NOTE), container(NOTE)])
def test_activity_streams(document: str) -> None:
    parser = ActivityStreamsParser()
    assert parser(item(document)) == NOTE
    assert parser.text(item(document)) == "Ann Fresh coffee morning"


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, True], "b": {"c": "x\n y <b>"}}, ["x y", "<b>"], "x y <b>"])
def test_json(value: object) -> None:
    parser = JsonParser()
    expected = value if isinstance(value, dict) else {"value": value}
    for payload in (json.dumps(value), container(value), "\ufeff" + json.dumps(value)):
        assert parser(item(payload)) == expected
        assert parser.text(item(payload)) == "x y <b>"


BOMB = '<!DOCTYPE b [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><entry>&b;</entry>'
EXTERNAL = '<!DOCTYPE b [<!ENTITY a SYSTEM "file:///etc/hostname">]><entry>&a;</entry>'


@pytest.mark.parametrize(
    ("parser", "payload", "reason"),
    [
        (AtomParser(), "", "cannot be read as XML"),
        (AtomParser(), "<entry", "cannot be read as XML"),
        (AtomParser(), "<entry/><entry/>", "cannot be read as XML"),
        (AtomParser(), "<entry>&undefined;</entry>", "cannot be read as XML"),
        (AtomParser(), b"<entry>\xff</entry>", "cannot be read as XML"),
        (AtomParser(), '<?xml version="1.0" encoding="nonsense"?><entry/>', "cannot be read as XML"),
        (AtomParser(), '<?xml version="1.0" encoding="utf-7"?><entry/>', "cannot be read as XML"),
        (AtomParser(), BOMB, "document type"),
        (AtomParser(), EXTERNAL, "document type"),
        (AtomParser(), "<entry/>", "no Atom entry"),
        (AtomParser(), '{"a": 1}', "cannot be read as XML"),
        (AtomParser(), "<a>" * (MOST_XML_LEVELS + 1), "levels deep"),
        (AtomParser(), b"<a>" + b" " * LARGEST_PAYLOAD, "bytes"),
        (JsonParser(), "", "cannot be read as JSON"),
        (JsonParser(), '{"a": NaN}', "NaN"),
        (JsonParser(), '{"a": 1e999}', "too large"),
        (JsonParser(), '{"a": ' + "9" * 5000 + "}", "cannot be read as JSON"),
        (JsonParser(), '{"a": "\\ud800"}', "surrogate"),
        (JsonParser(), '{"a": ["\\u0000"]}', "NUL"),
        (JsonParser(), b'{"a": "\xff"}', "cannot be read as JSON"),
        (JsonParser(), '{"a": 1}'.encode("utf-16"), "cannot be read as JSON"),
        (JsonParser(), "[" * 100_000, "cannot be read as JSON"),
        (JsonParser(), "[" * 600 + "]" * 600, "levels deep"),
        (JsonParser(), "<other/>", "no JSON"),
        (JsonParser(), b" " * (LARGEST_PAYLOAD + 1), "bytes"),
        (ActivityStreamsParser(), "[]", "no JSON object"),
        (ActivityStreamsParser(), json.dumps(json.dumps(NOTE)), "no JSON object"),
        (ActivityStreamsParser(), '{"type": "Note", "id": 7}', "id: 7"),
        (ActivityStreamsParser(), '{"verb": "post"}', "ActivityStreams 1"),
    ],
)
def test_refusals(parser: ItemParser, payload: str | bytes, reason: str) -> None:
    for read in (parser, parser.text):
        with pytest.raises(PayloadError, match=reason):
            read(item(payload))


def test_the_number_of_elements_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markup, "MOST_ELEMENTS", 10)
    read_xml(b"<a>" + b"<b/>" * 9 + b"</a>")
    with pytest.raises(PayloadError, match="more than 10 elements"):
        read_xml(b"<a>" + b"<b/>" * 10)


def test_an_item_of_10_mib_is_read() -> None:
    words = "word " * (2 * 1024 * 1024)
    parsed = AtomParser()(item(f'<entry xmlns="http://www.w3.org/2005/Atom"><content>{words}</content></entry>'))
    assert len(parsed["content"]) == len(words) - 1


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("plain &amp; simple", "plain & simple"),
        ("a<br>b<i>c</i>d<LI>e</LI>", "a bcd e"),
        ("1 < 2 and 3 <4", "1 < 2 and 3 <4"),
        ("<!-- <b>no</b> -->yes<!DOCTYPE html>", "yes"),
        ("a<!-- open", "a"),
        ("a<style>b{}</STYLE>c<script>d", "a c"),
        ("a<iframe/>b", "a b"),
        # Its form in lower case has two characters.
        ("İİİİİİ<Script>x</scripT>b", "İİİİİİ b"),
        ("a<b", "a"),
        ("&lt;b&gt;", "<b>"),
    ],
)
def test_text_of_html(markup: str, text: str) -> None:
    assert text_of_html(markup) == text


def test_hostile_html_costs_linear_time() -> None:
    # Each of them would take minutes if the time grew with the square of the length.
    for part in ("<", "<!--", "<script>", "<script></", "<a ", "<!", "&#", "<b "):
        text_of_html(part * 100_000)


def test_reading_xml_keeps_the_tail_of_elements() -> None:
    root = read_xml(b"<a>1<b>2</b>3</a>")
    assert "".join(root.itertext()) == "123"

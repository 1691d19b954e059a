"""Real stanzas and feeds, if ``FEEDSTORE_TEST_DATA`` names a folder with them. They may not be copied into the project.

- ``xmpp-pubsub-examples/xep-examples.tar.gz``: the examples of XEPs, ``xep-NNNN/NNN.xml``.
- ``feeds-atom-rss/feedjira_entries.csv.gz``: the entries of real feeds, with ``time``, ``object`` (the id), ``target``
  (the feed) and the title in ``extra``.
- ``activitystreams2-docs/w3c-as2-test.tar.gz``: the documents of W3C's tests, of which those in ``fail`` are invalid.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import tarfile
from collections import defaultdict
from pathlib import Path
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from feedstore.errors import PayloadError
from feedstore.pubsub.markup import read_xml
from feedstore.pubsub.parsers import ActivityStreamsParser, AtomParser
from feedstore.pubsub.web_documents import read_feed
from feedstore.pubsub.xmpp_stanzas import events_of, serialised

DATA = os.environ.get("FEEDSTORE_TEST_DATA", "")
# The payloads of the items of each example, and its events. Examples that are not listed have neither.
EXAMPLES = """
0060/001 atom
0060/002 ItemsPublished*4
0060/046 atom ItemsPublished
0060/075 atom*4
0060/076 atom*3
0060/077 atom
0060/079 atom*2
0060/081 atom*2
0060/096 atom
0060/097 atom
0060/100 atom*4 ItemsPublished*4
0060/101 ItemsPublished*4
0060/102 ItemsPublished
0060/104 ItemsPublished
0060/114 atom
0060/117 ItemsRetracted*2
0060/118 ItemsRetracted
0060/150 NodeConfigured
0060/151 NodeConfigured
0060/160 NodeDeleted*2
0060/165 NodePurged*2
0060/216 ItemsPublished
0060/217 ItemsPublished
0060/218 ItemsPublished
0060/219 ItemsPublished
0060/226 refused:geoloc ItemsPublished
0060/231 atom ItemsPublished
0163/001 refused:tune
0163/002 refused:tune*2
0163/003 refused:tune*2
0163/006 refused:tune
0163/009 refused:tune
0248/007 ItemsPublished
0248/009 malformed
0248/010 malformed
0248/011 malformed
0277/001 atom
0277/002 atom
0277/003 atom ItemsPublished
0277/004 atom
0277/005 atom
0277/007 atom
0277/008 atom
0277/009 atom
0277/010 atom
0277/011 atom
0303/003 atom
0303/006 malformed
0303/007 malformed
0303/010 malformed
0330/002 refused:subscription
0330/004 refused:subscription
0472/002 atom
0472/003 atom
0472/004 atom ItemsPublished
0472/005 atom
0472/006 atom
0472/007 atom
"""


def contents(example: bytes) -> list[str]:
    """The payloads and events of an example, or ``malformed``."""
    try:
        root = read_xml(b"<examples>" + example + b"</examples>")
    except PayloadError as error:
        return ["malformed" if "mismatched tag" in str(error) else str(error)]
    items = [one for one in root.iter() if one.tag.startswith("{http://jabber.org/protocol/pubsub") and len(one)]
    payloads = [kind_of(one[0]) for one in items if one.tag.endswith("}item")]
    messages = [one for one in root.iter() if one.tag.rpartition("}")[2] == "message"]
    return payloads + [type(event).__name__ for one in messages for event in events_of("a.example", one)]


def kind_of(payload: Element) -> str:
    try:
        parsed = AtomParser().parse(serialised(payload))
    except PayloadError as error:
        return f"refused:{payload.tag.rpartition('}')[2]}" if "no Atom entry" in str(error) else str(error)
    return "atom" if parsed["title"] else "no title"


def counted(names: list[str]) -> str:
    distinct = dict.fromkeys(names)
    return " ".join(name if names.count(name) == 1 else f"{name}*{names.count(name)}" for name in distinct)


# Documents of W3C's tests outside of ``fail`` that break the Recommendation, or are no JSON, with the reasons.
INVALID = {
    "test/simple0011.json": "name: {'en'",
    "test/simple0012.json": "name: {'en'",
    "test/vocabulary-ex183-jsonld.json": "longitude: '122.4167' is a string",
    "test/vocabulary-ex196-jsonld.json": "Invalid control character",
}

if DATA:

    def test_every_example_of_xmpp_is_read_or_refused() -> None:
        with tarfile.open(Path(DATA, "xmpp-pubsub-examples", "xep-examples.tar.gz")) as archive:
            files = {one.name: archive.extractfile(one) for one in archive if one.name.endswith(".xml")}
            found = {
                name.partition("xep-")[2].removesuffix(".xml"): counted(contents(file.read()))
                for name, file in sorted(files.items())
                if file is not None
            }
        assert len(found) == 336
        assert "\n".join(f"{name} {kinds}" for name, kinds in found.items() if kinds) == EXAMPLES.strip()

    def test_every_document_of_activity_streams_is_read_or_refused() -> None:
        parser, refused, read = ActivityStreamsParser(), {}, 0
        with tarfile.open(Path(DATA, "activitystreams2-docs", "w3c-as2-test.tar.gz")) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.name.endswith(".json") else None
                if file is not None:
                    try:
                        parser.parse(file.read())
                        read += 1
                    except PayloadError as error:
                        refused[member.name] = str(error)
        assert read == 209
        assert len([name for name in refused if name.startswith("test/fail/")]) == 20
        others = {name: reason for name, reason in refused.items() if not name.startswith("test/fail/")}
        assert {name: words for name, words in INVALID.items() if words in others.get(name, "")} == INVALID
        assert set(others) == set(INVALID)

    def test_every_entry_of_real_feeds_is_read() -> None:
        rows: dict[str, list[dict[str, str]]] = defaultdict(list)
        table = gzip.decompress(Path(DATA, "feeds-atom-rss", "feedjira_entries.csv.gz").read_bytes()).decode()
        for row in csv.DictReader(io.StringIO(table, newline="")):
            rows[row["target"]].append({**row, "title": json.loads(row["extra"]).get("title", "")})
        assert sum(map(len, rows.values())) == 267
        for entries in rows.values():
            newest = {one["object"]: one for one in sorted(entries, key=lambda one: one["time"])}
            for document in (as_atom(entries), as_rss(entries)):
                # feedparser resolves a relative id of Atom to the address of the document.
                items = {
                    one.id.removeprefix("urn:base:"): one for one in read_feed(document.encode(), "urn:base:").items
                }
                assert set(items) == set(newest)
                for name, one in items.items():
                    assert one.updated is not None
                    assert one.updated.strftime("%Y-%m-%dT%H:%M:%S") == newest[name]["time"][:19]
                    assert AtomParser()(one).get("title", "") == " ".join(newest[name]["title"].split())


def as_atom(entries: list[dict[str, str]]) -> str:
    """A feed of the entries in Atom."""
    parts = [
        f"<entry><id>{escape(one['object'])}</id><title>{escape(one['title'])}</title><updated>{one['time']}</updated>"
        "</entry>"
        for one in entries
    ]
    return f'<feed xmlns="http://www.w3.org/2005/Atom">{"".join(parts)}</feed>'


def as_rss(entries: list[dict[str, str]]) -> str:
    """A feed of the entries in RSS, whose titles are HTML."""
    parts = [
        f'<item><guid isPermaLink="false">{escape(one["object"])}</guid><title>{escape(escape(one["title"]))}</title>'
        f"<pubDate>{one['time']}</pubDate></item>"
        for one in entries
    ]
    return f'<rss version="2.0"><channel>{"".join(parts)}</channel></rss>'


def test_the_table_has_one_line_for_each_example() -> None:
    names = [line.split()[0] for line in EXAMPLES.split("\n") if line]
    assert names == sorted(set(names))

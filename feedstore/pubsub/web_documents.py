"""Documents of web feeds, in Atom, RSS or JSON Feed, as items whose payloads are Atom entries."""

from __future__ import annotations

import html
import io
import re
from calendar import timegm
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from hashlib import sha256
from typing import Any
from urllib.parse import urljoin
from xml.etree.ElementTree import Element, SubElement, tostring

from feedstore.errors import MissingDriverError, PayloadError
from feedstore.interchange.as2 import utc_text
from feedstore.interchange.syndication import ATOM, carried_by_xml
from feedstore.pubsub.markup import read_json, utc_time
from feedstore.pubsub.payloads import WHITE_SPACE
from feedstore.pubsub.values import ServiceItem
from feedstore.shown import shown

try:
    import feedparser
    from feedparser.encodings import convert_to_utf8
except ImportError:
    raise MissingDriverError("web feeds need feedparser: pip install 'feedstore[feeds]'") from None

MOST_FEED_ENTRIES = 10_000
"""The number of entries of the largest document that is read."""
_MOST_COMMENTS = 2000
"""feedparser's cleaning needs quadratic time for comments that do not end: 0.03 seconds for this number."""
# An escaped character has up to 8 bytes, and each entry repeats addresses and authors of the document.
_MOST_GROWTH = 8
_MOST_REPEATED = 8192
_MOST_RESOLVED = 64 * 1024 * 1024
_LONGEST_ID = 1000
_MOST_TEXT = 4 * 1024 * 1024
_LONGEST_HEADER = 8192
_LINK_VALUE = re.compile(r"<([^<>]*)>([^<>]*)")
_LINK_RELATION = re.compile(r"""\brel\s*=\s*["']?([^"',;]+)""", re.IGNORECASE)
_DOCTYPE_ENTITY = re.compile(rb"<!ENTITY", re.IGNORECASE)
_BASE = re.compile(rb"""\bbase\s*=\s*("[^"]*"|'[^']*'|[^\s>]*)""", re.IGNORECASE)
_ABSOLUTE = re.compile(rb"""["']?[a-z]+://[^/]""", re.IGNORECASE)


@dataclass(frozen=True)
class FeedDocument:
    """The content of a feed's document.

    Attributes:
        items: the items, oldest first. Their ids are unique.
        metadata: the title, the description and the language of the feed, as far as it states them.
        links: the addresses by their relation, such as ``self`` and ``hub``.
    """

    items: tuple[ServiceItem, ...]
    metadata: Mapping[str, str]
    links: Mapping[str, tuple[str, ...]]


@dataclass
class _Entry:
    """An entry of any format, on its way to an Atom entry."""

    id: str | None = None
    title: str = ""
    title_type: str = "text"
    summary: str = ""
    content: str = ""
    published: datetime | None = None
    updated: datetime | None = None
    authors: tuple[Mapping[str, Any], ...] = ()
    categories: tuple[str, ...] = ()
    links: tuple[Mapping[str, Any], ...] = ()

    @property
    def url(self) -> str | None:
        """The address of the entry's page."""
        return next((one["href"] for one in self.links if one.get("rel") == "alternate"), None)


def read_feed(body: bytes, url: str, content_type: str = "") -> FeedDocument:
    """Return the content of a feed's document.

    feedparser reads Atom and RSS, also most malformed documents, and cleans their HTML. The id of an item is that of
    the entry (``id``, ``guid``), else the address of its page, else a hash of its content. If several entries have one
    id, the one that was updated last counts, and among equal ones the first.

    Args:
        body: the document.
        url: its address, to which relative addresses are resolved.
        content_type: the value of the header, which may name the encoding.

    Raises:
        PayloadError: The document is no feed, defines entities, has more than 2,000 comments in its HTML, exceeds
            :data:`MOST_FEED_ENTRIES`, or has long parts that its entries would repeat, as authors and ``xml:base``.
    """
    if _is_json(body, content_type):
        entries, metadata, links = _json_feed(body, url)
    else:
        entries, metadata, links = _xml_feed(body, url, content_type)
    if len(entries) > MOST_FEED_ENTRIES:
        raise PayloadError(f"the feed {shown(url)} has more than {MOST_FEED_ENTRIES} entries")
    return FeedDocument(_ordered(_unique(_items_of(entries, len(body), url))), metadata, links)


def _ordered(items: list[ServiceItem]) -> tuple[ServiceItem, ...]:
    """Return the items oldest first: by their times if all have one, else in the reverse order of the document."""
    items.reverse()
    times = [one.updated or one.published for one in items]
    if None not in times:
        items.sort(key=lambda one: one.updated or one.published)  # type: ignore[arg-type, return-value]
    return tuple(items)


def _unique(items: Iterable[ServiceItem]) -> list[ServiceItem]:
    found: dict[str, ServiceItem] = {}
    for one in items:
        known = found.get(one.id)
        is_newer = (
            known is not None and one.updated is not None and (known.updated is None or one.updated > known.updated)
        )
        if known is None or is_newer:
            found[one.id] = one
    return list(found.values())


def _items_of(entries: Sequence[_Entry], size: int, url: str) -> Iterator[ServiceItem]:
    """Yield the items of entries, as long as their payloads are in proportion to the bytes of the document.

    A document states some parts once, such as its authors, that the payload of each entry repeats.
    """
    most = _MOST_GROWTH * size + _MOST_REPEATED * len(entries)
    for entry in entries:
        item = _item_of(entry)
        most -= len(item.payload)
        if most < 0:
            raise PayloadError(f"the entries of the feed {shown(url)} are far larger than its document of {size} bytes")
        yield item


def _item_of(entry: _Entry) -> ServiceItem:
    item_id = _clean(entry.id or "").strip() or _clean(entry.url or "").strip()
    if not item_id or len(item_id.encode()) > _LONGEST_ID:
        content = "\0".join((item_id, entry.title, entry.summary, entry.content, str(entry.published)))
        item_id = f"sha256:{sha256(content.encode('utf-8', 'replace')).hexdigest()}"
    publisher = next((_clean(str(one["name"])) for one in entry.authors if one.get("name")), None)
    updated = entry.updated or entry.published
    return ServiceItem(item_id, _atom_entry(item_id, entry), publisher, entry.published, updated)


def _atom_entry(item_id: str, entry: _Entry) -> bytes:
    root = Element("entry", xmlns=ATOM)
    _add(root, "id", item_id)
    _add(root, "title", entry.title, entry.title_type)
    for name, time in (("published", entry.published), ("updated", entry.updated or entry.published)):
        if time is not None:
            _add(root, name, utc_text(time))
    for author in entry.authors:
        element = SubElement(root, "author")
        for name, key in (("name", "name"), ("uri", "href"), ("email", "email")):
            if author.get(key):
                _add(element, name, str(author[key]))
    for term in dict.fromkeys(entry.categories):
        SubElement(root, "category", term=_clean(term))
    for link in entry.links:
        SubElement(root, "link", {name: _clean(str(value)) for name, value in link.items() if value})
    if entry.summary and entry.summary != entry.content:
        _add(root, "summary", entry.summary, "html")
    if entry.content:
        _add(root, "content", entry.content, "html")
    payload: bytes = tostring(root, encoding="utf-8")
    return payload


def _add(parent: Element, name: str, text: str, kind: str = "text") -> None:
    element = SubElement(parent, name, {} if kind == "text" else {"type": kind})
    element.text = _clean(text)


def _clean(text: str) -> str:
    return carried_by_xml(text[:_MOST_TEXT])


def _is_json(body: bytes, content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind in ("application/feed+json", "application/json") or body.lstrip(WHITE_SPACE)[:1] == b"{"


# --- Atom and RSS ---------------------------------------------------------------------------------------------------


def _xml_feed(
    body: bytes, url: str, content_type: str
) -> tuple[list[_Entry], dict[str, str], dict[str, tuple[str, ...]]]:
    headers = {"content-location": url, "content-type": content_type or "application/xml"}
    try:
        # The encoding may be any that Python knows, such as UTF-7, in which a declaration has other bytes.
        converted = convert_to_utf8(headers, body, {})
    except Exception as error:
        raise PayloadError(f"{shown(url)} cannot be read as a feed: {shown(str(error))}") from error
    if _DOCTYPE_ENTITY.search(converted):
        raise PayloadError(f"the feed {shown(url)} defines entities of its own, which may expand without end")
    markup = html.unescape(converted.decode("utf-8", "replace"))
    if markup.count("<!--") > _MOST_COMMENTS:
        raise PayloadError(
            f"the feed {shown(url)} has more than {_MOST_COMMENTS} comments, which may take hours to clean"
        )
    if _longest_base(converted) * markup.count("<") > _MOST_RESOLVED:
        raise PayloadError(f"the feed {shown(url)} has long base addresses for too many elements")
    try:
        # From a str or bytes, feedparser would also open files and addresses.
        parsed = feedparser.parse(io.BytesIO(body), response_headers=headers)
    except Exception as error:
        raise PayloadError(f"{shown(url)} cannot be read as a feed: {shown(str(error))}") from error
    feed = parsed.feed
    if not parsed.get("version") and not parsed.entries:
        reason = parsed.get("bozo_exception", "it has neither Atom nor RSS")
        raise PayloadError(f"{shown(url)} is no feed: {shown(str(reason))}")
    metadata = {
        name: str(feed[key])
        for name, key in (("title", "title"), ("description", "subtitle"), ("language", "language"))
        if feed.get(key)
    }
    return [_parsed_entry(one) for one in parsed.entries], metadata, _relations(feed.get("links", ()), url)


def _longest_base(document: bytes) -> int:
    """Return the most bytes that the attributes ``xml:base`` add to one relative address.

    An absolute base replaces those of the elements around it, and a relative one is added to them.
    """
    absolute = relative = 0
    for (value,) in map(re.Match.groups, _BASE.finditer(document)):
        if _ABSOLUTE.match(value):
            absolute = max(absolute, len(value))
        else:
            relative += len(value)
    return absolute + relative


def _parsed_entry(entry: Mapping[str, Any]) -> _Entry:
    contents = entry.get("content") or ()
    detail = entry.get("title_detail") or {}
    links = [
        {name: one.get(name) for name in ("rel", "href", "type", "title", "length")}
        for one in entry.get("links", ())
        if one.get("href")
    ]
    if entry.get("link") and not any(one["rel"] == "alternate" for one in links):
        links.append({"rel": "alternate", "href": entry["link"]})
    authors = [one for one in entry.get("authors", ()) if one.get("name")]
    if not authors and entry.get("author"):
        authors = [{"name": entry["author"]}]
    return _Entry(
        id=entry.get("id"),
        title=entry.get("title") or "",
        title_type="html" if "html" in str(detail.get("type", "")) else "text",
        summary=entry.get("summary") or "",
        content=next((str(one.get("value") or "") for one in contents), ""),
        published=_utc(entry.get("published_parsed")),
        updated=_utc(entry.get("updated_parsed") if "updated" in entry else None),
        authors=tuple(authors),
        categories=tuple(str(one["term"]) for one in entry.get("tags", ()) if one.get("term")),
        links=tuple(links),
    )


def _utc(parts: Any) -> datetime | None:
    try:
        return None if parts is None else datetime.fromtimestamp(timegm(parts), timezone.utc)
    except (ValueError, OverflowError, OSError):
        return None


def header_links(header: str, url: str) -> dict[str, tuple[str, ...]]:
    """Return the addresses of a header ``Link`` by their relation (RFC 8288).

    >>> header_links('<https://hub.example/>; rel="hub", </feed>; rel=self', "https://a.example/x")
    {'hub': ('https://hub.example/',), 'self': ('https://a.example/feed',)}
    """
    found: list[dict[str, str]] = []
    for address, parameters in _LINK_VALUE.findall(header[:_LONGEST_HEADER]):
        relations = _LINK_RELATION.search(parameters)
        found.extend({"rel": one, "href": address} for one in (relations[1].split() if relations else ()))
    return _relations(found, url)


def _relations(links: Iterable[Mapping[str, Any]], url: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for one in links:
        relation, address = one.get("rel"), _absolute(url, one.get("href"))
        if relation and address:
            found.setdefault(relation, []).append(address)
    return {relation: tuple(addresses) for relation, addresses in found.items()}


def _absolute(url: str, address: Any) -> str:
    """Return an address of a document at ``url`` as an absolute one; the empty str if it is none."""
    try:
        return urljoin(url, address) if address and isinstance(address, str) else ""
    except ValueError:
        # Such as http://[
        return ""


# --- JSON Feed ------------------------------------------------------------------------------------------------------


def _json_feed(body: bytes, url: str) -> tuple[list[_Entry], dict[str, str], dict[str, tuple[str, ...]]]:
    feed = read_json(body)
    items = feed.get("items") if isinstance(feed, dict) else None
    if not isinstance(items, list) or not str(feed.get("version", "")).startswith("https://jsonfeed.org/version/1"):
        raise PayloadError(f"{shown(url)} is JSON, but no JSON Feed of version 1")
    metadata = {name: str(feed[name]) for name in ("title", "description", "language") if feed.get(name)}
    hubs = [
        {"rel": "hub", "href": one.get("url")}
        for one in _dicts(feed.get("hubs"))
        if str(one.get("type", "")).lower() == "websub"
    ]
    links = _relations([{"rel": "self", "href": _str_of(feed, "feed_url")}, *hubs], url)
    authors = _json_authors(feed)
    return [_json_entry(one, url, authors) for one in _dicts(items)], metadata, links


def _json_entry(item: Mapping[str, Any], url: str, authors: tuple[Mapping[str, Any], ...]) -> _Entry:
    own_id = item.get("id")
    page = _absolute(url, item.get("url")) or _absolute(url, item.get("external_url"))
    links: list[Mapping[str, Any]] = [{"rel": "alternate", "href": page}] if page else []
    links.extend(
        {
            "rel": "enclosure",
            "href": address,
            "type": _str_of(one, "mime_type"),
            "title": _str_of(one, "title"),
            "length": one.get("size_in_bytes"),
        }
        for one in _dicts(item.get("attachments"))
        if (address := _absolute(url, one.get("url")))
    )
    tags = item.get("tags")
    return _Entry(
        id=None if own_id is None else str(own_id),
        title=_str_of(item, "title"),
        summary=_escaped(_str_of(item, "summary")),
        content=_str_of(item, "content_html") or _escaped(_str_of(item, "content_text")),
        published=utc_time(_str_of(item, "date_published")),
        updated=utc_time(_str_of(item, "date_modified")),
        authors=_json_authors(item) or authors,
        categories=tuple(one for one in tags if isinstance(one, str)) if isinstance(tags, list) else (),
        links=tuple(links),
    )


def _json_authors(value: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    # Version 1.0 has one author.
    listed = _dicts(value.get("authors")) or _dicts([value.get("author")])
    return tuple({"name": _str_of(one, "name"), "href": _str_of(one, "url")} for one in listed)


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _str_of(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    return found if isinstance(found, str) else ""


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")

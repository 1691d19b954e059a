"""Parsers of items, which return the content of a payload as a dict that JSON can hold."""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any
from xml.etree.ElementTree import Element, tostring

from feedstore.errors import InvalidValueError, PayloadError
from feedstore.interchange.as2 import utc_text
from feedstore.interchange.as2_check import check_document
from feedstore.interchange.syndication import ATOM
from feedstore.pubsub.markup import plain, read_json, read_xml, text_of_html, text_of_xhtml, utc_time
from feedstore.pubsub.payloads import WHITE_SPACE, strs_of
from feedstore.pubsub.values import ServiceItem
from feedstore.shown import shown

JSON_CONTAINER = "urn:xmpp:json:0"
"""The XML namespace of JSON in XMPP (XEP-0335)."""
_THREAD = "http://purl.org/syndication/thread/1.0"
_XHTML = "{http://www.w3.org/1999/xhtml}"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_LONGEST_KEPT = 65536
_PERSON = ("name", "uri", "email")
_LINK = ("rel", "href", "type", "title", "hreflang", "length", "ref")
_AS2_TEXTS = tuple(f"{name}{kind}" for name in ("name", "summary", "content") for kind in ("", "Map"))
_AS2_SILENT = frozenset({*_AS2_TEXTS, "@context"})
_REPLY = ("ref", "href", "type", "source")


class ItemParser(ABC):
    """A parser: a function of an item that returns its content as a dict that JSON can hold.

    Threads may share it. A payload that it cannot read raises :class:`~feedstore.errors.PayloadError`, with the reason.
    """

    _latest: tuple[bytes, str] | None = None

    def __call__(self, item: ServiceItem, service: str = "", node: str = "") -> dict[str, Any]:
        """Return the content of an item of a node.

        Raises:
            PayloadError: The payload is malformed, dangerous or too large, or has another format.
        """
        parsed = self.parse(item.payload)
        if len(item.payload) <= _LONGEST_KEPT:
            # A cache requests the text next. Parsing the payload again would take most of the time.
            self._latest = item.payload, self._joined(parsed)
        return parsed

    def text(self, item: ServiceItem) -> str:
        """Return the text of an item to search, without markup.

        Raises:
            PayloadError: As when the parser is called.
        """
        latest = self._latest
        if latest is not None and latest[0] is item.payload:
            return latest[1]
        return self._joined(self.parse(item.payload))

    def _joined(self, parsed: dict[str, Any]) -> str:
        return " ".join(filter(None, self._texts(parsed)))

    @abstractmethod
    def parse(self, payload: bytes) -> dict[str, Any]:
        """Return the content of a payload."""

    @abstractmethod
    def _texts(self, parsed: dict[str, Any]) -> Iterator[str]:
        """Yield the parts of a content that a search finds, without markup."""


class AtomParser(ItemParser):
    """A parser of Atom entries (RFC 4287), of microblogs (XEP-0277) and of social feeds (XEP-0472).

    The dict has these keys, each only if the entry has the element:

    - ``id``, ``lang``, ``rights``: strs.
    - ``title``, ``summary``, ``content``: strs without markup. ``title_html`` and so on have the markup of those that
      are HTML or XHTML; it comes from the publisher, so an application must sanitise it before a browser shows it.
      ``content_src`` and ``content_type`` stand for content that the entry does not hold as text.
    - ``published``, ``updated``: times in UTC, such as ``2026-05-01T12:00:00Z``.
    - ``authors``, ``contributors``: lists of dicts with ``name``, ``uri`` and ``email``.
    - ``categories``: a list of terms.
    - ``links``: a list of dicts with ``rel``, ``href``, ``type``, ``title``, ``hreflang``, ``length`` and ``ref``.
    - ``url``: the address of the first alternate link, with one of HTTP before others.
    - ``comments``: the addresses of the links with ``rel="replies"``, which name the node of the comments.
    - ``in_reply_to``: a list of dicts with ``ref``, ``href``, ``type`` and ``source`` (RFC 4685).
    - ``repeat_of``: the dict of the link with ``rel="via"``, if the entry repeats another one.
    - ``enclosures``: the dicts of the links with ``rel="enclosure"``.
    - ``generator``, ``source``: dicts with ``name`` and ``uri``, and with ``id`` and ``title``.
    - ``geoloc``: a dict of the fields of a location (XEP-0080).
    - ``is_metadata``: True for the payload of a feed's own item, which XEP-0277 stores with the id ``0``.

    >>> item = ServiceItem("1", b'<entry xmlns="http://www.w3.org/2005/Atom"><title>Hello</title></entry>')
    >>> AtomParser()(item)
    {'title': 'Hello'}
    """

    def parse(self, payload: bytes) -> dict[str, Any]:
        """Return the content of an Atom entry, or the metadata of an Atom feed without entries."""
        root = read_xml(payload)
        if root.tag not in (f"{{{ATOM}}}entry", f"{{{ATOM}}}feed"):
            raise PayloadError(f"the payload is the element {shown(root.tag)}, and no Atom entry")
        return atom_content(root)

    def _texts(self, parsed: dict[str, Any]) -> Iterator[str]:
        title = parsed.get("title", "")
        yield title
        # Microblogs repeat the beginning or all of the content in the title.
        yield from (parsed.get(name, "") for name in ("summary", "content") if parsed.get(name) != title)
        yield from (one.get("name", "") for one in parsed.get("authors", ()))
        yield from parsed.get("categories", ())


class JsonParser(ItemParser):
    """A parser of JSON, either plain in UTF-8, or in the element of XEP-0335. A value that is no object is ``value``.

    >>> JsonParser()(ServiceItem("1", b'<json xmlns="urn:xmpp:json:0">{"a": 1}</json>'))
    {'a': 1}
    """

    def parse(self, payload: bytes) -> dict[str, Any]:
        """Return the JSON object of a payload."""
        value = read_json(json_of(payload))
        return value if isinstance(value, dict) else {"value": value}

    def _texts(self, parsed: dict[str, Any]) -> Iterator[str]:
        yield from map(plain, strs_of(parsed))


class ActivityStreamsParser(JsonParser):
    """A parser of ActivityStreams 2.0 documents in JSON, either plain or in the element of XEP-0335.

    The dict is the document. Its vocabulary is checked, as in :func:`feedstore.interchange.from_as2`. The text has the
    names, summaries and contents of the document and of the objects inside it.
    """

    def parse(self, payload: bytes) -> dict[str, Any]:
        """Return an ActivityStreams document."""
        document = read_json(json_of(payload))
        if not isinstance(document, dict):
            raise PayloadError(f"the payload is no ActivityStreams document: {shown(document)} is no JSON object")
        try:
            check_document(document)
        except InvalidValueError as error:
            raise PayloadError(f"the payload is no ActivityStreams document: {error}") from None
        return document

    def _texts(self, parsed: dict[str, Any]) -> Iterator[str]:
        waiting: list[Any] = [parsed]
        while waiting:
            one = waiting.pop()
            if isinstance(one, dict):
                yield from (text_of_html(text) for name in _AS2_TEXTS if name in one for text in strs_of(one[name]))
                waiting.extend(reversed([value for name, value in one.items() if name not in _AS2_SILENT]))
            elif isinstance(one, list):
                waiting.extend(reversed(one))


def json_of(payload: bytes) -> bytes | str:
    """Return the JSON of a payload: that in the element ``json`` of XEP-0335, or the payload itself.

    Raises:
        PayloadError: The payload is another XML element, or malformed.
    """
    if not payload.lstrip(WHITE_SPACE).startswith(b"<"):
        return payload
    root = read_xml(payload)
    if root.tag != f"{{{JSON_CONTAINER}}}json":
        raise PayloadError(f"the payload is the element {shown(root.tag)}, and no JSON")
    return "".join(root.itertext())


def atom_content(entry: Element) -> dict[str, Any]:
    """Return the content of an Atom entry, as :class:`AtomParser` describes it."""
    found: dict[str, Any] = {}
    if entry.tag == f"{{{ATOM}}}feed":
        found["is_metadata"] = True
    if language := entry.get(_LANGUAGE):
        found["lang"] = language
    for name in ("title", "summary", "content", "rights"):
        found.update(_text_construct(name, entry.find(_atom(name))))
    for name in ("published", "updated"):
        time = utc_time(plain(entry.findtext(_atom(name))))
        if time is not None:
            found[name] = utc_text(time)
    found["id"] = plain(entry.findtext(_atom("id")))
    found["authors"] = [_children_of(one, _PERSON) for one in entry.iterfind(_atom("author"))]
    found["contributors"] = [_children_of(one, _PERSON) for one in entry.iterfind(_atom("contributor"))]
    categories = (plain(one.get("term")) for one in entry.iterfind(_atom("category")))
    found["categories"] = list(dict.fromkeys(filter(None, categories)))
    found["in_reply_to"] = [_attributes_of(one, _REPLY) for one in entry.iterfind(f"{{{_THREAD}}}in-reply-to")]
    found.update(_links_of(entry))
    generator, source = entry.find(_atom("generator")), entry.find(_atom("source"))
    if generator is not None:
        found["generator"] = _without_empty({"name": plain(generator.text), "uri": plain(generator.get("uri"))})
    if source is not None:
        found["source"] = _children_of(source, ("id", "title"))
    location = entry.find("{http://jabber.org/protocol/geoloc}geoloc")
    if location is not None:
        places = ((one.tag.rpartition("}")[2], plain(one.text)) for one in location)
        found["geoloc"] = _without_empty(dict(places))
    return _without_empty(found)


def _links_of(entry: Element) -> dict[str, Any]:
    links = []
    for element in entry.iterfind(_atom("link")):
        link = _attributes_of(element, _LINK)
        if "href" in link or "ref" in link:
            links.append({"rel": "alternate", **link})
    pages = [one["href"] for one in links if one["rel"] == "alternate" and "href" in one]
    return {
        "links": links,
        "url": next((one for one in pages if one.startswith(("http://", "https://"))), next(iter(pages), "")),
        "comments": [one["href"] for one in links if one["rel"] == "replies" and "href" in one],
        "repeat_of": next((one for one in links if one["rel"] == "via"), {}),
        "enclosures": [one for one in links if one["rel"] == "enclosure"],
    }


def _text_construct(name: str, element: Element | None) -> dict[str, str]:
    """Return the fields of an element that holds text, HTML, XHTML, or content of another type."""
    if element is None:
        return {}
    kind = element.get("type", "text").strip().lower()
    if source := plain(element.get("src")):
        return {f"{name}_src": source, f"{name}_type": kind}
    if kind in ("html", "text/html"):
        markup = element.text or ""
        return {name: text_of_html(markup), f"{name}_html": markup.strip()}
    if kind in ("xhtml", "application/xhtml+xml"):
        return {name: text_of_xhtml(element), f"{name}_html": _inner_markup(element)}
    if kind in ("text", "text/plain"):
        return {name: plain("".join(element.itertext()))}
    return {name: text_of_xhtml(element) if len(element) else "", f"{name}_type": kind}


def _inner_markup(element: Element) -> str:
    """Return the children of an XHTML content, or of the ``div`` that wraps them, as HTML without prefixes."""
    for one in element.iter():
        one.tag = one.tag.removeprefix(_XHTML)
    wrapper = element[0] if len(element) == 1 and element[0].tag == "div" else element
    parts = [html.escape(wrapper.text or "", quote=False)]
    parts.extend(tostring(child, encoding="unicode", method="html") for child in wrapper)
    return "".join(parts).strip()


def _children_of(element: Element, names: Iterable[str]) -> dict[str, str]:
    """Return the content of an Atom element's children by their names."""
    return _without_empty({name: plain(element.findtext(_atom(name))) for name in names})


def _attributes_of(element: Element, names: Iterable[str]) -> dict[str, str]:
    return _without_empty({name: plain(element.get(name)) for name in names})


def _without_empty(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value}


def _atom(name: str) -> str:
    return f"{{{ATOM}}}{name}"

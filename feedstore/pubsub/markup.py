"""Reading XML and JSON of strangers within limits, and the plain text of HTML."""

from __future__ import annotations

import html
import json
import re
from datetime import datetime, timezone
from typing import Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from feedstore.errors import MissingDriverError, PayloadError
from feedstore.interchange.as2_check import time_of
from feedstore.plain_values import DEEPEST, finite_number
from feedstore.shown import shown

try:
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser
except ImportError:
    raise MissingDriverError("reading XML of other parties needs defusedxml: pip install 'feedstore[feeds]'") from None

LARGEST_PAYLOAD = 16 * 1024 * 1024
"""The number of bytes of the largest payload that is read."""
MOST_ELEMENTS = 50_000
"""The number of elements of the largest XML document that is read."""
MOST_XML_LEVELS = 100
"""The number of levels of the most nested document that is read."""

# The elements that stand in the middle of a word, as <b> may. All others separate words.
_INLINE = frozenset(
    {
        *("a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font", "i"),
        *("ins", "kbd", "mark", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "time", "tt", "u"),
        *("var", "wbr"),
    }
)
_HIDDEN = {
    name: re.compile(f"</{name}", re.IGNORECASE | re.ASCII)
    for name in ("script", "style", "template", "noscript", "iframe", "object")
}
"""The elements without text to read, with the beginnings of their closing tags."""
_TAG = re.compile(r"</?([A-Za-z][A-Za-z0-9:-]*)")


class _LimitedBuilder(TreeBuilder):
    """A builder of elements that refuses documents beyond the limits."""

    def __init__(self) -> None:
        super().__init__()
        self._levels = 0
        self._elements = 0

    def start(self, tag: Any, attrs: dict[Any, Any], /) -> Element:
        self._levels += 1
        self._elements += 1
        if self._levels > MOST_XML_LEVELS:
            raise PayloadError(f"the XML document is nested more than {MOST_XML_LEVELS} levels deep")
        if self._elements > MOST_ELEMENTS:
            raise PayloadError(f"the XML document has more than {MOST_ELEMENTS} elements")
        return super().start(tag, attrs)

    def end(self, tag: Any, /) -> Element:
        self._levels -= 1
        return super().end(tag)


def read_xml(payload: bytes) -> Element:
    """Return the root element of an XML document.

    Raises:
        PayloadError: The document is malformed, its bytes are not of its encoding, the encoding is unknown, it has a
            document type definition or entities of its own, or it exceeds :data:`LARGEST_PAYLOAD`,
            :data:`MOST_ELEMENTS` or :data:`MOST_XML_LEVELS`.
    """
    _check_size(payload)
    parser = DefusedXMLParser(target=_LimitedBuilder(), forbid_dtd=True)
    try:
        parser.feed(payload)
        root: Element = parser.close()
    except DefusedXmlException as error:
        raise PayloadError(f"the XML document has a document type or an entity of its own: {error}") from None
    except (ParseError, ValueError, LookupError) as error:
        if isinstance(error, PayloadError):
            raise
        raise PayloadError(f"the payload cannot be read as XML: {error}") from None
    return root


def read_json(payload: bytes | str) -> Any:
    """Return the value of a JSON document in UTF-8.

    Raises:
        PayloadError: The document is malformed or not in UTF-8, holds NaN, an infinity, an int of more than 4,300
            digits, a lone surrogate or a NUL character, is nested more than 500 levels deep, or exceeds
            :data:`LARGEST_PAYLOAD`.
    """
    _check_size(payload)
    try:
        text = payload if isinstance(payload, str) else payload.decode("utf-8-sig")
        value = json.loads(text, parse_float=finite_number, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"the payload cannot be read as JSON in UTF-8: {error}") from None
    if "\\u" in text or text.count("[") + text.count("{") > DEEPEST:
        _check_values(value)
    return value


def utc_time(text: str) -> datetime | None:
    """Return a time of RFC 3339 in UTC; None if the str is none, has no offset, or lies beyond the years of UTC."""
    time = time_of(text)
    if time is None or time.tzinfo is None:
        return None
    try:
        return time.astimezone(timezone.utc)
    except OverflowError:
        return None


def text_of_html(markup: str) -> str:
    """Return the text of HTML, without tags, comments, scripts and styles. Character references are resolved.

    Malformed HTML is no error. The time is proportional to the length.

    >>> text_of_html("<p>1 &lt; 2</p><p>a <b>wo</b>rd<!-- note --></p><script>x()</script>")
    '1 < 2 a word'
    """
    parts: list[str] = []
    position = 0
    while (start := markup.find("<", position)) >= 0:
        parts.append(html.unescape(markup[position:start]))
        if markup.startswith("<!--", start):
            end = _end_of(markup, "-->", start + 4)
        elif (tag := _TAG.match(markup, start)) is not None or markup.startswith(("<!", "<?"), start):
            end = _end_of(markup, ">", start)
            name = tag[1].lower() if tag else ""
            if name in _HIDDEN and markup[start + 1] != "/" and markup[end - 2 : end] != "/>":
                closing = _HIDDEN[name].search(markup, end)
                end = len(markup) if closing is None else closing.start()
            if name not in _INLINE:
                parts.append(" ")
        else:
            parts.append("<")
            end = start + 1
        position = end
    parts.append(html.unescape(markup[position:]))
    return plain("".join(parts))


def plain(text: str | None) -> str:
    """Return a str with each run of white space as one space, and none around it."""
    return "" if text is None else " ".join(text.split())


def text_of_xhtml(element: Element) -> str:
    """Return the text of an XHTML element without markup, scripts and styles."""
    parts: list[str] = []
    _collect(element, parts)
    return plain("".join(parts))


def _collect(element: Element, parts: list[str]) -> None:
    # The depth of a document that read_xml returns is limited.
    name = element.tag.rpartition("}")[2].lower()
    if name not in _HIDDEN:
        parts.append(element.text or "")
        for child in element:
            separator = "" if child.tag.rpartition("}")[2].lower() in _INLINE else " "
            parts.append(separator)
            _collect(child, parts)
            parts.append(separator)
            parts.append(child.tail or "")


def _end_of(text: str, ending: str, start: int) -> int:
    """Return the position after the next ``ending``, or the end of the text."""
    found = text.find(ending, start)
    return len(text) if found < 0 else found + len(ending)


def _check_size(payload: bytes | str) -> None:
    if len(payload) > LARGEST_PAYLOAD:
        raise PayloadError(f"the payload has {len(payload)} bytes; the most that is read is {LARGEST_PAYLOAD}")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"it holds {shown(name)}, which JSON lacks")


def _check_values(value: Any) -> None:
    """Refuse a JSON value that is nested too deeply, or holds a str that a database cannot store."""
    waiting = [(value, DEEPEST)]
    while waiting:
        one, levels = waiting.pop()
        if isinstance(one, str):
            _check_str(one)
        elif isinstance(one, (dict, list)):
            if levels == 0:
                raise PayloadError(f"the JSON document is nested more than {DEEPEST} levels deep")
            inner = [*one, *one.values()] if isinstance(one, dict) else one
            waiting.extend((each, levels - 1) for each in inner)


def _check_str(text: str) -> None:
    if "\0" in text:
        raise PayloadError("the JSON document holds a NUL character, which databases cannot store")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PayloadError(f"the JSON document holds a lone surrogate: {shown(text, 40)}") from None

"""Reading payloads without a parser: the namespace of their first element, and their text without markup."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from xml.parsers import expat

from feedstore.pubsub.values import ServiceItem

MOST_TEXT = 200_000
"""The number of characters of an item's text that are indexed for searches."""
WHITE_SPACE = b" \t\r\n\xef\xbb\xbf"
"""The bytes before the first element of XML or the first value of JSON, with those of a byte order mark."""
_MOST_HEAD_BYTES = 1 << 16


class _Enough(Exception):
    """The needed part of a document was read, or the document has a document type and is not read further."""


def root_namespace(payload: bytes) -> str | None:
    """Return the XML namespace of the payload's first element, or None.

    The payload may be malformed. A document type is refused, so that no entity is expanded.
    """
    names: list[str] = []

    def begin(name: str, attributes: dict[str, str]) -> None:
        names.append(name)
        raise _Enough

    parser = _new_parser()
    parser.StartElementHandler = begin
    _feed(parser, payload[:_MOST_HEAD_BYTES], is_whole=False)
    return names[0].rpartition(" ")[0] or None if names else None


def payload_text(item: ServiceItem) -> str:
    """Return the text of an item's payload: of XML the text of its elements, of JSON its strs, of others all.

    A malformed document gives the text before the fault, and one with a document type none.
    """
    payload = item.payload.lstrip(WHITE_SPACE)
    if payload.startswith(b"<"):
        return _xml_text(payload)
    text = payload.decode("utf-8", "replace")
    if payload[:1] in (b"{", b"["):
        # A malformed document is searched as it is.
        with suppress(ValueError, RecursionError):
            return _joined(strs_of(json.loads(text)))
    return text[:MOST_TEXT]


def _xml_text(payload: bytes) -> str:
    parts: list[str] = []
    length = 0

    def take(text: str) -> None:
        nonlocal length
        parts.append(text)
        length += len(text)
        if length >= MOST_TEXT:
            raise _Enough

    parser = _new_parser()
    parser.buffer_text = True
    parser.CharacterDataHandler = take
    # The words of neighbouring elements are different words.
    parser.EndElementHandler = lambda name: take(" ")
    _feed(parser, payload, is_whole=True)
    return " ".join("".join(parts)[:MOST_TEXT].split())


def _new_parser() -> Any:
    parser: Any = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = _refuse
    return parser


def _refuse(*_: object) -> None:
    raise _Enough


def _feed(parser: Any, payload: bytes, is_whole: bool) -> None:
    try:
        parser.Parse(payload, is_whole)
    except (_Enough, expat.ExpatError, ValueError, LookupError):
        # The handlers have received the part that could be read.
        return


def strs_of(value: Any) -> Iterator[str]:
    """Yield the strs inside a value of JSON, in their order. Nesting costs no levels of Python's stack."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, (dict, list)):
            waiting.extend(reversed(list(one.values()) if isinstance(one, dict) else one))


def _joined(parts: Iterator[str]) -> str:
    found, length = [], 0
    for part in parts:
        found.append(part)
        length += len(part) + 1
        if length >= MOST_TEXT:
            break
    return " ".join(found)[:MOST_TEXT]

"""Reading payloads without a parser: the namespace of their first element, and their text without markup."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from xml.parsers import expat

from feedstore.pubsub.values import ServiceItem

MOST_TEXT = 200_000
"""The number of characters of an item's text that are indexed for searches."""
_MOST_HEAD_BYTES = 1 << 16
_WHITE_SPACE = b" \t\r\n\xef\xbb\xbf"


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
    payload = item.payload.lstrip(_WHITE_SPACE)
    if payload.startswith(b"<"):
        return _xml_text(payload)
    text = payload.decode("utf-8", "replace")
    if payload[:1] in (b"{", b"["):
        try:
            return _joined(_strs(json.loads(text)))
        except (ValueError, RecursionError):
            pass
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


def _strs(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _strs(one)


def _joined(parts: Iterator[str]) -> str:
    found, length = [], 0
    for part in parts:
        found.append(part)
        length += len(part) + 1
        if length >= MOST_TEXT:
            break
    return " ".join(found)[:MOST_TEXT]

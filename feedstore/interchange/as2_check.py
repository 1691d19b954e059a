"""Checks of ActivityStreams 2.0 documents against the vocabulary of the W3C Recommendation of 2017-05-23."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.plain_values import finite_number
from feedstore.shown import shown

CONTEXT = "https://www.w3.org/ns/activitystreams"
"""The JSON-LD context of ActivityStreams 2.0."""
_ACTIVITIES = (
    "Accept Activity Add Announce Arrive Block Create Delete Dislike Flag Follow Ignore IntransitiveActivity Invite "
    "Join Leave Like Listen Move Offer Question Read Reject Remove TentativeAccept TentativeReject Travel Undo "
    "Update View"
)
ACTIVITY_TYPES = frozenset(_ACTIVITIES.split())
COLLECTION_TYPES = frozenset({"Collection", "CollectionPage"})
ORDERED_TYPES = frozenset({"OrderedCollection", "OrderedCollectionPage"})
PAGE_TYPES = frozenset({"CollectionPage", "OrderedCollectionPage"})
MEMBERS = ("items", "orderedItems")
"""The terms of a collection that hold its members."""
MOST_LEVELS = 100
"""The most levels of objects in a document."""

_CONTEXTS = frozenset(
    {f"{scheme}://www.w3.org/ns/activitystreams{end}" for scheme in ("http", "https") for end in ("", "#")}
)
_IRI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+|_:[^\s]+")
# Well-formed language tags of RFC 5646, section 2.1, without the irregular grandfathered ones.
_LANGUAGE = re.compile(
    r"(?:[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4,8})(?:-[a-z]{4})?(?:-(?:[a-z]{2}|[0-9]{3}))?"
    r"(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*(?:-[0-9a-wyz](?:-[a-z0-9]{2,8})+)*(?:-x(?:-[a-z0-9]{1,8})+)?"
    r"|x(?:-[a-z0-9]{1,8})+",
    re.IGNORECASE,
)
_DURATION = re.compile(r"-?P(?=.)(\d+Y)?(\d+M)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?")
_TIME = re.compile(r"\d{4,}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?", re.IGNORECASE)


def decoded_document(document: Mapping[str, Any] | str | bytes) -> dict[str, Any]:
    """Return the JSON object of a document, which is a mapping, or JSON in a str or in UTF-8.

    Raises:
        InvalidTypeError: The document is of another type.
        InvalidValueError: It is no JSON, or no JSON object.
    """
    if isinstance(document, (str, bytes)):
        try:
            document = json.loads(document, parse_float=finite_number, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise InvalidValueError(f"the document cannot be read as JSON in UTF-8: {error}") from None
        if not isinstance(document, dict):
            raise InvalidValueError(f"the document is {_kind(document)}; pass a JSON object")
    if not isinstance(document, Mapping):
        raise InvalidTypeError(f"an ActivityStreams document must be a mapping, a str or bytes, not {shown(document)}")
    return dict(document)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"it holds {name}, which JSON lacks")


def check_document(document: Mapping[str, Any]) -> None:
    """Check all terms of ActivityStreams 2.0 in a document; other terms are extensions, which may hold any value.

    Raises:
        InvalidValueError: The document has another context, or a term has a value that the vocabulary excludes. The
            message begins with the path of the term.
    """
    if "@context" in document:
        _check_context(document["@context"])
    if "type" not in document and "@type" not in document and ("verb" in document or "objectType" in document):
        raise InvalidValueError("the document has a verb or an objectType, so it is of ActivityStreams 1; convert it")
    _check_object(document, "", MOST_LEVELS)


def check_container(document: Mapping[str, Any]) -> None:
    """Check a collection or a page as :func:`check_document`, but neither its members nor its first and next page."""
    inner = {*MEMBERS, "first", "next"}
    check_document({name: value for name, value in document.items() if name not in inner or isinstance(value, str)})
    _check_collection(document, set(types_of(document)), "")


def checked_types(types: Mapping[str, str] | None) -> dict[str, str]:
    """Return the ActivityStreams types by verbs that an application passes, or raise :class:`InvalidTypeError`."""
    found = types or {}
    is_mapping = isinstance(found, Mapping)
    if not is_mapping or not all(isinstance(one, str) and one for pair in found.items() for one in pair):
        raise InvalidTypeError(
            f'types must map verbs to types that are not empty, as {{"post": "Create"}} does, not {shown(types)}'
        )
    return dict(found)


def types_of(document: Mapping[str, Any]) -> list[str]:
    """Return the types of an object, without the prefix ``as:`` of the vocabulary."""
    found = values_of(document.get("type", document.get("@type")))
    return [one.removeprefix("as:").removeprefix(f"{CONTEXT}#") for one in found if isinstance(one, str) and one]


def values_of(value: Any) -> list[Any]:
    """Return the values of a term, which holds one value, a list of values, or null."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def _check_context(context: Any) -> None:
    entries = values_of(context)
    for entry in entries:
        if not isinstance(entry, (str, dict)):
            raise InvalidValueError(f"@context: {_kind(entry)}; it must be an IRI, an object or a list of them")
    if not _CONTEXTS.intersection(entry for entry in entries if isinstance(entry, str)):
        raise InvalidValueError(f"@context: {shown(context)} lacks the context of ActivityStreams, {CONTEXT}")


def _check_object(found: Mapping[str, Any], path: str, levels: int) -> None:
    if not levels:
        raise InvalidValueError(f"{path}: the document has more than {MOST_LEVELS} levels of objects")
    for term, value in found.items():
        check = _CHECKS.get(term)
        if check is not None and value is not None:
            check(value, f"{path}.{term}" if path else term, levels)
    _check_collection(found, set(types_of(found)), path)


def _check_collection(found: Mapping[str, Any], types: set[str], path: str) -> None:
    prefix = f"{path}." if path else ""
    if types & ORDERED_TYPES and "items" in found:
        raise InvalidValueError(f"{prefix}items: an ordered collection holds its members in orderedItems")
    if types & COLLECTION_TYPES and "orderedItems" in found:
        raise InvalidValueError(f"{prefix}orderedItems: an unordered collection holds its members in items")
    if not types & (ORDERED_TYPES | COLLECTION_TYPES):
        return
    for term in ("first", "last", "current", "next", "prev"):
        value = found.get(term)
        if isinstance(value, dict) and not set(types_of(value)) & (PAGE_TYPES | {"Link"}):
            raise InvalidValueError(f"{prefix}{term}: {shown(value)} is no page of a collection, and no link")


def _check_iri(value: Any, path: str, levels: int) -> None:
    if not isinstance(value, str) or not is_iri(value):
        problem = f"{shown(value)} is no absolute IRI" if isinstance(value, str) else _kind(value)
        raise InvalidValueError(f"{path}: {problem}; write an IRI as in https://example.org/notes/1")


def is_iri(text: str) -> bool:
    """Return whether a str is an absolute IRI, or the name of a blank node, such as ``_:b0``."""
    return _IRI.fullmatch(text) is not None


def _check_type(value: Any, path: str, levels: int) -> None:
    if not all(isinstance(name, str) and name for name in values_of(value)):
        raise InvalidValueError(f"{path}: {shown(value)} is no str and no list of strs")


def _check_reference(value: Any, path: str, levels: int) -> None:
    """Check an object, a link, an IRI, or a list of them."""
    for one in values_of(value):
        if isinstance(one, dict):
            # This checks the levels, so it comes first.
            _check_object(one, path, levels - 1)
            # "@list" and "@set" wrap values in JSON-LD.
            _check_reference(one.get("@list", one.get("@set")), path, levels - 1)
        elif one is not None:
            _check_iri(one, path, levels)


def _check_text(value: Any, path: str, levels: int) -> None:
    for one in values_of(value):
        if not isinstance(one, str) and not (isinstance(one, dict) and isinstance(one.get("@value"), str)):
            raise InvalidValueError(f"{path}: {_kind(one)}; it must be a str, and translations go to {path}Map")


def _check_language_map(value: Any, path: str, levels: int) -> None:
    if not isinstance(value, dict):
        raise InvalidValueError(f"{path}: {_kind(value)}; it must be an object of strs by language")
    for tag, text in value.items():
        _check_language(tag, path, levels)
        _check_text(text, f"{path}.{tag}", levels)


def _check_language(value: Any, path: str, levels: int) -> None:
    if not isinstance(value, str) or not _LANGUAGE.fullmatch(value):
        raise InvalidValueError(f"{path}: {shown(value)} is no language tag of RFC 5646, such as en or pt-BR")


def _check_time(value: Any, path: str, levels: int) -> None:
    for one in values_of(value):
        if not isinstance(one, str) or time_of(one) is None:
            raise InvalidValueError(f"{path}: {shown(one)} is no time; write it as in 2026-05-01T12:00:00Z")


def time_of(text: str) -> datetime | None:
    """Return the time of an ``xsd:dateTime``, or None if it is none; a time without an offset stays naive."""
    if not _TIME.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:
        return None


def _check_closed(value: Any, path: str, levels: int) -> None:
    for one in values_of(value):
        if isinstance(one, str) and time_of(one) is not None:
            continue
        if not isinstance(one, bool):
            _check_reference(one, path, levels)


def _check_number(value: Any, path: str, levels: int) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or (isinstance(value, float) and not math.isfinite(value)):
        raise InvalidValueError(f"{path}: {_kind(value)}; it must be a number")


def _check_count(value: Any, path: str, levels: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidValueError(f"{path}: {shown(value)} is no int of 0 or more")


def _check_duration(value: Any, path: str, levels: int) -> None:
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise InvalidValueError(f"{path}: {shown(value)} is no duration; write it as in PT2H30M")


def _check_media_type(value: Any, path: str, levels: int) -> None:
    if not isinstance(value, str) or "/" not in value:
        raise InvalidValueError(f"{path}: {shown(value)} is no media type, such as text/html")


def _kind(value: Any) -> str:
    """Return a description of a value of the wrong type."""
    if isinstance(value, bool):
        return f"{shown(value)} is a boolean"
    if isinstance(value, (int, float)):
        return f"{shown(value)} is a number"
    names = {str: "a string", list: "a list", dict: "an object", type(None): "null"}
    return f"{shown(value)} is {names.get(type(value), type(value).__name__)}"


TERMS: dict[str, tuple[str, ...]] = {
    kind: tuple(terms.split())
    for kind, terms in {
        "iris": "id @id href",
        "types": "type @type formerType",
        "references": (
            "actor anyOf attachment attributedTo audience bcc bto cc context current describes first following "
            "followers generator icon image inReplyTo inbox instrument items last liked likes location next "
            "object oneOf orderedItems origin outbox partOf prev preview replies result shares streams subject tag "
            "target to url"
        ),
        "strings": "name summary content units rel preferredUsername",
        "maps": "nameMap summaryMap contentMap",
        "languages": "hreflang",
        "times": "published updated startTime endTime deleted",
        "closed": "closed",
        "numbers": "accuracy altitude latitude longitude radius",
        "counts": "height width startIndex totalItems",
        "durations": "duration",
        "media types": "mediaType",
    }.items()
}
"""The terms of the vocabulary by the kind of their values."""

_KINDS: dict[str, Callable[[Any, str, int], None]] = {
    "iris": _check_iri,
    "types": _check_type,
    "references": _check_reference,
    "strings": _check_text,
    "maps": _check_language_map,
    "languages": _check_language,
    "times": _check_time,
    "closed": _check_closed,
    "numbers": _check_number,
    "counts": _check_count,
    "durations": _check_duration,
    "media types": _check_media_type,
}
_CHECKS = {term: _KINDS[kind] for kind, terms in TERMS.items() for term in terms}

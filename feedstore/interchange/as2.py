"""Activities as ActivityStreams 2.0 documents, and activities of such documents."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from datetime import datetime
from hashlib import blake2b
from typing import Any
from urllib.parse import quote, unquote

from feedstore.activity import Activity
from feedstore.errors import FeedstoreError, InvalidTypeError, InvalidValueError
from feedstore.ids import id_to_text
from feedstore.interchange.as2_check import (
    ACTIVITY_TYPES,
    COLLECTION_TYPES,
    CONTEXT,
    MEMBERS,
    MOST_LEVELS,
    ORDERED_TYPES,
    PAGE_TYPES,
    check_container,
    check_document,
    checked_types,
    decoded_document,
    is_iri,
    time_of,
    types_of,
    values_of,
)
from feedstore.interchange.tagged import from_tagged, to_tagged
from feedstore.plain_values import plain_copy
from feedstore.rendering import Name
from feedstore.shown import shown

Describe = Callable[[Name], "Mapping[str, Any] | None"]
"""A function that returns the ActivityStreams object of a name, or None."""
SOURCE = "as2"
"""The key in ``extra_context`` of the document that an activity came from."""

_NAMESPACE = "urn:feedstore:"
_NAME, _NUMBER, _VERB = f"{_NAMESPACE}name:", f"{_NAMESPACE}int:", f"{_NAMESPACE}verb:"
_OWN_TERMS: dict[str, Any] = {
    "feedstore": _NAMESPACE,
    "extraContext": {"@id": "feedstore:extraContext", "@type": "@json"},
    "foreignId": {"@id": "feedstore:foreignId", "@type": "@json"},
}
_OWN_CONTEXT = [CONTEXT, _OWN_TERMS]
_SCHEMES = ("http:", "https:", "urn:", "acct:", "at:", "did:", "mailto:", "tag:")
_BLANK = "_:"


def to_as2(
    activity: Activity,
    *,
    base: str | None = None,
    types: Mapping[str, str] | None = None,
    describe: Describe | None = None,
) -> dict[str, Any]:
    """Return the ActivityStreams 2.0 document of an activity.

    :func:`from_as2` with the same ``base`` and ``types`` returns an equal activity. An activity that came from a
    document becomes that document again, with the fields that differ since replaced.

    Args:
        activity: the activity.
        base: the beginning of the IRIs of names that are no IRIs: with ``https://example.org/``, ``ann`` becomes
            ``https://example.org/ann``. By default it becomes ``urn:feedstore:name:ann``. IRIs that begin with
            ``http:``, ``https:``, ``urn:``, ``acct:``, ``at:``, ``did:``, ``mailto:`` or ``tag:`` stay.
        types: the ActivityStreams types of verbs, such as ``{"post": "Create"}``. By default the verb ``like`` is
            the type ``Like``, and a verb of no such type is an ``Activity`` and ``urn:feedstore:verb:`` with the verb.
        describe: a function that returns an object with further terms of a name, such as ``{"type": "Person", "name":
            "Ann"}``, which the document then holds instead of the IRI.

    >>> from datetime import timezone
    >>> like = Activity("ann", "like", "photo:7", time=datetime(2026, 5, 1, tzinfo=timezone.utc))
    >>> document = to_as2(like, base="https://example.org/")
    >>> document["type"], document["actor"], document["published"]
    ('Like', 'https://example.org/ann', '2026-05-01T00:00:00Z')
    >>> from_as2(document, base="https://example.org/") == like
    True
    """
    if not isinstance(activity, Activity):
        raise InvalidTypeError(f"to_as2 takes an Activity, not {shown(activity)}")
    names = _Names(base, types)
    document = activity.stored_context.get(SOURCE)
    if isinstance(document, dict):
        # The application may have changed it.
        check_document(document)
        return _updated(document, activity, names)
    return {"@context": deepcopy(_OWN_CONTEXT), **_own_form(activity, names, describe)}


def to_as2_collection(
    activities: Iterable[Activity],
    id: str,
    *,
    total_items: int | None = None,
    part_of: str | None = None,
    next: str | None = None,
    base: str | None = None,
    types: Mapping[str, str] | None = None,
    describe: Describe | None = None,
) -> dict[str, Any]:
    """Return an ``OrderedCollection`` of activities, or an ``OrderedCollectionPage`` if ``part_of`` is given.

    Args:
        activities: the activities, in the order of the collection.
        id: the IRI of the collection or page.
        total_items: the number of activities of the whole collection.
        part_of: the IRI of the collection of which this is a page.
        next: the IRI of the next page.
        base: as in :func:`to_as2`, like ``types`` and ``describe``.
    """
    members = [to_as2(one, base=base, types=types, describe=describe) for one in activities]
    for one in members:
        if one.get("@context") == _OWN_CONTEXT:
            del one["@context"]
    document: dict[str, Any] = {"@context": deepcopy(_OWN_CONTEXT), "id": id}
    document["type"] = "OrderedCollection" if part_of is None else "OrderedCollectionPage"
    optional = {"totalItems": total_items, "partOf": part_of, "next": next}
    document |= {term: value for term, value in optional.items() if value is not None}
    document["orderedItems"] = members
    check_document({name: value for name, value in document.items() if name != "orderedItems"})
    return document


def from_as2(
    document: Mapping[str, Any] | str | bytes,
    *,
    base: str | None = None,
    types: Mapping[str, str] | None = None,
    default_time: datetime | None = None,
) -> Activity:
    """Return the activity of an ActivityStreams 2.0 document.

    The actor, object and target are the ids of the first actor, object and target. One without an id gets a name that
    begins with ``_:``, and depends on its content alone. The whole document is ``extra_context["as2"]``, unless
    :func:`to_as2` made it, and its id is the ``foreign_id``.

    Args:
        document: the document: a mapping, or JSON in a str or in UTF-8.
        base: as in :func:`to_as2`, like ``types``.
        default_time: the time of a document that has neither ``published`` nor ``updated``, ``endTime`` or
            ``startTime``.

    Raises:
        InvalidTypeError: The document is of another type.
        InvalidValueError: It breaks the vocabulary, describes no activity, or has no actor or no time. The message
            names the term.
    """
    decoded = decoded_document(document)
    check_document(decoded)
    return _activity_of(decoded, _Names(base, types), default_time)


def activities_from_as2(
    document: Mapping[str, Any] | str | bytes,
    *,
    base: str | None = None,
    types: Mapping[str, str] | None = None,
    default_time: datetime | None = None,
    on_error: Callable[[FeedstoreError], None] | None = None,
) -> Iterator[Activity]:
    """Yield the activities of a document: of an activity itself, or of the members of a collection, page after page.

    Only pages inside the document are read; the application fetches those that the document names by their IRIs.

    Args:
        document: as in :func:`from_as2`, like ``base``, ``types`` and ``default_time``.
        on_error: a function that receives the error of a member that is no activity, and lets the others follow. By
            default the error is raised.
    """
    decoded = decoded_document(document)
    names = _Names(base, types)
    if not set(types_of(decoded)) & (COLLECTION_TYPES | ORDERED_TYPES):
        members = iter([("the document", decoded)])
    else:
        members = _members_of(decoded)
    for place, member in members:
        try:
            if not isinstance(member, dict):
                raise InvalidValueError(
                    f"{place}: {shown(member)} is no object; fetch the document of an IRI, and pass it"
                )
            if "@context" in decoded and "@context" not in member:
                member = {"@context": decoded["@context"], **member}
            check_document(member)
            yield _activity_of(member, names, default_time)
        except FeedstoreError as error:
            if on_error is None:
                raise
            on_error(error)


class _Names:
    """The names of activities as IRIs, and their verbs as types."""

    def __init__(self, base: str | None, types: Mapping[str, str] | None) -> None:
        if base is not None and (not isinstance(base, str) or not base.startswith(_SCHEMES) or not is_iri(base + "x")):
            raise InvalidValueError(f"base must be an IRI such as https://example.org/, not {shown(base)}")
        self.base = base
        self._types = checked_types(types)
        self._verbs = {kind: verb for verb, kind in self._types.items()}
        if len(self._verbs) != len(self._types):
            raise InvalidValueError(f"types gives two verbs one type, which from_as2 could not read: {shown(types)}")

    def iri_of(self, name: Name) -> str:
        if isinstance(name, int):
            return f"{_NUMBER}{name}"
        if name.startswith((_BLANK, *_SCHEMES)) and is_iri(name) and not self._is_own(name):
            return name
        return f"{self.base or _NAME}{quote(name, safe=':/@~')}"

    def name_of(self, iri: str) -> Name:
        if iri.startswith(_NUMBER):
            try:
                return int(iri.removeprefix(_NUMBER))
            except ValueError:
                raise InvalidValueError(f"{shown(iri)} holds no int") from None
        for prefix in (self.base, _NAME):
            if prefix is not None and iri.startswith(prefix) and len(iri) > len(prefix):
                return unquote(iri.removeprefix(prefix))
        return iri

    def _is_own(self, name: str) -> bool:
        """Return whether a name looks like an IRI that this class makes of another name."""
        return name.startswith((_NAME, _NUMBER)) or (self.base is not None and name.startswith(self.base))

    def types_of(self, verb: str) -> str | list[str]:
        if verb in self._types:
            return self._types[verb]
        kind = verb[0].upper() + verb[1:]
        if kind in ACTIVITY_TYPES and kind != verb and kind not in self._verbs:
            return kind
        return ["Activity", f"{_VERB}{quote(verb, safe=':/@~')}"]

    def verb_of(self, kinds: list[str]) -> str:
        if not kinds:
            raise InvalidValueError("type: the document has no type; an activity has one, such as Create")
        for kind in kinds:
            if kind.startswith(_VERB):
                return unquote(kind.removeprefix(_VERB))
            if kind in self._verbs:
                return self._verbs[kind]
        # "Activity" says nothing where another type stands beside it.
        kind = next((one for one in kinds if one in ACTIVITY_TYPES and one != "Activity"), None) or kinds[0]
        return kind[0].lower() + kind[1:] if kind in ACTIVITY_TYPES else kind


def _own_form(activity: Activity, names: _Names, describe: Describe | None) -> dict[str, Any]:
    def reference(name: Name) -> Any:
        described = None if describe is None else describe(name)
        return names.iri_of(name) if described is None else {"id": names.iri_of(name), **described}

    document: dict[str, Any] = {
        "id": urn_of(activity),
        "type": names.types_of(activity.verb),
        "actor": reference(activity.actor),
    }
    for term, name in (("object", activity.object), ("target", activity.target)):
        if name is not None:
            document[term] = reference(name)
    document["published"] = utc_text(activity.time)
    if activity.stored_context:
        document["extraContext"] = to_tagged(activity.stored_context)
    if activity.foreign_id is not None:
        document["foreignId"] = to_tagged(activity.foreign_id)
    return document


def urn_of(activity: Activity) -> str:
    """Return the IRI of an activity's id."""
    return f"urn:uuid:{id_to_text(activity.serialization_id)}"


def utc_text(time: datetime) -> str:
    """Return a time in UTC in RFC 3339, with Z."""
    return time.isoformat().replace("+00:00", "Z")


def _updated(source: dict[str, Any], activity: Activity, names: _Names) -> dict[str, Any]:
    """Return the document that an activity came from, with those fields replaced that the activity has changed."""
    document: dict[str, Any] = plain_copy(source, SOURCE)
    actor, verb, object_, target, time = _fields_of(document, names)
    if verb != activity.verb:
        document.pop("@type", None)
        document["type"] = names.types_of(activity.verb)
    old = {"actor": actor, "object": object_, "target": target}
    for term, name in old.items():
        new = getattr(activity, term)
        if name != new and new is None:
            del document[term]
        elif name != new:
            document[term] = names.iri_of(new)
    if time is not None and time != activity.time:
        document["published"] = utc_text(activity.time)
    others = {name: value for name, value in activity.stored_context.items() if name != SOURCE}
    if others:
        document["@context"] = [*values_of(document.get("@context", CONTEXT)), deepcopy(_OWN_TERMS)]
        document["extraContext"] = to_tagged(others)
    return document


def _activity_of(document: dict[str, Any], names: _Names, default_time: datetime | None) -> Activity:
    kinds = types_of(document)
    if kinds and not ACTIVITY_TYPES.intersection(kinds) and "actor" not in document:
        raise InvalidValueError(
            f"type: {shown(document.get('type', document.get('@type')))} is the type of an object, and not of an "
            "activity; pass the activity, such as the Create, that has it as its object"
        )
    actor, verb, object_, target, time = _fields_of(document, names)
    if actor is None:
        raise InvalidValueError("actor: the activity has no actor, which an activity in a feed needs")
    time = default_time if time is None else time
    if time is None:
        raise InvalidValueError("published: the activity has no time; pass default_time=")
    own_id = document.get("id", document.get("@id"))
    if not _has_own_terms(document):
        return Activity(actor, verb, object_, target, time, {SOURCE: document}, foreign_id=own_id)
    tagged = document.get("extraContext")
    context = {} if tagged is None else from_tagged(tagged)
    if not isinstance(context, dict) or isinstance(context.get(SOURCE), dict):
        raise InvalidValueError(f"extraContext: {shown(context)} is no extra context that to_as2 writes")
    if not isinstance(own_id, str) or not own_id.startswith("urn:uuid:"):
        context = {SOURCE: _without_extra(document), **context}
        return Activity(actor, verb, object_, target, time, context, foreign_id=own_id)
    foreign_id = from_tagged(document.get("foreignId"))
    own_uuid = own_id.removeprefix("urn:uuid:")
    return Activity(actor, verb, object_, target, time, context, id=own_uuid, foreign_id=foreign_id)


def _has_own_terms(document: Mapping[str, Any]) -> bool:
    return any(entry == _OWN_TERMS for entry in values_of(document.get("@context")))


def _without_extra(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document without the terms that :func:`_updated` adds for the other values of an extra context."""
    contexts = [entry for entry in values_of(document["@context"]) if entry != _OWN_TERMS]
    rest = {name: value for name, value in document.items() if name != "extraContext"}
    rest["@context"] = contexts[0] if len(contexts) == 1 else contexts
    return rest


def _fields_of(
    document: Mapping[str, Any], names: _Names
) -> tuple[Name | None, str, Name | None, Name | None, datetime | None]:
    actor, object_, target = (_name_of(document.get(term), names) for term in ("actor", "object", "target"))
    return actor, names.verb_of(types_of(document)), object_, target, _time_of(document)


def _name_of(value: Any, names: _Names) -> Name | None:
    """Return the name of the first value of a term."""
    first = next(iter(values_of(value)), None)
    if isinstance(first, dict):
        members = first.get("@list", first.get("@set"))
        if members is not None:
            return _name_of(members, names)
        link = first.get("href") if "Link" in types_of(first) or "Mention" in types_of(first) else None
        first = link or first.get("id", first.get("@id")) or _blank_name(first)
    return None if first is None else names.name_of(first)


def _blank_name(found: Mapping[str, Any]) -> str:
    content = json.dumps(to_tagged(found), sort_keys=True, ensure_ascii=False)
    return f"{_BLANK}{blake2b(content.encode(), digest_size=16).hexdigest()}"


def _time_of(document: Mapping[str, Any]) -> datetime | None:
    for term in ("published", "updated", "endTime", "startTime"):
        for text in values_of(document.get(term))[:1]:
            time = time_of(text)
            if time is not None and time.utcoffset() is None:
                raise InvalidValueError(f"{term}: {shown(text)} has no offset from UTC; add Z or +hh:mm")
            return time
    return None


def _members_of(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the members of a collection, and those of its pages that are inside the document, with their places."""
    page: Any = document
    place, level = "", 0
    while isinstance(page, Mapping):
        if level > MOST_LEVELS:
            raise InvalidValueError(f"{shown(place)}: the document has more than {MOST_LEVELS} pages in one another")
        check_container(page)
        for term in MEMBERS:
            for position, member in enumerate(values_of(page.get(term))):
                yield f"{place}{term}[{position}]", member
        # A page that is passed alone is followed by the next one, too.
        term = "next" if PAGE_TYPES.intersection(types_of(page)) else "first"
        page, place, level = page.get(term), f"{place}{term}.", level + 1

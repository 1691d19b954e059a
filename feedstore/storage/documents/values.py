"""The values of document storages: nodes and their keys, documents, subscriptions, and pages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, TypedDict

from feedstore.errors import StoredDataError
from feedstore.shown import shown

_DIGITS_OF_64_BITS = 19
_MOST_DIGITS = 400


class SyncState(StrEnum):
    """The state of a node's synchronisation. A node that was never synchronised has the state None."""

    IN_PROGRESS = "in_progress"
    """A synchronisation is under way; the token of the node names it."""
    COMPLETED = "completed"
    """The documents are those of the service."""
    ERROR = "error"
    """The last synchronisation failed; the reason of the node says why."""
    NO_SYNC = "no_sync"
    """The node must never be synchronised."""


class SubscriptionState(StrEnum):
    """The state of a subscription to a node."""

    SUBSCRIBED = "subscribed"
    PENDING = "pending"


class NodeKey(NamedTuple):
    """The key of a node: an account, a service, and the name of the node at the service.

    Two accounts that see the same node of a service have a node each. Each part is a str of 1 to 1,024 bytes in UTF-8
    without NUL. The three together have 2,560 bytes at most.
    """

    account: str
    service: str
    name: str


@dataclass(frozen=True, slots=True)
class DocumentNode:
    """A node, without its documents.

    Attributes:
        key: The key.
        subscribed: Whether the account is subscribed, so that the service sends changes.
        analyser: The name of the analyser that chose the node, or None.
        sync_state: The state of the synchronisation. None means that there was none.
        sync_state_updated: The time of the last change of that state, or of the last sign of life of a synchronisation.
        sync_reason: The reason for the state, for people.
        sync_token: The name of the synchronisation that is in progress. None if there is none.
        type: The type of the documents, or None.
        subtype: The subtype of the documents, or None.
        extra: A JSON object of the application, or None.
    """

    key: NodeKey
    subscribed: bool = False
    analyser: str | None = None
    sync_state: SyncState | None = None
    sync_state_updated: datetime | None = None
    sync_reason: str | None = None
    sync_token: str | None = None
    type: str | None = None
    subtype: str | None = None
    extra: dict[str, Any] | None = None


class NodeFields(TypedDict, total=False):
    """The fields of a node that a call may set. :class:`DocumentNode` describes them."""

    subscribed: bool
    analyser: str | None
    sync_state: SyncState | None
    sync_state_updated: datetime | None
    sync_reason: str | None
    sync_token: str | None
    type: str | None
    subtype: str | None
    extra: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document to store.

    Attributes:
        item_id: The id of the document in its node: a str of 1 to 1,024 bytes in UTF-8 without NUL.
        payload: The raw document, of 16 MiB at most. It is returned byte for byte.
        publisher: The author as the service names it, or None.
        parsed: The content as a JSON object, or None. Str keys, None, bool, float, str, list, dict, and int of 64 bits;
            100 levels and 4 MiB of JSON at most. Neither keys nor values hold NUL or lone surrogates.
        text: The words to find the document by, as plain text without markup. The first 16,000 words are indexed.
        created: The time of the creation. None is now; see rule D3.
        updated: The time of the last change. None is now; see rule D3.
    """

    item_id: str
    payload: bytes
    publisher: str | None = None
    parsed: Mapping[str, Any] | None = None
    text: str = ""
    created: datetime | None = None
    updated: datetime | None = None


class Document(NamedTuple):
    """A stored document. :class:`NewDocument` describes the attributes.

    ``parsed_json`` is the text of the parsed content in JSON, or None.
    """

    item_id: str
    payload: bytes
    publisher: str | None
    parsed_json: str | None
    created: datetime
    updated: datetime

    @property
    def parsed(self) -> dict[str, Any] | None:
        """The parsed content, decoded at each access. It raises :class:`StoredDataError` for damaged content."""
        return None if self.parsed_json is None else stored_object(self.parsed_json, self.item_id)


def stored_object(text: str, item_id: str) -> dict[str, Any]:
    """Return the object of stored JSON.

    PostgreSQL writes a large float without an exponent; an int of more than 64 bits was such a float.

    Raises:
        StoredDataError: The text is not an object in JSON. The error names the ``item_id``.
    """
    try:
        value = json.loads(text, parse_int=_number)
    except (ValueError, RecursionError) as error:
        raise StoredDataError(f"the parsed content of {shown(item_id)} is damaged: {error}") from error
    if not isinstance(value, dict):
        raise StoredDataError(f"the parsed content of {shown(item_id)} is damaged: {shown(value)} is not an object")
    return value


def _number(digits: str) -> int | float:
    if len(digits) < _DIGITS_OF_64_BITS:
        return int(digits)
    number = int(digits) if len(digits) < _MOST_DIGITS else 1 << 64
    return number if -(1 << 63) <= number < 1 << 63 else float(digits)


class ParsedDocument(NamedTuple):
    """The new parsed content and words of a document that did not change since it was read at ``updated``."""

    item_id: str
    updated: datetime
    parsed: Mapping[str, Any] | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class FoundDocument:
    """A document of a search or a walk, with the key of its node."""

    key: NodeKey
    document: Document


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """A page of a node, with the numbers of XEP-0059. Iterating over it yields its documents.

    Attributes:
        documents: The documents in ascending order.
        first_index: The position of the first document in the node, counted from 0. None without documents.
        count: The number of documents in the node.
        complete: Whether no document of the node follows the page.
    """

    documents: tuple[Document, ...]
    first_index: int | None
    count: int
    complete: bool

    def __iter__(self) -> Iterator[Document]:
        return iter(self.documents)

    def __len__(self) -> int:
        return len(self.documents)

    def __bool__(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class FoundPage:
    """A page of a search. Iterating over it yields its results.

    Attributes:
        results: The documents, each with the key of its node, in the order of the query.
        next_cursor: The cursor of the next page. None on the last page.
    """

    results: tuple[FoundDocument, ...]
    next_cursor: str | None = None

    def __iter__(self) -> Iterator[FoundDocument]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __bool__(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class NodeSubscription:
    """A subscription of a user to a node."""

    subscriber: str
    state: SubscriptionState = field(default=SubscriptionState.SUBSCRIBED)


class PathKind(StrEnum):
    """The kind of the values in an index on a path."""

    NUMBER = "number"
    TEXT = "text"


class PathIndex(NamedTuple):
    """An index on the values of one kind at a path of parsed documents."""

    path: tuple[str | int, ...]
    kind: PathKind

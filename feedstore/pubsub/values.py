"""The values and events of pubsub services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from feedstore.errors import InvalidValueError
from feedstore.shown import shown

ItemOrder = Literal["creation", "modification"]
"""The order of items (XEP-0413): by first publication, or by last publication."""


@dataclass(frozen=True, slots=True)
class ServiceItem:
    """An item of a node, as a service returned it.

    Attributes:
        id: the id of the item, unique within its node.
        payload: the payload, byte for byte as the service returned it. Empty if the service sent none, as some do in
            notifications and in answers to requests for ids.
        publisher: the publisher's address or name, or None if the service does not name it.
        published: the aware time of the first publication, or None if the service does not state it.
        updated: the aware time of the last publication, or None if the service does not state it.
    """

    id: str
    payload: bytes = b""
    publisher: str | None = None
    published: datetime | None = None
    updated: datetime | None = None


@dataclass(frozen=True, slots=True)
class RsmRequest:
    """A request for one page of a result set (XEP-0059).

    Attributes:
        max: the largest number of items. 0 requests the count alone. None leaves the number to the service.
        after: the id of an item; the page begins after it.
        before: the id of an item; the page ends before it. The empty str requests the last page.
        index: the position of the page's first item, from 0.

    Raises:
        InvalidValueError: ``max`` or ``index`` is negative, or more than one of ``after``, ``before`` and ``index`` is
            given.
    """

    max: int | None = None
    after: str | None = None
    before: str | None = None
    index: int | None = None

    def __post_init__(self) -> None:
        for name in ("max", "index"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
                raise InvalidValueError(f"{name} must be a number of items from 0, not {shown(value)}")
        given = [name for name in ("after", "before", "index") if getattr(self, name) is not None]
        if len(given) > 1:
            raise InvalidValueError(f"a page has one place: pass only one of {' and '.join(given)}")


@dataclass(frozen=True, slots=True)
class RsmResponse:
    """The place of a page in its result set (XEP-0059).

    Attributes:
        first: the id of the page's first item, or None if the page is empty.
        last: the id of the page's last item, or None if the page is empty.
        index: the position of the first item, from 0, or None if the service does not state it.
        count: the number of items of the whole result set, or None if the service does not state it.
    """

    first: str | None = None
    last: str | None = None
    index: int | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class ItemsPage:
    """Items that a service returned for one request.

    Attributes:
        items: the items, oldest first in the requested order.
        rsm: the place of the page, or None if the service answered without result set management.
        complete: whether no item follows the page in the direction of the request: none after its last item, or, in a
            request with ``before``, none before its first item. False if the service does not make it certain.
    """

    items: tuple[ServiceItem, ...]
    rsm: RsmResponse | None = None
    complete: bool = False


@dataclass(frozen=True, slots=True)
class PubsubEvent:
    """The common fields of all events.

    Attributes:
        service: the address of the service.
        node: the name of the node.
    """

    service: str
    node: str


@dataclass(frozen=True, slots=True)
class ItemsPublished(PubsubEvent):
    """Items that were published or published again, oldest first.

    An item without a payload comes from a node that sends notifications alone; fetch it by its id.
    """

    items: tuple[ServiceItem, ...]


@dataclass(frozen=True, slots=True)
class ItemsRetracted(PubsubEvent):
    """The ids of items that were deleted."""

    item_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NodePurged(PubsubEvent):
    """The deletion of all items of a node, which itself remains."""


@dataclass(frozen=True, slots=True)
class NodeDeleted(PubsubEvent):
    """The deletion of a node with all its items."""


@dataclass(frozen=True, slots=True)
class NodeConfigured(PubsubEvent):
    """A change of a node's configuration. ``configuration`` is empty if the service does not send it."""

    configuration: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NodeSynchronised(PubsubEvent):
    """The end of a node's synchronisation, which a cache sends to its listeners.

    It succeeded, unless it was one of another process.
    """


@dataclass(frozen=True, slots=True)
class EventsMissed:
    """Events that the service may have lost, for example during a lost connection.

    Attributes:
        service: the address of the affected service, or None for all services of the account.
        node: the name of the affected node, or None for all nodes.
    """

    service: str | None = None
    node: str | None = None


ServiceEvent = PubsubEvent | EventsMissed
"""An event that a service sends to its listeners."""


def count_of(text: str | None) -> int | None:
    """Return the number from 0 that another party states in decimal digits; None if it states none below 10^18."""
    return int(text) if text is not None and text.isdecimal() and len(text) < 19 else None

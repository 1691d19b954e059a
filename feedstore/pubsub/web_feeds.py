"""Web feeds in Atom, RSS and JSON Feed as pubsub nodes. Needs the extra ``feeds``."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn, Protocol

from feedstore.errors import (
    InvalidValueError,
    PubsubItemNotFound,
    PubsubServiceError,
    PubsubUnsupportedError,
)
from feedstore.interchange.syndication import ATOM
from feedstore.pubsub.memory_node import result_page
from feedstore.pubsub.service import PubsubService, check_node, check_request
from feedstore.pubsub.values import ItemOrder, ItemsPage, ItemsPublished, RsmRequest, ServiceItem
from feedstore.pubsub.web_documents import MOST_FEED_ENTRIES, FeedDocument, header_links, read_feed
from feedstore.pubsub.web_requests import WebClient, WebOptions, WebResponse, check_url
from feedstore.shown import shown
from feedstore.storage.documents import SubscriptionState

ACCEPTED = (
    "application/atom+xml, application/rss+xml, application/feed+json, application/rdf+xml, application/xml;q=0.9, "
    "application/json;q=0.9, text/xml;q=0.9, */*;q=0.1"
)
_CONDITIONS = {
    401: "not-authorized",
    402: "payment-required",
    403: "forbidden",
    429: "resource-constraint",
    503: "service-unavailable",
}


@dataclass(frozen=True)
class _Fetched:
    """A document as it was last read, with the headers that make the next request conditional.

    ``reported`` has the hashes of the entries that are no news for the listeners, by their ids: those of the first
    reading and those of earlier events. Reading a document between two polls does not change them.
    """

    document: FeedDocument
    etag: str | None
    last_modified: str | None
    at: float
    reported: Mapping[str, int]


class HubSubscriber(Protocol):
    """The part that subscribes to hubs, which :class:`~feedstore.pubsub.websub.WebSub` is."""

    def subscribe(self, node: str, topic: str, hub: str) -> SubscriptionState:
        """Request a subscription, and return its state."""

    def unsubscribe(self, node: str, topic: str, hub: str) -> None:
        """Request the end of a subscription."""


class HttpFeedService(PubsubService):
    """Web feeds as nodes: the name of a node is the address of a feed in Atom, RSS or JSON Feed.

    The payload of each item is an Atom entry in UTF-8, also if the feed has another format, so that
    :class:`~feedstore.pubsub.parsers.AtomParser` reads all of them. An item's ``published`` and ``updated`` are those
    of the entry. A document is kept in memory: within ``max_age`` seconds it answers without a request, and later with
    a conditional request (``ETag``, ``Last-Modified``). Web feeds can be read, and nothing can be published in them.
    Listeners are called on the thread that calls :meth:`poll` or :meth:`receive`.

    A document holds the newest entries alone, so ``has_whole_nodes`` is False: a cache keeps entries that have left it.

    Only addresses of public networks are reached, unless :class:`~feedstore.pubsub.web_requests.WebOptions` allows
    more. A name that resolves to other addresses between two requests cannot evade this.

    Args:
        account: the name under which a cache keeps the items. All readers of a web feed see the same.
        options: the limits of requests.
        max_age: the seconds for which a document answers again without a request.
        most_documents: the number of documents that are kept in memory; those used least recently are dropped.
        clock: returns seconds that never go back.
    """

    has_whole_nodes = False

    def __init__(
        self,
        account: str = "web",
        *,
        options: WebOptions | None = None,
        max_age: float = 60.0,
        most_documents: int = 200,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(account, "web")
        if not max_age >= 0:
            raise InvalidValueError(f"max_age must be 0 seconds or more, not {shown(max_age)}")
        if most_documents < 1:
            raise InvalidValueError(f"most_documents must be 1 or more, not {shown(most_documents)}")
        self.client = WebClient(options or WebOptions())
        self.subscriber: HubSubscriber | None = None
        self._max_age = max_age
        self._most = most_documents
        self._clock = clock
        self._documents: OrderedDict[str, _Fetched] = OrderedDict()

    def get_items(
        self,
        node: str,
        *,
        service: str | None = None,
        max_items: int | None = None,
        item_ids: Sequence[str] | None = None,
        rsm: RsmRequest | None = None,
        order_by: ItemOrder | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> ItemsPage:
        """Return entries of a feed: one request, or none within ``max_age``.

        Pages are cut from the document. A feed holds its newest entries alone, and the service knows no others: older
        ones are neither part of a page, nor reported as deleted. The default order is that of modification.
        """
        check_request(node, max_items, item_ids, rsm, order_by)
        items = self.document(node, service).items
        if order_by == "creation" and all(one.published for one in items):
            items = tuple(sorted(items, key=lambda one: one.published))  # type: ignore[arg-type, return-value]
        by_id = {one.id: one for one in items}
        if item_ids is not None:
            return ItemsPage(tuple(by_id[one] for one in item_ids if one in by_id))
        if rsm is not None:
            chosen, place, complete = result_page(list(by_id), rsm, max(len(items), 1))
            return ItemsPage(tuple(by_id[one] for one in chosen), place, complete)
        number = len(items) if max_items is None else max_items
        newest = items[max(len(items) - number, 0) :]
        return ItemsPage(newest, complete=len(newest) == len(items))

    def configuration(self, node: str, *, service: str | None = None) -> dict[str, Any]:
        """Return the title, the description and the language of a feed, as ``pubsub#title`` and so on."""
        metadata = self.document(node, service).metadata
        return {"pubsub#type": ATOM, **{f"pubsub#{name}": value for name, value in metadata.items()}}

    def nodes(self, service: str | None = None) -> list[str]:
        """Return the addresses of the feeds that are in memory, sorted."""
        self._check(service)
        with self._lock:
            return sorted(self._documents)

    def supports_rsm(self, service: str | None = None) -> bool:
        """Return True: pages are cut from the document."""
        self._check(service)
        return True

    def document(self, node: str, service: str | None = None, *, max_age: float | None = None) -> FeedDocument:
        """Return the content of a feed.

        Args:
            node: the address of the feed.
            service: None or ``web``.
            max_age: the seconds for which a document answers again without a request; by default those of the service.

        Raises:
            PubsubItemNotFound: The server has no such document (404), or has it no longer (410).
            PubsubServiceError: The server refused the request, or its address is refused.
            PayloadError: The document is no feed.
        """
        self._check(service, node)
        with self._lock:
            known = self._documents.get(node)
            if known is not None:
                self._documents.move_to_end(node)
        allowed = self._max_age if max_age is None else max_age
        now = self._clock()
        if known is not None and now - known.at < allowed:
            return known.document
        headers = {"accept": ACCEPTED}
        if known is not None:
            validators = {"if-none-match": known.etag, "if-modified-since": known.last_modified}
            # HTTP allows other bytes in an ETag, and httpx sends ASCII alone.
            headers |= {name: value for name, value in validators.items() if value and value.isascii()}
        response = self.client.request(node, headers=headers)
        if response.status == 304 and known is not None:
            found = replace(known, at=now)
        else:
            found = _fetched(node, response, now)
        self._keep(node, found)
        return found.document

    def poll(self, node: str) -> tuple[ServiceItem, ...]:
        """Request a feed now, notify the listeners of its new and changed entries, and return these, oldest first.

        Entries are new or changed since the feed was first read, or since the listeners were last notified of them. If
        the feed is not in memory, all its entries are new. An entry that has left the document is no event.
        """
        self._check(None, node)
        with self._lock:
            is_known = node in self._documents
        items = self.document(node, max_age=0).items
        return self._publish_changes(node, items, is_known)

    def receive(self, node: str, body: bytes, content_type: str) -> tuple[ServiceItem, ...]:
        """Notify the listeners of the entries that a hub sent, and return those that are new or changed.

        Raises:
            PayloadError: The document is no feed.
        """
        self._check(None, node)
        document = read_feed(body, node, content_type)
        with self._lock:
            known = self._documents.get(node)
            if known is not None:
                # A hub may send the new entries alone. The next request must fetch the whole document.
                merged = {one.id: one for one in known.document.items}
                for one in document.items:
                    merged.pop(one.id, None)
                    merged[one.id] = one
                newest = _newest(list(merged.values()), self.client.options.largest)
                whole = replace(known.document, items=newest)
                self._documents[node] = replace(known, document=whole, etag=None, last_modified=None)
        return self._publish_changes(node, document.items, known is not None)

    def subscribe(self, node: str, *, service: str | None = None) -> SubscriptionState:
        """Subscribe to a feed at the hub that it names (WebSub), and return its state, which is pending at first.

        The hub verifies the subscription with a request of its own, which
        :class:`~feedstore.pubsub.websub.WebSub` answers.

        Raises:
            PubsubUnsupportedError: The feed names no hub, or the application has no ``WebSub``. Such a feed is polled.
        """
        return self._subscriber(node, service).subscribe(node, *self._topic_and_hub(node))

    def unsubscribe(self, node: str, *, service: str | None = None) -> None:
        """End the subscription at the feed's hub."""
        self._subscriber(node, service).unsubscribe(node, *self._topic_and_hub(node))

    def publish(self, node: str, payload: bytes, *, service: str | None = None, item_id: str | None = None) -> str:
        """Raise an error, because web feeds can only be read."""
        self._refuse("publish")

    def retract(self, node: str, item_ids: Sequence[str], *, service: str | None = None) -> None:
        """Raise an error, because web feeds can only be read."""
        self._refuse("retract")

    def create_node(
        self, node: str, *, service: str | None = None, configuration: Mapping[str, Any] | None = None
    ) -> None:
        """Raise an error, because web feeds can only be read."""
        self._refuse("create_node")

    def delete_node(self, node: str, *, service: str | None = None) -> None:
        """Raise an error, because web feeds can only be read."""
        self._refuse("delete_node")

    def purge_node(self, node: str, *, service: str | None = None) -> None:
        """Raise an error, because web feeds can only be read."""
        self._refuse("purge_node")

    def configure_node(self, node: str, configuration: Mapping[str, Any], *, service: str | None = None) -> None:
        """Raise an error, because web feeds can only be read."""
        self._refuse("configure_node")

    def _refuse(self, operation: str) -> NoReturn:
        self._require_open()
        raise PubsubUnsupportedError(f"web feeds can only be read; {operation} needs a pubsub service")

    def _check(self, service: str | None, node: str | None = None) -> None:
        self._require_open()
        if service not in (None, self.default_service):
            raise PubsubItemNotFound(f"there is no service {shown(service)} of web feeds; pass None")
        if node is not None:
            check_node(node)
            check_url(node)

    def _subscriber(self, node: str, service: str | None) -> HubSubscriber:
        self._check(service, node)
        if self.subscriber is None:
            raise PubsubUnsupportedError("no WebSub receives the calls of hubs; make one, or poll the feed")
        return self.subscriber

    def _topic_and_hub(self, node: str) -> tuple[str, str]:
        links = self.document(node).links
        hubs = links.get("hub", ())
        if not hubs:
            raise PubsubUnsupportedError(f"the feed {shown(node)} names no hub; poll it")
        return next(iter(links.get("self", ())), node), hubs[0]

    def _publish_changes(self, node: str, items: Sequence[ServiceItem], is_known: bool) -> tuple[ServiceItem, ...]:
        with self._lock:
            known = self._documents.get(node)
            old = known.reported if known is not None and is_known else {}
            changed = tuple(one for one in items if old.get(one.id) != hash(one.payload))
            if known is not None:
                reported = {**known.reported, **_hashes(items)}
                kept = {one.id: reported[one.id] for one in known.document.items if one.id in reported}
                self._documents[node] = replace(known, reported=kept)
        if changed:
            self._notify(ItemsPublished(self.default_service, node, changed))
        return changed

    def _keep(self, node: str, found: _Fetched) -> None:
        with self._lock:
            known = self._documents.get(node)
            self._documents[node] = found if known is None else replace(found, reported=known.reported)
            self._documents.move_to_end(node)
            while len(self._documents) > self._most:
                self._documents.popitem(last=False)

    def _close(self) -> None:
        with self._lock:
            self._documents.clear()


def _newest(items: Sequence[ServiceItem], largest: int) -> tuple[ServiceItem, ...]:
    """Return the newest items that one document may hold, so that no hub fills the memory with its calls."""
    first = len(items)
    size = 0
    while first > max(len(items) - MOST_FEED_ENTRIES, 0):
        size += len(items[first - 1].payload)
        if size > largest:
            break
        first -= 1
    return tuple(items[first:])


def _hashes(items: Iterable[ServiceItem]) -> dict[str, int]:
    return {one.id: hash(one.payload) for one in items}


def _fetched(node: str, response: WebResponse, now: float) -> _Fetched:
    if response.status in (404, 410):
        raise PubsubItemNotFound(f"{shown(node)} answers that there is no such document (status {response.status})")
    if response.status != 200:
        default = "internal-server-error" if response.status >= 500 else "undefined-condition"
        condition = _CONDITIONS.get(response.status, default)
        raise PubsubServiceError(f"{shown(node)} answers with the status {response.status}", condition)
    headers = response.headers
    document = read_feed(response.body, response.url, headers.get("content-type", ""))
    links = {**document.links, **header_links(headers.get("link", ""), response.url)}
    validators = (headers.get("etag"), headers.get("last-modified"))
    return _Fetched(replace(document, links=links), *validators, now, _hashes(document.items))

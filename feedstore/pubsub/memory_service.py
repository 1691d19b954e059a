"""A pubsub server in memory, and the access of an account to it, for examples and tests."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any
from uuid import uuid4

from feedstore.errors import InvalidTypeError, PubsubItemNotFound, PubsubServiceError, PubsubTimeoutError
from feedstore.pubsub.memory_node import PAYLOADS, MemoryNode, check_affiliation, result_page
from feedstore.pubsub.service import Listener, PubsubService, check_item_ids, check_node, check_request
from feedstore.pubsub.values import (
    EventsMissed,
    ItemOrder,
    ItemsPage,
    ItemsPublished,
    ItemsRetracted,
    NodeConfigured,
    NodeDeleted,
    NodePurged,
    RsmRequest,
    ServiceEvent,
)
from feedstore.shown import shown
from feedstore.storage.documents import SubscriptionState

OnRequest = Callable[[str, str, str], object]
"""A function that receives the account, the name of the method and the node of a request before it is served."""


@dataclass
class _Fault:
    error: Exception
    operation: str | None
    after: int
    times: int | None

    def step(self, operation: str) -> Exception | None:
        """Count a request, and return the error that it gets."""
        if self.operation not in (None, operation) or self.times == 0:
            return None
        if self.after > 0:
            self.after -= 1
            return None
        if self.times is not None:
            self.times -= 1
        return self.error


class MemoryPubsubServer:
    """A pubsub server in memory, with the rules of XEP-0060 and XEP-0059.

    Args:
        address: the address of the server.
        rsm: whether the server has result set management. Without it, the server ignores a request for a page, as
            XMPP services do, and returns the newest items.
        largest_page: the largest number of items in one answer.
        default_items: the number of newest items that a request without a number gets.
        auto_create: whether publishing to a missing node creates it.
        clock: returns the aware time of an item; by default the present time in UTC.
        on_request: a function that is called before each request, outside of the server's lock. It may wait, to hold
            the request, and its exception becomes the answer.

    >>> server = MemoryPubsubServer()
    >>> ann, bob = server.service("ann"), server.service("bob")
    >>> ann.create_node("notes", configuration={"pubsub#access_model": "whitelist"})
    >>> ann.publish("notes", b"<note/>", item_id="n1")
    'n1'
    >>> [item.id for item in ann.get_items("notes").items]
    ['n1']
    >>> bob.get_items("notes")
    Traceback (most recent call last):
    feedstore.errors.PubsubServiceError: bob may not read the node 'notes'
    """

    def __init__(
        self,
        address: str = "pubsub.memory",
        *,
        rsm: bool = True,
        largest_page: int = 100,
        default_items: int = 20,
        auto_create: bool = True,
        clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
        on_request: OnRequest | None = None,
    ) -> None:
        self.address = address
        self.rsm = rsm
        self.largest_page = largest_page
        self.default_items = default_items
        self.auto_create = auto_create
        self.on_request = on_request
        self._clock = clock
        self._lock = threading.RLock()
        self._nodes: dict[str, MemoryNode] = {}
        self._services: list[MemoryPubsubService] = []
        self._faults: list[_Fault] = []
        self._loses_events = False

    def service(self, account: str) -> MemoryPubsubService:
        """Return a new access for an account."""
        return MemoryPubsubService(account, self)

    def fail(self, error: Exception, *, operation: str | None = None, after: int = 0, times: int | None = None) -> None:
        """Answer coming requests with an error, until :meth:`recover`.

        With ``largest_page`` smaller than the pages that a client requests and ``after=1``, the server answers the
        first part of a page and then fails.

        Args:
            error: the exception that a request raises.
            operation: the name of the method of the service, such as ``get_items``. None means all methods.
            after: the number of requests that succeed before.
            times: the number of requests that fail. None means all.
        """
        with self._lock:
            self._faults.append(_Fault(error, operation, after, times))

    def recover(self) -> None:
        """End the effect of every :meth:`fail`."""
        with self._lock:
            self._faults.clear()

    @contextmanager
    def losing_events(self, *, notice: bool = True) -> Iterator[None]:
        """Lose all events during the block, as during a lost connection.

        Args:
            notice: whether all services then receive :class:`~feedstore.pubsub.EventsMissed`.
        """
        self._loses_events = True
        try:
            yield
        finally:
            with self._lock:
                self._loses_events = False
                for service in self._services if notice else ():
                    service._queue(EventsMissed(self.address))

    def set_affiliation(self, node: str, account: str, affiliation: str) -> None:
        """Make an account an ``owner``, ``publisher``, ``member`` or ``outcast`` of a node, or ``none`` of them."""
        check_affiliation(affiliation)
        with self._lock:
            self._node(node).affiliations[account] = affiliation

    def approve(self, node: str, account: str) -> None:
        """Approve the pending subscription of an account."""
        with self._lock:
            found = self._node(node)
            found.require_subscription(account)
            found.subscriptions[account] = SubscriptionState.SUBSCRIBED

    def _begin(self, account: str, operation: str, node: str) -> None:
        if self.on_request is not None:
            self.on_request(account, operation, node)
        with self._lock:
            for fault in self._faults:
                error = fault.step(operation)
                if error is not None:
                    raise error

    def _node(self, name: str) -> MemoryNode:
        found = self._nodes.get(name)
        if found is None:
            raise PubsubItemNotFound(f"the server {self.address} has no node {shown(name)}")
        return found

    def _owned(self, account: str, name: str) -> MemoryNode:
        node = self._node(name)
        node.require_owner(account)
        return node

    def _publishable(self, account: str, name: str) -> MemoryNode:
        node = self._node(name)
        node.require_publisher(account)
        return node

    def _create(self, account: str, name: str, configuration: Mapping[str, Any]) -> None:
        if name in self._nodes:
            raise PubsubServiceError(f"the server {self.address} has a node {shown(name)} already", "conflict")
        node = MemoryNode(name, affiliations={account: "owner"})
        node.configure(configuration)
        self._nodes[name] = node

    def _send(self, node: MemoryNode, event: ServiceEvent) -> None:
        """Queue an event for the subscribers that may read. The caller holds the lock, so all receive one order."""
        for service in () if self._loses_events else self._services:
            is_subscribed = node.subscriptions.get(service.account) is SubscriptionState.SUBSCRIBED
            if is_subscribed and node.may_read(service.account):
                service._queue(event)


class MemoryPubsubService(PubsubService):
    """The access of one account to a :class:`MemoryPubsubServer`, which makes it.

    A thread delivers the events. It begins with the first listener and ends with :meth:`close`. A forked child process
    has no such thread, and must make its own server.
    """

    def __init__(self, account: str, server: MemoryPubsubServer) -> None:
        super().__init__(account, server.address)
        self.server = server
        self._events: queue.SimpleQueue[ServiceEvent | threading.Event | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        with server._lock:
            server._services.append(self)

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
        """Return items of a node. The default order is that of the last publication."""
        check_request(node, max_items, item_ids, rsm, order_by)
        with self._request("get_items", node, service) as server:
            found = server._node(node)
            found.require_reader(self.account)
            if item_ids is not None:
                return ItemsPage(tuple(found.items[one] for one in item_ids if one in found.items))
            ids = list(found.items if order_by == "creation" else found.modified)
            if server.rsm and rsm is not None:
                chosen, response, complete = result_page(ids, rsm, server.largest_page)
                return ItemsPage(tuple(found.items[one] for one in chosen), response, complete)
            number = max_items if rsm is None else rsm.max
            number = min(server.default_items if number is None else number, server.largest_page)
            newest = ids[max(len(ids) - number, 0) :]
            complete = server.rsm and len(newest) == len(ids)
            return ItemsPage(tuple(found.items[one] for one in newest), complete=complete)

    def publish(self, node: str, payload: bytes, *, service: str | None = None, item_id: str | None = None) -> str:
        """Publish an item of any bytes, or replace the item that has this id. Return the item's id."""
        check_node(node)
        if not isinstance(payload, bytes):
            raise InvalidTypeError(f"a payload must be bytes, not {shown(payload)}")
        if item_id is not None:
            check_item_ids([item_id])
        with self._request("publish", node, service) as server:
            if server.auto_create and node not in server._nodes:
                server._create(self.account, node, {})
            found = server._publishable(self.account, node)
            name = str(uuid4()) if item_id is None else item_id
            item = found.put(name, payload, self.account, server._clock())
            sent = item if found.configuration[PAYLOADS] == "1" else replace(item, payload=b"")
            server._send(found, ItemsPublished(server.address, node, (sent,)))
            return name

    def retract(self, node: str, item_ids: Sequence[str], *, service: str | None = None) -> None:
        """Delete items by their ids. If one is missing, no item is deleted."""
        check_node(node)
        check_item_ids(item_ids)
        with self._request("retract", node, service) as server:
            found = server._publishable(self.account, node)
            found.delete(item_ids)
            if item_ids:
                server._send(found, ItemsRetracted(server.address, node, tuple(item_ids)))

    def subscribe(self, node: str, *, service: str | None = None) -> SubscriptionState:
        """Subscribe the account to a node. A node with the access model ``authorize`` answers ``pending``."""
        check_node(node)
        with self._request("subscribe", node, service) as server:
            return server._node(node).subscribe(self.account)

    def unsubscribe(self, node: str, *, service: str | None = None) -> None:
        """End the account's subscription to a node."""
        check_node(node)
        with self._request("unsubscribe", node, service) as server:
            found = server._node(node)
            found.require_subscription(self.account)
            del found.subscriptions[self.account]

    def create_node(
        self, node: str, *, service: str | None = None, configuration: Mapping[str, Any] | None = None
    ) -> None:
        """Create a node that the account owns. Missing fields of the configuration are those of :data:`DEFAULTS`."""
        check_node(node)
        with self._request("create_node", node, service) as server:
            server._create(self.account, node, configuration or {})

    def delete_node(self, node: str, *, service: str | None = None) -> None:
        """Delete a node with all its items."""
        check_node(node)
        with self._request("delete_node", node, service) as server:
            found = server._owned(self.account, node)
            del server._nodes[node]
            server._send(found, NodeDeleted(server.address, node))

    def purge_node(self, node: str, *, service: str | None = None) -> None:
        """Delete all items of a node."""
        check_node(node)
        with self._request("purge_node", node, service) as server:
            found = server._owned(self.account, node)
            found.purge()
            server._send(found, NodePurged(server.address, node))

    def configuration(self, node: str, *, service: str | None = None) -> dict[str, Any]:
        """Return the configuration of a node, which only its owner may read."""
        check_node(node)
        with self._request("configuration", node, service) as server:
            found = server._owned(self.account, node)
            return dict(found.configuration)

    def configure_node(self, node: str, configuration: Mapping[str, Any], *, service: str | None = None) -> None:
        """Change the named fields of a node's configuration."""
        check_node(node)
        with self._request("configure_node", node, service) as server:
            found = server._owned(self.account, node)
            found.configure(configuration)
            server._send(found, NodeConfigured(server.address, node, dict(found.configuration)))

    def nodes(self, service: str | None = None) -> list[str]:
        """Return the names of the nodes that the account may read, sorted."""
        with self._request("nodes", "", service) as server:
            return sorted(name for name, node in server._nodes.items() if node.may_read(self.account))

    def supports_rsm(self, service: str | None = None) -> bool:
        """Return whether the server has result set management."""
        with self._request("supports_rsm", "", service) as server:
            return server.rsm

    def add_listener(self, listener: Listener) -> object:
        """Call ``listener`` with each event from now on. The first listener starts the thread that calls it."""
        self._require_open()
        handle = super().add_listener(listener)
        with self.server._lock:
            if self._thread is None:
                name = f"feedstore-pubsub-{self.account}"
                self._thread = threading.Thread(target=self._deliver, name=name, daemon=True)
                self._thread.start()
        return handle

    def wait_for_events(self, seconds: float = 10) -> None:
        """Wait until the listeners have received all events so far.

        Raises:
            PubsubTimeoutError: A listener needs longer than ``seconds``.
        """
        passed = threading.Event()
        with self.server._lock:
            if self._thread is None or self.closed:
                return
            self._events.put(passed)
        if not passed.wait(seconds):
            raise PubsubTimeoutError(f"the listeners of {self.account} did not receive all events in {seconds} s")

    def _close(self) -> None:
        with self.server._lock:
            self.server._services.remove(self)
            self._events.put(None)
        # A listener may close the service.
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    @contextmanager
    def _request(self, operation: str, node: str, service: str | None) -> Iterator[MemoryPubsubServer]:
        """Hold the server's lock during a request."""
        self._require_open()
        if service not in (None, self.server.address):
            raise PubsubItemNotFound(f"there is no server {shown(service)} in memory; it is {self.server.address}")
        self.server._begin(self.account, operation, node)
        with self.server._lock:
            yield self.server

    def _queue(self, event: ServiceEvent) -> None:
        # Without a thread, no listener is there to receive the event.
        if self._thread is not None:
            self._events.put(event)

    def _deliver(self) -> None:
        while (event := self._events.get()) is not None:
            if isinstance(event, threading.Event):
                event.set()
            else:
                self._notify(event)

"""The interface of pubsub services."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from feedstore.errors import InvalidTypeError, InvalidValueError, PubsubClosedError
from feedstore.forks import follow_forks
from feedstore.pubsub.values import ItemOrder, ItemsPage, RsmRequest, ServiceEvent
from feedstore.shown import shown
from feedstore.storage.documents import SubscriptionState

logger = logging.getLogger(__name__)

Listener = Callable[[ServiceEvent], object]
"""A function that receives each event."""


class PubsubService(ABC):
    """The access of one account to pubsub services.

    All methods may be called from every thread. They wait for the answer. ``service`` is the address of the service
    that has the node, and None means :attr:`default_service`. Each request that reaches a service may raise:

    - :class:`~feedstore.errors.PubsubServiceError`: the service refused it; ``condition`` names the reason.
    - :class:`~feedstore.errors.PubsubItemNotFound`, a kind of it: there is no such node, or no such item.
    - :class:`~feedstore.errors.PubsubUnsupportedError`, a kind of it: the service does not have this operation.
    - :class:`~feedstore.errors.PubsubUnavailableError`: the service cannot be reached, or the connection was lost.
    - :class:`~feedstore.errors.PubsubTimeoutError`: the service did not answer in time.
    - :class:`~feedstore.errors.PubsubClosedError`: this object was closed before the call.

    An object is a context manager that closes itself.
    """

    account: str
    """The name of the account, such as a bare JID. Items that one account may read never answer another."""
    default_service: str
    """The address of the service that requests without one go to."""
    has_whole_nodes: bool = True
    """Whether a node holds all its items at the service.

    If it is False, the service knows the newest items alone, such as those in the document of a web feed. A cache then
    keeps the items that it has read, because a missing item is not a deleted one.
    """

    def __init__(self, account: str, default_service: str) -> None:
        for name, value in (("account", account), ("default_service", default_service)):
            if not isinstance(value, str):
                raise InvalidTypeError(f"{name} must be a str, not {shown(value)}")
            if not value:
                raise InvalidValueError(f"{name} must not be empty")
        self.account = account
        self.default_service = default_service
        self.closed = False
        self._listeners: dict[object, Listener] = {}
        # Subclasses hold it too, and for moments only.
        self._lock = threading.RLock()
        follow_forks(
            self, lambda one: one._lock.acquire(), lambda one: one._lock.release(), lambda one: one._lock.release()
        )

    @abstractmethod
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
        """Return items of a node.

        Without ``max_items``, ``item_ids`` and ``rsm``, the service decides how many of the newest items it returns.

        Args:
            node: the name of the node.
            service: the address of its service.
            max_items: the number of newest items. 0 returns none.
            item_ids: the ids of the items to return, in this order. Ids of no item are left out.
            rsm: the page to return. A service without result set management ignores it, except for ``max``: the answer
                then holds the newest items and has no ``rsm``.
            order_by: the order of the items; by default that of the service.
            extra: further options of the concrete service. A service ignores those that it does not know.

        Raises:
            InvalidValueError: More than one of ``max_items``, ``item_ids`` and ``rsm`` is given, or one of them or
                ``order_by`` is not allowed.
            PubsubItemNotFound: There is no such node, or no item has the id in ``after`` or ``before`` of ``rsm``.
        """

    @abstractmethod
    def publish(self, node: str, payload: bytes, *, service: str | None = None, item_id: str | None = None) -> str:
        """Publish an item, or replace the item that has this id. Return the item's id.

        Args:
            node: the name of the node. Whether a missing node is created is up to the service.
            payload: the payload: one XML element in UTF-8 for XMPP, and any bytes for the service in memory.
            service: the address of the node's service.
            item_id: the id; by default the service chooses one.
        """

    @abstractmethod
    def retract(self, node: str, item_ids: Sequence[str], *, service: str | None = None) -> None:
        """Delete items by their ids. Subscribers are notified.

        Raises:
            PubsubItemNotFound: There is no such node, or the service has no item with one of the ids.
        """

    @abstractmethod
    def subscribe(self, node: str, *, service: str | None = None) -> SubscriptionState:
        """Subscribe the account to a node, and return the state of the subscription.

        A pending subscription waits for the approval of the node's owner. A second call changes nothing.
        """

    @abstractmethod
    def unsubscribe(self, node: str, *, service: str | None = None) -> None:
        """End the account's subscription to a node.

        Raises:
            PubsubServiceError: There is no subscription; the condition is ``unexpected-request``.
        """

    @abstractmethod
    def create_node(
        self, node: str, *, service: str | None = None, configuration: Mapping[str, Any] | None = None
    ) -> None:
        """Create a node, with a configuration such as ``{"pubsub#access_model": "whitelist"}``.

        Raises:
            PubsubServiceError: There is such a node already; the condition is ``conflict``.
        """

    @abstractmethod
    def delete_node(self, node: str, *, service: str | None = None) -> None:
        """Delete a node with all its items."""

    @abstractmethod
    def purge_node(self, node: str, *, service: str | None = None) -> None:
        """Delete all items of a node. The node remains, with its subscriptions."""

    @abstractmethod
    def configuration(self, node: str, *, service: str | None = None) -> dict[str, Any]:
        """Return the configuration of a node: the values by field, such as ``{"pubsub#max_items": "20"}``.

        Raises:
            PubsubServiceError: The account may not read it; the condition is ``forbidden``.
        """

    @abstractmethod
    def configure_node(self, node: str, configuration: Mapping[str, Any], *, service: str | None = None) -> None:
        """Change the named fields of a node's configuration, and keep the others."""

    @abstractmethod
    def nodes(self, service: str | None = None) -> list[str]:
        """Return the names of the nodes that the service shows to the account, sorted."""

    @abstractmethod
    def supports_rsm(self, service: str | None = None) -> bool:
        """Return whether the service has result set management (XEP-0059). The answer may be cached."""

    @abstractmethod
    def _close(self) -> None:
        """Release connections and threads. :meth:`close` calls it one time."""

    def add_listener(self, listener: Listener) -> object:
        """Call ``listener`` with each event from now on, and return a handle for :meth:`remove_listener`.

        The calls come on a thread of the service, one after the other in the order of the events, unless the service
        states otherwise. A listener should return soon, because it delays the next event. If a listener raises an
        exception, the exception is logged, and the other listeners still receive the event.
        """
        if not callable(listener):
            raise InvalidTypeError(f"a listener must be a function of one event, not {shown(listener)}")
        handle = object()
        with self._lock:
            self._listeners[handle] = listener
        return handle

    def remove_listener(self, handle: object) -> None:
        """Stop the calls of a listener. An unknown handle changes nothing."""
        with self._lock:
            self._listeners.pop(handle, None)

    def close(self) -> None:
        """Release connections and threads. Later requests raise an error; a second call does nothing."""
        with self._lock:
            was_closed, self.closed = self.closed, True
            self._listeners.clear()
        if not was_closed:
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _notify(self, event: ServiceEvent) -> None:
        """Call every listener with an event."""
        with self._lock:
            listeners = list(self._listeners.values())
        for listener in listeners:
            try:
                listener(event)
            except Exception:
                logger.exception("a listener of the pubsub account %s failed on %s", self.account, type(event).__name__)

    def _require_open(self) -> None:
        if self.closed:
            raise PubsubClosedError(f"the pubsub service of {self.account} is closed; make another one")


def check_request(
    node: str,
    max_items: int | None = None,
    item_ids: Sequence[str] | None = None,
    rsm: RsmRequest | None = None,
    order_by: str | None = None,
) -> None:
    """Check the arguments of :meth:`PubsubService.get_items`, as every service does.

    Raises:
        InvalidValueError: A value is not allowed, or two arguments exclude each other.
        InvalidTypeError: A type is not allowed.
    """
    check_node(node)
    pairs = (("max_items", max_items), ("item_ids", item_ids), ("rsm", rsm))
    given = [name for name, value in pairs if value is not None]
    if len(given) > 1:
        raise InvalidValueError(f"pass only one of {' and '.join(given)}")
    if max_items is not None:
        RsmRequest(max=max_items)
    if item_ids is not None:
        check_item_ids(item_ids)
    if rsm is not None and not isinstance(rsm, RsmRequest):
        raise InvalidTypeError(f"rsm must be an RsmRequest, not {shown(rsm)}")
    if order_by not in (None, "creation", "modification"):
        raise InvalidValueError(f"order_by must be creation or modification, not {shown(order_by)}")


def check_item_ids(item_ids: Sequence[str]) -> None:
    """Check a sequence of item ids."""
    if isinstance(item_ids, (str, bytes)):
        raise InvalidTypeError(f"item_ids must be a sequence of ids, not {shown(item_ids)}; pass [{shown(item_ids)}]")
    for item_id in item_ids:
        if not isinstance(item_id, str) or not item_id:
            raise InvalidTypeError(f"an item's id must be a str of one character or more, not {shown(item_id)}")


def check_node(node: str) -> None:
    """Check the name of a node."""
    if not isinstance(node, str):
        raise InvalidTypeError(f"the name of a node must be a str, not {shown(node)}")
    if not node:
        raise InvalidValueError("the name of a node must not be empty")

"""Pubsub services of XMPP, through an account. Needs the extra ``xmpp``."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4
from xml.etree.ElementTree import Element

from feedstore.errors import InvalidTypeError, InvalidValueError, MissingDriverError, PubsubServiceError
from feedstore.pubsub.service import PubsubService, check_item_ids, check_node, check_request
from feedstore.pubsub.values import EventsMissed, ItemOrder, ItemsPage, RsmRequest, ServiceItem
from feedstore.shown import shown
from feedstore.storage.documents import SubscriptionState

try:
    from slixmpp import JID, InvalidJID

    from feedstore.pubsub import xmpp_stanzas as stanzas
    from feedstore.pubsub.xmpp_connection import XmppConnection
except ImportError:
    raise MissingDriverError("XMPP services need slixmpp: pip install 'feedstore[xmpp]'") from None

# The conditions of a service that may list its features later.
_PASSING = frozenset({"internal-server-error", "remote-server-timeout", "resource-constraint"})


class XmppPubsubService(PubsubService):
    """The access of an XMPP account to pubsub services (XEP-0060), and to its own and other accounts' PEP (XEP-0163).

    A thread keeps the connection open, and opens a lost one again. After a lost connection the listeners receive
    :class:`~feedstore.pubsub.EventsMissed`, because events of the time between are lost.

    The payload of an item is its first child element. Its elements, namespaces, attributes and characters are exact,
    but servers keep no bytes: prefixes of namespaces, quotes, empty elements, character references and the order of
    attributes have one form. The same item always has the same bytes. XMPP states no times of items.

    Args:
        jid: the address of the account. The cache keeps items under its bare form.
        password: the password of the account.
        default_service: the address of the service that requests without one go to; by default that of the account,
            whose nodes are the account's own (PEP).
        address: the host and the port of the server; by default they are found by DNS.
        tls: whether the connection must be encrypted, or the TLS context to use, such as one with the authority of a
            private server. Only a server on this machine should do without.
        timeout: the seconds of a request, with the time until the connection is open.
        longest_delay: the seconds of the longest pause between two attempts to connect.
        newest_first: whether the services answer a request without a page with the newest item first. XEP-0060 leaves
            the order open; Prosody begins with the oldest one. The items are then returned in reverse.
    """

    def __init__(
        self,
        jid: str,
        password: str,
        *,
        default_service: str | None = None,
        address: tuple[str, int] | None = None,
        tls: bool | ssl.SSLContext = True,
        timeout: float = 30.0,
        longest_delay: float = 60.0,
        newest_first: bool = False,
    ) -> None:
        bare = _bare(jid)
        super().__init__(bare, _address(default_service) if default_service is not None else bare)
        if not isinstance(password, str):
            raise InvalidTypeError("password must be a str")
        for name, value in (("timeout", timeout), ("longest_delay", longest_delay)):
            if not value > 0:
                raise InvalidValueError(f"{name} must be more than 0 seconds, not {shown(value)}")
        self._newest_first = newest_first
        self._queries: dict[str, list[ServiceItem]] = {}
        self._features: dict[str, frozenset[str]] = {}
        self._connection = XmppConnection(
            jid,
            password,
            address=address,
            tls=tls,
            timeout=timeout,
            longest_delay=longest_delay,
            on_event=self._receive,
            on_archive=self._collect,
            on_session=self._begin_session,
        )

    def connect(self) -> None:
        """Open the connection, and wait for it. Without it, the first request opens the connection.

        Raises:
            PubsubServiceError: The server refuses the password; the condition is ``not-authorized``.
            PubsubUnavailableError: The connection was not opened in time.
        """
        self._require_open()
        self._connection.open()

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
        """Return items of a node: one round trip, and one more for the first page of each service.

        With ``extra={"mam": {}}``, the items come from the archive of the node (XEP-0313), oldest first. The mapping
        may have its fields, such as ``start`` and ``end``, which are aware datetimes.
        """
        check_request(node, max_items, item_ids, rsm, order_by)
        mam = None if extra is None else extra.get("mam")
        if mam is not None and item_ids is not None:
            raise InvalidValueError("an archive returns no items by their ids; pass either item_ids or extra['mam']")
        if mam is not None:
            return self._archived(node, service, mam, rsm if max_items is None else RsmRequest(max_items, before=""))
        if max_items == 0 or (item_ids is not None and not item_ids):
            return ItemsPage(())
        if rsm is not None and not self.supports_rsm(service):
            max_items, rsm = rsm.max, None
            if max_items == 0:
                return ItemsPage(())
        request = stanzas.items_request(node, max_items, item_ids or (), rsm, order_by)
        page = stanzas.page_of_answer(self._send("get", service, request), rsm)
        if item_ids is not None:
            by_id = {one.id: one for one in page.items}
            return ItemsPage(tuple(by_id[one] for one in item_ids if one in by_id))
        if page.rsm is None and self._newest_first:
            return ItemsPage(page.items[::-1], complete=page.complete)
        return page

    def publish(self, node: str, payload: bytes, *, service: str | None = None, item_id: str | None = None) -> str:
        """Publish an item, whose payload is one XML element in UTF-8. Return the item's id."""
        check_node(node)
        if item_id is not None:
            check_item_ids([item_id])
        name = str(uuid4()) if item_id is None else item_id
        self._send("set", service, stanzas.publish_request(node, name, payload))
        return name

    def retract(self, node: str, item_ids: Sequence[str], *, service: str | None = None) -> None:
        """Delete items by their ids, and notify the subscribers. An empty sequence sends nothing."""
        check_node(node)
        check_item_ids(item_ids)
        # Services accept one item in each request.
        for one in dict.fromkeys(item_ids):
            self._send("set", service, stanzas.retract_request(node, [one]))

    def subscribe(self, node: str, *, service: str | None = None) -> SubscriptionState:
        """Subscribe the account's bare address to a node."""
        check_node(node)
        answer = self._send("set", service, stanzas.node_request("subscribe", node, jid=self.account))
        subscription = answer.find(f".//{{{stanzas.PUBSUB}}}subscription")
        # A service that does not state it has accepted the subscription.
        state = "subscribed" if subscription is None else subscription.get("subscription", "subscribed")
        return SubscriptionState.SUBSCRIBED if state == "subscribed" else SubscriptionState.PENDING

    def unsubscribe(self, node: str, *, service: str | None = None) -> None:
        """End the subscription of the account's bare address."""
        check_node(node)
        self._send("set", service, stanzas.node_request("unsubscribe", node, jid=self.account))

    def create_node(
        self, node: str, *, service: str | None = None, configuration: Mapping[str, Any] | None = None
    ) -> None:
        """Create a node, with the named fields of its configuration."""
        check_node(node)
        request = stanzas.node_request("create", node)
        if configuration:
            configure = Element(f"{{{stanzas.PUBSUB}}}configure")
            configure.append(stanzas.data_form(configuration, f"{stanzas.PUBSUB}#node_config"))
            request.append(configure)
        self._send("set", service, request)

    def delete_node(self, node: str, *, service: str | None = None) -> None:
        """Delete a node with all its items."""
        check_node(node)
        self._send("set", service, stanzas.node_request("delete", node, owner=True))

    def purge_node(self, node: str, *, service: str | None = None) -> None:
        """Delete all items of a node."""
        check_node(node)
        self._send("set", service, stanzas.node_request("purge", node, owner=True))

    def configuration(self, node: str, *, service: str | None = None) -> dict[str, Any]:
        """Return the configuration of a node, which most services show to its owner alone."""
        check_node(node)
        return stanzas.form_values(self._send("get", service, stanzas.node_request("configure", node, owner=True)))

    def configure_node(self, node: str, configuration: Mapping[str, Any], *, service: str | None = None) -> None:
        """Change the named fields of a node's configuration."""
        check_node(node)
        request = stanzas.node_request("configure", node, owner=True)
        request[0].append(stanzas.data_form(configuration, f"{stanzas.PUBSUB}#node_config"))
        self._send("set", service, request)

    def nodes(self, service: str | None = None) -> list[str]:
        """Return the names of the nodes that the service lists (XEP-0030), sorted."""
        answer = self._send("get", service, Element(f"{{{stanzas.DISCO_ITEMS}}}query"))
        listed = answer.iter(f"{{{stanzas.DISCO_ITEMS}}}item")
        return sorted({name for one in listed if (name := one.get("node"))})

    def supports_rsm(self, service: str | None = None) -> bool:
        """Return whether the service announces result set management (XEP-0030). The answer holds for a session.

        A service that refuses to list its features counts as one without, unless it is overloaded or not reached.
        """
        try:
            return stanzas.RSM in self.features(service)
        except PubsubServiceError as error:
            if error.condition in _PASSING:
                raise
            self._features[self._target(service)] = frozenset()
            return False

    def features(self, service: str | None = None) -> frozenset[str]:
        """Return the features that a service announces (XEP-0030): one round trip for each service and session."""
        address = self._target(service)
        found = self._features.get(address)
        if found is None:
            answer = self._send("get", service, Element(f"{{{stanzas.DISCO_INFO}}}query"))
            names = (one.get("var") for one in answer.iter(f"{{{stanzas.DISCO_INFO}}}feature"))
            found = self._features[address] = frozenset(name for name in names if name)
        return found

    def _archived(
        self, node: str, service: str | None, filters: Mapping[str, Any], rsm: RsmRequest | None
    ) -> ItemsPage:
        if not isinstance(filters, Mapping):
            raise InvalidTypeError(f"extra['mam'] must be a mapping of fields, not {shown(filters)}; pass {{}}")
        query_id = str(uuid4())
        request = stanzas.archive_request(node, query_id, filters, rsm)
        with self._lock:
            self._queries[query_id] = []
        try:
            answer = self._send("set", service, request)
        finally:
            with self._lock:
                items = tuple(self._queries.pop(query_id))
        end = answer.find(f"{{{stanzas.MAM}}}fin")
        is_complete = end is not None and end.get("complete") == "true"
        place = None if end is None else end.find(f"{{{stanzas.RSM}}}set")
        return stanzas.items_page(items, place, rsm or RsmRequest(), is_complete)

    def _send(self, kind: str, service: str | None, request: Element) -> Element:
        self._require_open()
        return self._connection.ask(kind, self._target(service), request)

    def _target(self, service: str | None) -> str:
        return self.default_service if service is None else _address(service)

    def _receive(self, message: Element) -> None:
        sender = message.get("from")
        service = self.account if sender is None else _address(sender)
        for event in stanzas.events_of(service, message):
            self._notify(event)

    def _collect(self, message: Element) -> None:
        with self._lock:
            for query_id, items in self._queries.items():
                items.extend(stanzas.archived_items(message, query_id))

    def _begin_session(self, is_again: bool) -> None:
        self._features.clear()
        if is_again:
            self._notify(EventsMissed())

    def _close(self) -> None:
        self._connection.close()


def _bare(jid: str) -> str:
    if not isinstance(jid, str):
        raise InvalidTypeError(f"jid must be a str, not {shown(jid)}")
    try:
        parsed = JID(jid)
    except InvalidJID as error:
        raise InvalidValueError(f"{shown(jid)} is no address of XMPP: {error}") from None
    if not parsed.local or not parsed.host:
        raise InvalidValueError(f"{shown(jid)} is no address of an account; pass one such as ann@example.org")
    return str(parsed.bare)


def _address(jid: str) -> str:
    """Return the bare form of a service's address."""
    try:
        bare = str(JID(jid).bare)
    except (InvalidJID, TypeError, AttributeError) as error:
        raise InvalidValueError(f"{shown(jid)} is no address of XMPP: {error}") from None
    if not bare:
        raise InvalidValueError("the address of a service must not be empty; pass None for the default service")
    return bare

"""The part of a pubsub cache that hands requests to its service."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from feedstore.pubsub.node_watch import NodeWatch
from feedstore.pubsub.service import PubsubService
from feedstore.pubsub.values import NodeConfigured, NodePurged
from feedstore.shown import shown
from feedstore.storage.documents import DocumentStorage, NodeKey, SubscriptionState

_logger = logging.getLogger(__name__)
_EVENT_SECONDS = 10.0


class ServiceCalls(PubsubService):
    """The methods of a :class:`PubsubCache` that send a request to its service."""

    service: PubsubService
    documents: DocumentStorage

    @abstractmethod
    def _watch(self, key: NodeKey) -> NodeWatch:
        """Return the state of a node in this process."""

    def _key(self, node: str, service: str | None) -> NodeKey:
        return NodeKey(self.account, self.default_service if service is None else service, node)

    def publish(self, node: str, payload: bytes, *, service: str | None = None, item_id: str | None = None) -> str:
        """Publish an item at the service. Until its event has come, requests for the node go to the service."""
        with self._awaiting(node, service) as marks:
            published = self.service.publish(node, payload, service=service, item_id=item_id)
            marks.append(published)
            return published

    def retract(self, node: str, item_ids: Sequence[str], *, service: str | None = None) -> None:
        """Delete items at the service. Until their event has come, requests for the node go to the service."""
        with self._awaiting(node, service) as marks:
            self.service.retract(node, item_ids, service=service)
            marks.extend(item_ids)

    def purge_node(self, node: str, *, service: str | None = None) -> None:
        """Delete all items of a node at the service; :meth:`purge` removes items from the cache alone."""
        with self._awaiting(node, service) as marks:
            self.service.purge_node(node, service=service)
            marks.append(NodePurged)

    def configure_node(self, node: str, configuration: Mapping[str, Any], *, service: str | None = None) -> None:
        """Change the configuration of a node at the service."""
        with self._awaiting(node, service) as marks:
            self.service.configure_node(node, configuration, service=service)
            marks.append(NodeConfigured)

    def delete_node(self, node: str, *, service: str | None = None) -> None:
        """Delete a node at the service, and its copy in the cache."""
        self.service.delete_node(node, service=service)
        key = self._key(node, service)
        try:
            self._watch(key).reset()
            self.documents.delete_node(key)
        except Exception:
            _logger.exception("the deleted node %s stays in the cache until its event comes", shown(node))

    def create_node(
        self, node: str, *, service: str | None = None, configuration: Mapping[str, Any] | None = None
    ) -> None:
        """Create a node at the service."""
        self.service.create_node(node, service=service, configuration=configuration)

    def subscribe(self, node: str, *, service: str | None = None) -> SubscriptionState:
        """Subscribe the account at the service."""
        return self.service.subscribe(node, service=service)

    def unsubscribe(self, node: str, *, service: str | None = None) -> None:
        """End the subscription of the account at the service. The cached node is refreshed by age from then on."""
        self.service.unsubscribe(node, service=service)
        key = self._key(node, service)
        try:
            self.documents.remove_subscription(key, self.account)
            self.documents.update_node(key, subscribed=False)
        except Exception:
            self._watch(key).refresh_reason = "the account ended its subscription"
            _logger.exception("the end of the subscription to %s could not be stored", shown(node))

    def configuration(self, node: str, *, service: str | None = None) -> dict[str, Any]:
        """Return the configuration of a node from the service."""
        return self.service.configuration(node, service=service)

    def nodes(self, service: str | None = None) -> list[str]:
        """Return the names of the nodes that the service shows; :meth:`cached_nodes` returns those of the cache."""
        return self.service.nodes(service)

    def supports_rsm(self, service: str | None = None) -> bool:
        """Return whether the service has result set management. A synchronised node always has."""
        return self.service.supports_rsm(service)

    @contextmanager
    def _awaiting(self, node: str, service: str | None) -> Iterator[list[object]]:
        """Let requests for a node go to the service until the events of a change in the block have been applied."""
        watch = self._watch(self._key(node, service))
        marks: list[object] = []
        collected = watch.begin_write()
        try:
            yield marks
        finally:
            watch.end_write(collected, marks, _EVENT_SECONDS)

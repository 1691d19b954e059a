"""Followed nodes: the items of cached nodes as activities in feeds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from feedstore.activity import Activity
from feedstore.errors import InvalidTypeError
from feedstore.fanout import FeedManager
from feedstore.feeds import UserId
from feedstore.pubsub.cache import PubsubCache
from feedstore.pubsub.service import check_node
from feedstore.pubsub.values import (
    EventsMissed,
    ItemsPublished,
    ItemsRetracted,
    NodeDeleted,
    NodePurged,
    NodeSynchronised,
    ServiceEvent,
)
from feedstore.shown import shown
from feedstore.storage.checks import check_key
from feedstore.storage.documents import Document, NodeKey, SyncState
from feedstore.storage.documents.query import check_results

Content = Callable[[NodeKey, Document], "Mapping[str, Any] | None"]
"""A function that returns the extra context of an item's activity, or None for an item without an activity."""

_logger = logging.getLogger(__name__)
_LONGEST_PRODUCER = 250


def item_content(key: NodeKey, document: Document) -> Mapping[str, Any]:
    """Return the extra context of an item's activity: its service, its node, and its parsed content."""
    return {"service": key.service, "node": key.name, "publisher": document.publisher, "content": document.parsed}


class FollowedNodes:
    """Publishes the items of cached nodes through a feed manager, so that users follow nodes like other users.

    A followed node is the user :meth:`producer` of the manager. Each of its items is a unique activity of this
    producer, with the item's id as object. A republished item changes its activity, and a retracted item removes it.
    After each synchronisation, the newest items and the activities are compared, which repairs missed changes.

    The items of a node reach all followers of its producer. The account of the cache may read them; make sure that the
    followers may.

    Args:
        cache: the cache, whose account reads the nodes.
        manager: the feed manager.
        content: the function that returns the extra context of an item's activity.
        verb: the verb of the activities.
        most: the number of newest items of a node that a comparison covers, 10,000 at most.
        name: the name of the key-value storage that lists the followed nodes.
    """

    def __init__(
        self,
        cache: PubsubCache,
        manager: FeedManager,
        *,
        content: Content = item_content,
        verb: str = "post",
        most: int = 500,
        name: str = "pubsub-followed",
    ) -> None:
        if not isinstance(cache, PubsubCache):
            raise InvalidTypeError(f"cache must be a PubsubCache, not {shown(cache)}")
        if not isinstance(manager, FeedManager):
            raise InvalidTypeError(f"manager must be a FeedManager, not {shown(manager)}")
        if not callable(content):
            raise InvalidTypeError(f"content must be a function, not {shown(content)}")
        self.cache = cache
        self.manager = manager
        self._content = content
        self._verb = verb
        self._most = check_results("most", most)
        self._followed = manager.backend.kv_storage(check_key(name, "name"))
        self._handle = cache.add_listener(self._receive)

    def producer(self, node: str, *, service: str | None = None) -> str:
        """Return the user of the manager that stands for a node, as the account of the cache reads it."""
        check_node(node)
        return _producer_of(self._key(node, service))

    def follow(self, user_id: UserId, node: str, *, service: str | None = None) -> bool:
        """Let a user follow a node, and return whether the user did not follow it before.

        The node is synchronised if it never was, and its items are published. If another process synchronises it now,
        the items that it still lacks are published after the end of that synchronisation.
        """
        producer, key = self.producer(node, service=service), self._key(node, service)
        if not self._followed.exists(producer):
            self._followed.upsert(producer, list(key))
            self.cache.synchronise(node, service=service)
            self.reconcile(node, service=service)
        return self.manager.follow_user(user_id, producer)

    def unfollow(self, user_id: UserId, node: str, *, service: str | None = None) -> bool:
        """End a user's following of a node, and return whether the user followed it."""
        return self.manager.unfollow_user(user_id, self.producer(node, service=service))

    def drop(self, node: str, *, service: str | None = None) -> None:
        """Stop the publication of a node's items. The activities of published items stay."""
        self._followed.delete(self.producer(node, service=service))

    def followed(self) -> list[NodeKey]:
        """Return the nodes of this account that are published."""
        keys = [NodeKey(*parts) for parts in self._followed.fetch_all()]
        return sorted(key for key in keys if key.account == self.cache.account)

    def reconcile(self, node: str, *, service: str | None = None) -> None:
        """Compare the newest items of a node with its activities, and publish, change and remove those that differ.

        Nothing is removed if the node is synchronised during the call, because the cache may hold half of its items.
        """
        key = self._key(node, service)
        producer = _producer_of(key)
        node_before = self.cache.documents.get_node(key)
        documents = self.cache.documents.newest(key, self._most, order_by="creation")
        published = {str(one.object): one for one in self.manager.get_user_feed(producer)[: self._most]}
        # Older items than these may have activities too.
        older = [one for one in published if one not in {document.item_id for document in documents}]
        kept = {one.item_id for one in self.cache.documents.get_items(key, older)}
        for document in documents:
            activity = self._activity(key, document)
            known = published.get(document.item_id)
            if activity is None or known is None or known.stored_context != activity.stored_context:
                self._publish(producer, document.item_id, activity)
        is_changing = node_before is not None and node_before.sync_state is SyncState.IN_PROGRESS
        if not is_changing and self.cache.documents.get_node(key) == node_before:
            self._remove(producer, [one for one in older if one not in kept])

    def close(self) -> None:
        """Stop receiving the changes of nodes. Cache and manager stay open."""
        self.cache.remove_listener(self._handle)

    def _key(self, node: str, service: str | None) -> NodeKey:
        return NodeKey(self.cache.account, self.cache.default_service if service is None else service, node)

    def _receive(self, event: ServiceEvent) -> None:
        """Publish a change of a followed node."""
        if isinstance(event, EventsMissed):
            return
        key = self._key(event.node, event.service)
        producer = _producer_of(key)
        if not self._followed.exists(producer):
            return
        if isinstance(event, ItemsPublished):
            for document in self.cache.documents.get_items(key, [item.id for item in event.items]):
                self._publish(producer, document.item_id, self._activity(key, document))
        elif isinstance(event, ItemsRetracted):
            self._remove(producer, [one for one in event.item_ids if one])
        elif isinstance(event, NodeSynchronised):
            node = self.cache.documents.get_node(key)
            # A synchronisation by another process may have failed, which removes items and no activities.
            if node is not None and node.sync_state is not SyncState.ERROR:
                self.reconcile(event.node, service=event.service)
        elif isinstance(event, (NodePurged, NodeDeleted)):
            self.reconcile(event.node, service=event.service)

    def _activity(self, key: NodeKey, document: Document) -> Activity | None:
        try:
            content = self._content(key, document)
        except Exception:
            _logger.exception("the item %s of the node %s has no activity", shown(document.item_id), shown(key.name))
            return None
        if content is None:
            return None
        producer = _producer_of(key)
        return Activity(producer, self._verb, document.item_id, time=document.created, extra_context=content)

    def _publish(self, producer: str, item_id: str, activity: Activity | None) -> None:
        if activity is None:
            self._remove(producer, [item_id])
        elif not self.manager.add_user_activity(producer, activity, unique=True):
            self.manager.update_user_activity(activity)

    def _remove(self, producer: str, item_ids: Iterable[str]) -> None:
        for item_id in item_ids:
            self.manager.retract(producer, self._verb, item_id)


def _producer_of(key: NodeKey) -> str:
    """Return the name of a node's producer: its account, service and name, or their hash if they are long."""
    name = "pubsub:" + ":".join(quote(part, safe="@/.-_") for part in key)
    return name if len(name) <= _LONGEST_PRODUCER else f"pubsub:{sha256(name.encode()).hexdigest()}"

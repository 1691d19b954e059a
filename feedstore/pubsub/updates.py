"""The application of a service's events to the cached nodes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from feedstore.pubsub.cached_items import CachedItems
from feedstore.pubsub.node_watch import NodeWatch, ProcessState
from feedstore.pubsub.service import PubsubService
from feedstore.pubsub.values import (
    EventsMissed,
    ItemsPublished,
    ItemsRetracted,
    NodeConfigured,
    NodeDeleted,
    NodePurged,
    PubsubEvent,
    ServiceEvent,
    ServiceItem,
)
from feedstore.shown import shown
from feedstore.storage.documents import DocumentNode, NodeKey, SyncState

_logger = logging.getLogger(__name__)
_FILLED = (SyncState.COMPLETED, SyncState.IN_PROGRESS)


class Updates:
    """Applies events to the nodes of an account.

    Args:
        service: the service, which is asked for the payloads that events leave out.
        items: the cached items.
        state: a function that returns the state of this process.
        refresh: a function that lets a thread refresh a node.
        forward: a function that receives each event once it is applied.
    """

    def __init__(
        self,
        service: PubsubService,
        items: CachedItems,
        state: Callable[[], ProcessState],
        refresh: Callable[[NodeKey], object],
        forward: Callable[[ServiceEvent], object],
    ) -> None:
        self._service = service
        self._items = items
        self._documents = items.documents
        self._state = state
        self._refresh = refresh
        self._forward = forward

    def receive(self, event: ServiceEvent) -> None:
        """Apply an event now, or after a synchronisation that is in progress. It runs on one thread."""
        if isinstance(event, EventsMissed):
            self._forward(event)
            return
        key = NodeKey(self._service.account, event.service, event.node)
        watch = self._state().watch(key)
        with watch.lock:
            if watch.run is not None:
                watch.defer(event)
                return
            if watch.held:
                watch.hold(event)
                return
            is_applied = self._apply_or_hold(key, event, watch)
        if is_applied:
            self._forward(event)

    def retry_held(self) -> bool:
        """Apply the held events of nodes that no process synchronises any more. Return whether some are still held."""
        state = self._state()
        for key in list(state.holding):
            watch = state.watch(key)
            with watch.lock:
                node = self._documents.get_node(key)
                if node is not None and node.sync_state is SyncState.IN_PROGRESS:
                    # It is synchronised again if its process has ended.
                    self._refresh(key)
                    continue
                # Requests go to the service until the events are applied.
                self.apply(key, watch.held, watch)
                events, watch.held = watch.held, []
                state.holding.discard(key)
            self.forward(events)
        return bool(state.holding)

    def forward(self, events: Iterable[ServiceEvent]) -> None:
        """Let the listeners of the cache receive events that were applied. The caller holds no lock."""
        for event in events:
            self._forward(event)

    def _apply_or_hold(self, key: NodeKey, event: PubsubEvent, watch: NodeWatch) -> bool:
        """Apply an event unless another process synchronises the node. Return whether it was applied."""
        try:
            node = self._documents.get_node(key)
        except Exception as error:  # noqa: BLE001 after any failure, the cached items may differ now
            self._note_failure(key, watch, error)
            return True
        if node is not None and node.sync_state is SyncState.IN_PROGRESS:
            watch.hold(event)
            self._state().holding.add(key)
            return False
        self.apply(key, [event], watch)
        return True

    def apply(self, key: NodeKey, events: Iterable[PubsubEvent], watch: NodeWatch) -> None:
        """Apply events to a node in their order. The caller holds the lock of the watch."""
        # Before the first change, so that no answer is read from the middle of one.
        watch.changes += 1
        for event in events:
            try:
                node = self._documents.get_node(key)
                if node is not None:
                    self._change(node, event, watch)
            except Exception as error:  # noqa: BLE001 after any failure, the cached items may differ now
                self._note_failure(key, watch, error)
            watch.note_event(event)

    def _change(self, node: DocumentNode, event: PubsubEvent, watch: NodeWatch) -> None:
        if isinstance(event, NodeDeleted):
            self._documents.delete_node(node.key)
            watch.reset()
        elif isinstance(event, NodeConfigured):
            self._configure(node, event, watch)
        elif node.sync_state not in _FILLED:
            return
        elif isinstance(event, ItemsPublished):
            items = [item for item in event.items if item.payload] + self._fetched(event)
            clock = self._items.clock_of(node.key, is_newest=True)
            self._items.store(node, items, clock, chosen=watch.parser)
            if self._service.has_whole_nodes:
                watch.uncounted += 1
                self._refresh(node.key)
        elif isinstance(event, ItemsRetracted):
            self._documents.remove_items(node.key, [one for one in event.item_ids if one])
        elif isinstance(event, NodePurged):
            self._documents.purge_node(node.key)

    def _fetched(self, event: ItemsPublished) -> list[ServiceItem]:
        """Return the items of a notification without payloads, as the service has them now."""
        bare = [item.id for item in event.items if not item.payload]
        if not bare:
            return []
        return list(self._service.get_items(event.node, service=event.service, item_ids=bare).items)

    def _configure(self, node: DocumentNode, event: NodeConfigured, watch: NodeWatch) -> None:
        """Keep a configuration, and verify the items: a new access model may hide them from the account."""
        extra = {**(node.extra or {}), "configuration": dict(event.configuration)}
        if event.configuration:
            self._documents.update_node(node.key, extra=extra)
        if node.sync_state is SyncState.COMPLETED:
            watch.refresh_reason = "the configuration of the node was changed"
            self._refresh(node.key)

    def note_missed(self, event: EventsMissed) -> None:
        """Let the affected nodes be refreshed: those that this process uses now, and others at their next request.

        It runs on the thread of the service, so that no later request is answered from an affected node.
        """
        state = self._state()
        if event.service is None or event.node is None:
            state.note_missed(event.service)
        for key, watch in state.known():
            if event.service in (None, key.service) and event.node in (None, key.name):
                watch.refresh_reason = "events of the service were missed"
                self._refresh(key)

    def _note_failure(self, key: NodeKey, watch: NodeWatch, error: Exception) -> None:
        _logger.warning(
            "an event of the node %s could not be applied, so the node is refreshed: %s", shown(key.name), error
        )
        watch.refresh_reason = "an event could not be applied"
        self._refresh(key)

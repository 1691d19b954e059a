"""A cache of pubsub nodes and items, which has the interface of a service."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from feedstore.errors import InvalidTypeError, PubsubItemNotFound
from feedstore.options import read_count, read_duration, read_seconds
from feedstore.pubsub.analysers import Analyser, Analysers, MatchCallback, Parser
from feedstore.pubsub.cache_contents import CacheContents
from feedstore.pubsub.cached_items import CachedItems
from feedstore.pubsub.node_watch import NodeWatch, ProcessState, now
from feedstore.pubsub.parsing import ParserRunner
from feedstore.pubsub.service import PubsubService, check_request
from feedstore.pubsub.service_calls import ServiceCalls
from feedstore.pubsub.synchroniser import Synchroniser, SyncLimits
from feedstore.pubsub.updates import Updates
from feedstore.pubsub.values import (
    EventsMissed,
    ItemOrder,
    ItemsPage,
    NodeSynchronised,
    RsmRequest,
    ServiceEvent,
)
from feedstore.pubsub.workers import Workers
from feedstore.shown import shown
from feedstore.storage import Backend
from feedstore.storage.backend import checked_backend
from feedstore.storage.documents import (
    DocumentNode,
    DocumentStorage,
    NodeFields,
    NodeKey,
    SyncState,
)

_logger = logging.getLogger(__name__)
_NEVER = datetime.min.replace(tzinfo=timezone.utc)
_SLACK = timedelta(minutes=1)


class PubsubCache(CacheContents, ServiceCalls):
    """A pubsub service that answers from a cache where it can.

    A cache serves the account of its service. Caches of several accounts and processes share a backend, and an item
    that one account may read never answers another. A request for a node that is synchronised costs two or three
    round trips to the database, the first one of a process one more, and none to the service. All other requests go to
    the service, and so does a request after a fault of the cache, which is logged.

    Make one cache for each account in a process, and close it at the end. Closing it leaves service and backend open.
    A forked child has its own threads and verifies each node before it answers from it.

    Args:
        service: the access of an account to pubsub services.
        backend: a backend with the ability ``documents``: SQLite or PostgreSQL.
        max_items: the most items of a node. A node with more is not synchronised.
        sync_deadline: the longest duration of a synchronisation.
        refresh_after: the age after which a node is synchronised again whose service sends no events, because the
            subscription failed.
        verify_after: the age after which a node is synchronised again although the service sends its events. So a right
            that the service withdraws without an event ends.
        dead_after: the time without a sign of life after which a synchronisation counts as abandoned. If its process
            ended on the same machine, it counts as abandoned without that delay.
        parser_seconds: the longest time that a parser may take for one item.
        threads: the number of threads that synchronise nodes in the background.
        trust_stored: whether nodes that were synchronised before this process received events answer requests. By
            default each is synchronised again at its first request, because it may have missed events.

    Raises:
        UnsupportedError: The backend has no document storage.
        InvalidTypeError, InvalidValueError: An option is not allowed.
    """

    def __init__(
        self,
        service: PubsubService,
        backend: Backend,
        *,
        max_items: int = 5000,
        sync_deadline: timedelta = timedelta(hours=6),
        refresh_after: timedelta = timedelta(hours=1),
        verify_after: timedelta = timedelta(days=1),
        dead_after: timedelta = timedelta(minutes=10),
        parser_seconds: float = 10.0,
        threads: int = 2,
        trust_stored: bool = False,
    ) -> None:
        if not isinstance(service, PubsubService):
            raise InvalidTypeError(f"service must be a PubsubService, not {shown(service)}")
        super().__init__(service.account, service.default_service)
        self.service = service
        self.has_whole_nodes = service.has_whole_nodes
        self.documents: DocumentStorage = checked_backend(backend).document_storage()
        self.analysers = Analysers()
        limits = SyncLimits(
            read_count(1, 10_000_000)("max_items", max_items),
            read_duration("sync_deadline", sync_deadline),
            read_duration("dead_after", dead_after),
        )
        self._refresh_after = read_duration("refresh_after", refresh_after)
        self._verify_after = read_duration("verify_after", verify_after)
        self._threads = read_count(1, 100)("threads", threads)
        self._trusts_stored = bool(trust_stored)
        runner = ParserRunner(read_seconds()("parser_seconds", parser_seconds))
        self._items = CachedItems(self.documents, self.analysers, runner)
        self._processes: dict[int, tuple[ProcessState, Workers]] = {}
        self._updates = Updates(
            service,
            self._items,
            lambda: self._process()[0],
            lambda key: self._process()[1].schedule(key),
            self._notify,
        )
        self._synchroniser = Synchroniser(
            service, self._items, self._updates, limits, lambda: self._process()[0], lambda: self.closed
        )
        # The state begins before the first event.
        self._process()
        self._handle = service.add_listener(self._receive)

    def register_analyser(
        self,
        name: str,
        type: str,
        *,
        node: str | None = None,
        namespace: str | None = None,
        to_sync: bool = False,
        parser: Parser | None = None,
        match_cb: MatchCallback | None = None,
        priority: int = 0,
    ) -> Analyser:
        """Add a rule that recognizes nodes. A node is analysed at its first request, in the background.

        The analysers are tried in the order of their priority, and of their registration. The first that matches the
        name of the node or the namespace of its first item decides, and its name is stored with the node. A node that
        none matches is analysed again once another analyser is registered.

        Args:
            name: the name of the analyser, which finds its parser later. Spaces around it and its case do not matter.
            type: the type of the nodes, such as ``"blog"``.
            node: a prefix of the names of the nodes.
            namespace: the XML namespace of the first item's payload.
            to_sync: whether the nodes are synchronised.
            parser: a function that returns the content of an item as a dict that JSON can hold. If it raises an
                exception, takes too long or returns anything else, the item is kept without parsed content, and the
                reason is logged. It may be a coroutine function. If it has a method ``text`` of an item, that
                returns the text to search; by default the text is that of all elements of the payload.
            match_cb: a function of the service and the :class:`NodeAnalysis`, which it may change: ``subtype`` or
                ``to_sync``, for example. It may be a coroutine function.
            priority: an analyser with a higher priority is tried before those with a lower one.

        Raises:
            InvalidValueError: There is no name, no type, or neither node nor namespace; or the name is taken.
        """
        return self.analysers.register(Analyser(name, type, node, namespace, to_sync, parser, match_cb, priority))

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
        use_cache: bool = True,
    ) -> ItemsPage:
        """Return items of a node: from the cache if the node is synchronised, otherwise from the service.

        From the cache, a request without a number returns the newest 20. Without ``order_by``, a page of ``rsm`` is in
        the order of creation, and the newest items are those with the last modification.

        Args:
            node: the name of the node.
            service: the address of its service.
            max_items: the number of newest items.
            item_ids: the ids of the items to return.
            rsm: the page to return.
            order_by: the order of the items.
            extra: further options of the service. With ``use_cache: False`` or ``mam`` the service answers.
            use_cache: whether the cache may answer.

        Raises:
            InvalidValueError, PubsubItemNotFound: See :meth:`PubsubService.get_items`. A fault of the cache raises
                nothing.
        """
        self._require_open()
        check_request(node, max_items, item_ids, rsm, order_by)
        goes_past = not use_cache or (extra and (extra.get("use_cache") is False or extra.get("mam")))
        if not goes_past:
            try:
                key = self._key(node, service)
                found = self._cached_page(key, lambda: self._items.read(key, max_items, item_ids, rsm, order_by))
                if found is not None:
                    return found
            except PubsubItemNotFound:
                raise
            except Exception:
                _logger.exception("the cache failed, so the service answers for the node %s", shown(node))
        choice: dict[str, Any] = {"max_items": max_items, "item_ids": item_ids, "rsm": rsm, "order_by": order_by}
        return self.service.get_items(node, service=service, extra=extra, **choice)

    def _cached_page(self, key: NodeKey, read: Callable[[], ItemsPage]) -> ItemsPage | None:
        """Return the cached items of a node, or None if the service must answer.

        The node must be equal before and after the items are read, and no event may be applied in between. Otherwise
        they may be half of the items of a synchronisation, or hold one that the service has dropped. The node of the
        last request saves one round trip.
        """
        state, _ = self._process()
        watch = state.watch(key)
        before = watch.answered
        if before is None or self._is_changing(key, watch) or self._is_due(before[1], watch, state):
            before = self._answering_node(key, watch)
        for _ in range(2):
            if before is None:
                return None
            try:
                found: ItemsPage | PubsubItemNotFound = read()
            except PubsubItemNotFound as error:
                found = error
            watch.answered = after = self._answering_node(key, watch)
            if after == before:
                if isinstance(found, PubsubItemNotFound):
                    raise found
                return found
            before = after
        return None

    def _answering_node(self, key: NodeKey, watch: NodeWatch) -> tuple[int, DocumentNode] | None:
        """Return a node whose items the cache holds, with the number of changes that this process had applied to it.

        The result is None after letting a thread analyse or synchronise the node.
        """
        state, workers = self._process()
        # Later changes are not part of the number.
        changes = watch.changes
        if self._is_changing(key, watch):
            return None
        node = self.documents.get_node(key)
        if node is not None and node.sync_state is SyncState.COMPLETED and not self._is_due(node, watch, state):
            return changes, node
        if watch.may_retry and self._has_work(node, watch):
            workers.schedule(key)
        return None

    def _is_changing(self, key: NodeKey, watch: NodeWatch) -> bool:
        """Return whether this process synchronises a node, or has received an event that is not applied yet."""
        return bool(self._process()[1].has_events_of(key) or watch.held or watch.run is not None or watch.awaits_events)

    def _has_work(self, node: DocumentNode | None, watch: NodeWatch) -> bool:
        """Return whether a node that cannot be answered from the cache is to be analysed or synchronised."""
        if node is None or node.sync_state is None:
            return self.analysers.version != watch.analysed
        if node.sync_state is SyncState.IN_PROGRESS:
            return self._synchroniser.is_abandoned(node)
        return node.sync_state is SyncState.COMPLETED

    def _is_due(self, node: DocumentNode, watch: NodeWatch, state: ProcessState) -> bool:
        """Return whether the items of a synchronised node may differ from those of the service."""
        if watch.refresh_reason is not None or watch.uncounted:
            return True
        if node.subscribed and not state.is_verified(node, watch):
            return True
        age = now() - (node.sync_state_updated or _NEVER)
        # A time in the future comes from a clock that went back.
        return not -_SLACK <= age <= (self._verify_after if node.subscribed else self._refresh_after)

    def _maintain(self, key: NodeKey) -> None:
        """Analyse a node and synchronise it, as its state demands. It runs on a thread of the cache."""
        state, _ = self._process()
        watch = state.watch(key)
        try:
            node = self.documents.get_node(key)
            if not self._has_work(node, watch):
                return
            if node is None or node.sync_state is None:
                node = self._analysed(key, watch, node)
                if node is not None and node.sync_state is None:
                    self._synchroniser.run(node, [None])
            elif node.sync_state is SyncState.IN_PROGRESS:
                self._synchroniser.run(node, [])
            else:
                if watch.uncounted:
                    self._synchroniser.remove_dropped(node, watch)
                if self._is_due(node, watch, state):
                    self._synchroniser.run(node, [SyncState.COMPLETED], keep_items=True)
        except Exception:
            watch.note_failure()
            raise

    def _analysed(self, key: NodeKey, watch: NodeWatch, node: DocumentNode | None) -> DocumentNode | None:
        """Return a node that was never synchronised with the result of its analysis; None if no analyser matches."""
        if node is not None and self.analysers.named(node.analyser) is not None:
            return node
        version = self.analysers.version
        analysis = self.analysers.analyse(self.service, key.service, key.name)
        if analysis is None:
            watch.analysed = version
            return None
        analyser = self.analysers.named(analysis.name)
        watch.parser = None if analyser is not None and analyser.parser is analysis.parser else analysis.parser
        fields: NodeFields = {
            "analyser": analysis.name,
            "type": analysis.type or None,
            "subtype": analysis.subtype or None,
            "sync_state": None if analysis.to_sync else SyncState.NO_SYNC,
        }
        found, is_new = self.documents.add_node(key, **fields)
        if not is_new and found.sync_state is None:
            self.documents.update_node(key, state_is=[None], **fields)
            return self.documents.get_node(key)
        return found

    def synchronise(self, node: str, *, service: str | None = None, resync: bool = False) -> DocumentNode | None:
        """Synchronise a node now, on this thread, with or without an analyser that matches it; return the node.

        The state of the result is COMPLETED if it succeeded; otherwise its reason describes the failure. Without
        ``resync``, nothing is done for a node that was synchronised before, or failed to be. While the node is
        being synchronised, nothing is done; if another process does it, the listeners receive
        :class:`NodeSynchronised` after its end.

        Args:
            node: the name of the node.
            service: the address of its service.
            resync: whether to delete the node with its items first.
        """
        self._require_open()
        check_request(node)
        key = self._key(node, service)
        watch = self._watch(key)
        found = self.documents.get_node(key)
        is_running = found is not None and found.sync_state is SyncState.IN_PROGRESS
        if found is not None and is_running and not self._synchroniser.is_abandoned(found):
            _logger.warning("the node %s is being synchronised already", shown(node))
            event = NodeSynchronised(key.service, key.name)
            if watch.run is None and event not in watch.held:
                # It is held until the synchronisation by another process ends, and then reaches the listeners.
                self._receive(event)
            return found
        if found is not None and resync:
            self.documents.delete_node(key)
            watch.reset()
            found = None
        states: list[SyncState | None] = [None]
        if found is None:
            found = self._added(key, watch)
            states.append(SyncState.NO_SYNC)
        if is_running or found.sync_state in states:
            while not self._synchroniser.run(found, states) and (running := watch.run) is not None:
                # A thread of the cache was faster. If it began before the deletion, its items were not stored.
                running.ended.wait()
        return self.documents.get_node(key)

    def _added(self, key: NodeKey, watch: NodeWatch) -> DocumentNode:
        """Add a node with the result of its analysis, or without."""
        try:
            analysed = self._analysed(key, watch, None)
        except Exception:
            _logger.exception("the analysis of the node %s failed, so it is synchronised without", shown(key.name))
            analysed = None
        return analysed if analysed is not None else self.documents.add_node(key)[0]

    def _watch(self, key: NodeKey) -> NodeWatch:
        return self._process()[0].watch(key)

    def _process(self) -> tuple[ProcessState, Workers]:
        """Return the state and the threads of this process."""
        process = os.getpid()
        found = self._processes.get(process)
        if found is None:
            workers = Workers(
                self._maintain, self._updates.receive, self._updates.retry_held, self.account, self._threads
            )
            # If two threads race, both use the first; the other has started no thread.
            found = self._processes.setdefault(process, (ProcessState(self._trusts_stored), workers))
        return found

    def _receive(self, event: ServiceEvent) -> None:
        """Let a thread apply an event. The service's thread must not wait for it."""
        state, workers = self._process()
        if isinstance(event, EventsMissed):
            self._updates.note_missed(event)
        if not workers.post(event):
            state.note_missed(event.service)

    def _close(self) -> None:
        self.service.remove_listener(self._handle)
        self._process()[1].close()

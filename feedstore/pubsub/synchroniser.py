"""The synchronisation of nodes: the claim, the pages, and the end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from feedstore.errors import (
    FeedstoreError,
    PubsubClosedError,
    PubsubError,
    PubsubItemNotFound,
    PubsubUnsupportedError,
    StorageError,
)
from feedstore.pubsub.analysers import NO_ANSWER
from feedstore.pubsub.cached_items import CachedItems, ItemClock
from feedstore.pubsub.node_watch import NodeWatch, ProcessState, SyncRun, now
from feedstore.pubsub.service import PubsubService
from feedstore.pubsub.updates import Updates
from feedstore.pubsub.values import ItemOrder, NodeSynchronised, RsmRequest, ServiceItem
from feedstore.shown import shown
from feedstore.storage.documents import DocumentNode, SubscriptionState, SyncState

_logger = logging.getLogger(__name__)
_FIRST_PAGE = 50
_LARGEST_PAGE = 500
_PAGE_BYTES = 4 << 20
_RENEW_SECONDS = 5.0
_MOST_ATTEMPTS = 3
_MOST_DROPPED = 100
_LONG_AGO = datetime(1970, 1, 1, tzinfo=timezone.utc)
_PASSING = (*NO_ANSWER, StorageError)


class SyncFailed(FeedstoreError):
    """A node cannot be synchronised; the message is the reason."""


class _StartAgain(FeedstoreError):
    """The items of the node changed between two pages, or the service repeats them; the message is the reason."""


class _Superseded(FeedstoreError):
    """Another synchronisation took over, or the node was deleted."""


@dataclass
class _Progress:
    """The progress of one synchronisation.

    Attributes:
        node: the node as it was before.
        run: the run of this process.
        clock: the clock of the stored items.
        compares: whether the cache may hold items from before, which are compared with those of the service.
        seen: the ids of the items that the service returned.
        subscribed: whether the service sends events of the node.
        reason: the reason for which it does not, or None.
        renewed: the monotonic time of the last sign of life.
    """

    node: DocumentNode
    run: SyncRun
    clock: ItemClock
    compares: bool
    seen: set[str] = field(default_factory=set)
    subscribed: bool = False
    reason: str | None = None
    renewed: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class SyncLimits:
    """The limits of synchronisations.

    Attributes:
        max_items: the most items of a node.
        deadline: the longest duration.
        dead_after: the time without a sign of life after which a synchronisation may be taken over.
    """

    max_items: int
    deadline: timedelta
    dead_after: timedelta


class Synchroniser:
    """Synchronises nodes.

    Args:
        service: the service.
        items: the cached items.
        updates: the events, of which those that come during a synchronisation are applied at its end.
        limits: the limits.
        state: a function that returns the state of this process.
        is_closed: a function that returns whether the cache is closed.
    """

    def __init__(
        self,
        service: PubsubService,
        items: CachedItems,
        updates: Updates,
        limits: SyncLimits,
        state: Callable[[], ProcessState],
        is_closed: Callable[[], bool],
    ) -> None:
        self._service = service
        self._items = items
        self._documents = items.documents
        self._updates = updates
        self._limits = limits
        self._state = state
        self._is_closed = is_closed

    def is_abandoned(self, node: DocumentNode) -> bool:
        """Return whether a node is in progress, but no process synchronises it."""
        return self._state().is_gone(node, now() - self._limits.dead_after)

    def run(self, node: DocumentNode, states: Iterable[SyncState | None], keep_items: bool = False) -> bool:
        """Synchronise a node in one of some states, or one that is in progress and abandoned.

        Return whether this call did it, also if it failed.
        """
        state, key = self._state(), node.key
        keep_items = keep_items or not self._service.has_whole_nodes
        watch = state.watch(key)
        run = SyncRun(state.new_token(), self._limits.deadline.total_seconds())
        with watch.lock:
            if watch.run is not None:
                return False
            watch.run = run
        state.tokens.add(run.token)
        try:
            if not self._documents.claim_sync(
                key, run.token, states=states, stale_before=self._stale_before(node), keep_items=keep_items
            ):
                return False
            with watch.lock:
                # The pages are read from now on, so they hold the changes of these events.
                run.applied, watch.held = watch.held, []
                for event in run.applied:
                    watch.note_event(event)
                state.holding.discard(key)
            began = time.monotonic()
            watch.refresh_reason = None
            clock = self._items.clock_of(key, is_newest=False) if keep_items else ItemClock()
            self._synchronise(_Progress(node, run, clock, keep_items), watch, began)
            return True
        finally:
            state.tokens.discard(run.token)
            with watch.lock:
                self._updates.apply(key, run.deferred, watch)
                watch.run = None
            run.ended.set()
            self._updates.forward(run.applied + run.deferred)

    def remove_dropped(self, node: DocumentNode, watch: NodeWatch) -> None:
        """Remove the items that the service dropped without an event, because the node has a maximum of items.

        It requests the number of items, and if the cache holds up to 100 more, those of them with the oldest
        modifications. If the service still has one of these, or the cache holds more, the node is refreshed.
        """
        counted = watch.uncounted
        ids = self._dropped(node, watch)
        with watch.lock:
            # Otherwise one of the items may have been published again in between.
            if ids and watch.uncounted == counted:
                self._documents.remove_items(node.key, ids)
            # Requests go to the service until the items are removed.
            watch.uncounted -= min(counted, watch.uncounted)

    def _dropped(self, node: DocumentNode, watch: NodeWatch) -> list[str]:
        """Return the ids of the items that the service has dropped."""
        key = node.key
        try:
            page = self._service.get_items(key.name, service=key.service, rsm=RsmRequest(max=0))
        except PubsubUnsupportedError:
            return []
        count = None if page.rsm is None else page.rsm.count
        held = self._documents.page(key, limit=0).count
        if count is None or count >= held:
            return []
        oldest = self._documents.page(key, order_by="modification", limit=min(held - count, _MOST_DROPPED))
        ids = [one.item_id for one in oldest]
        if held - count > len(ids) or self._service.get_items(key.name, service=key.service, item_ids=ids).items:
            watch.refresh_reason = "the service has other items than the cache"
            return []
        return ids

    def _stale_before(self, node: DocumentNode) -> datetime | None:
        if node.sync_state is not SyncState.IN_PROGRESS or not self.is_abandoned(node):
            return None
        # Any sign of life since the node was read invalidates the claim.
        return (node.sync_state_updated or now()) + timedelta(microseconds=1)

    def _synchronise(self, progress: _Progress, watch: NodeWatch, began: float) -> None:
        try:
            self._subscribe(progress)
            self._fetch(progress, watch)
            self._complete(progress, watch, began)
        except _Superseded as error:
            _logger.info("the synchronisation of %s ended: %s", shown(progress.node.key.name), error)
        except Exception as error:  # noqa: BLE001 after any failure, the node must not stay in progress
            self._fail(progress, watch, error)

    def _subscribe(self, progress: _Progress) -> None:
        key = progress.node.key
        try:
            subscription = self._service.subscribe(key.name, service=key.service)
        except NO_ANSWER:
            raise
        except PubsubError as error:
            progress.reason = f"the node cannot be kept up to date, because the subscription failed: {_reason(error)}"
            _logger.warning("%s is refreshed by age: %s", shown(key.name), progress.reason)
            return
        self._documents.set_subscription(key, self._service.account, subscription)
        progress.subscribed = subscription is SubscriptionState.SUBSCRIBED
        if not progress.subscribed:
            progress.reason = "the node cannot be kept up to date, because the subscription waits for approval"

    def _fetch(self, progress: _Progress, watch: NodeWatch) -> None:
        """Store all items, and begin again if they changed between two pages."""
        for attempt in range(_MOST_ATTEMPTS):
            try:
                for items in self._pages(progress):
                    self._store(progress, items, watch)
                break
            except _StartAgain as reason:
                if attempt + 1 == _MOST_ATTEMPTS:
                    raise SyncFailed(str(reason)) from None
                progress.seen.clear()
                progress.compares = True
        if progress.compares and self._service.has_whole_nodes:
            self._items.remove_others(progress.node.key, progress.seen, progress.run.token)

    def _pages(self, progress: _Progress) -> Iterator[list[ServiceItem]]:
        key = progress.node.key
        if not self._has_pages(key.service):
            yield self._single_page(progress)
            return
        size, after = _FIRST_PAGE, None
        order: ItemOrder | None = "creation"
        while True:
            self._check(progress)
            request = RsmRequest(max=size, after=after)
            try:
                page = self._service.get_items(key.name, service=key.service, rsm=request, order_by=order)
            except PubsubItemNotFound as error:
                if after is None:
                    raise
                raise _StartAgain(f"the item {shown(after)} disappeared during the synchronisation") from error
            except PubsubUnsupportedError:
                if order is None or after is not None:
                    raise
                # The service has no order by creation (XEP-0413).
                order = None
                continue
            if page.rsm is None:
                yield self._single_page(progress)
                return
            self._check_number(max(page.rsm.count or 0, len(progress.seen) + len(page.items)))
            yield self._unseen(progress, page.items)
            if page.complete or not page.items:
                return
            after = page.items[-1].id
            size = _next_size(size, page.items)

    def _single_page(self, progress: _Progress) -> list[ServiceItem]:
        """Return the items of a service without pages, if they are fewer than the number that was requested."""
        key, most = progress.node.key, self._limits.max_items
        self._check(progress)
        items = self._service.get_items(key.name, service=key.service, max_items=most).items
        if len(items) >= most:
            raise SyncFailed(
                f"the service has no pages (XEP-0059) and returned as many items as were requested, {most}; it may "
                "have more"
            )
        return self._unseen(progress, items)

    def _has_pages(self, service: str) -> bool:
        try:
            return self._service.supports_rsm(service)
        except NO_ANSWER:
            raise
        except PubsubError as error:
            # The service hides its features.
            _logger.info("the service %s does not state whether it has pages: %s", shown(service), error)
            return False

    def _check(self, progress: _Progress) -> None:
        """Raise an error if the synchronisation must not go on; give a sign of life."""
        moment = time.monotonic()
        if self._is_closed():
            raise PubsubClosedError("the cache was closed during the synchronisation")
        if moment > progress.run.until:
            raise SyncFailed(f"the synchronisation took longer than {self._limits.deadline}")
        if moment - progress.renewed > _RENEW_SECONDS:
            progress.renewed = moment
            if not self._documents.renew_sync(progress.node.key, progress.run.token):
                raise _Superseded("another process took it over")

    def _check_number(self, number: int) -> None:
        if number > self._limits.max_items:
            raise SyncFailed(f"the node has {number} items, more than max_items={self._limits.max_items}")

    def _unseen(self, progress: _Progress, items: Iterable[ServiceItem]) -> list[ServiceItem]:
        found = list(items)
        for item in found:
            if item.id in progress.seen:
                raise _StartAgain(f"the service returned the item {shown(item.id)} twice")
            progress.seen.add(item.id)
        return found

    def _store(self, progress: _Progress, items: list[ServiceItem], watch: NodeWatch) -> None:
        node = progress.node
        changed = self._items.changed(node.key, items) if progress.compares and items else items
        if changed and not self._items.store(
            node, changed, progress.clock, token=progress.run.token, chosen=watch.parser
        ):
            raise _Superseded("another process took it over, or the node was deleted")

    def _complete(self, progress: _Progress, watch: NodeWatch, began: float) -> None:
        """Apply the events that came during the synchronisation, and complete the node before the next one can come."""
        run, key, ended = progress.run, progress.node.key, now()
        with watch.lock:
            self._updates.apply(key, run.deferred, watch)
            run.applied, run.deferred = run.applied + run.deferred, []
            is_done = self._documents.finish_sync(
                key,
                run.token,
                SyncState.COMPLETED,
                sync_state_updated=ended,
                sync_reason=progress.reason,
                subscribed=progress.subscribed,
            )
            if not is_done:
                raise _Superseded("another process took it over, or the node was deleted")
            watch.verified = (ended, began)
            watch.note_success()
            if run.has_lost_events:
                watch.refresh_reason = "too many events came during a synchronisation"
        run.applied.append(NodeSynchronised(key.service, key.name))

    def _fail(self, progress: _Progress, watch: NodeWatch, error: Exception) -> None:
        """End a synchronisation with the state ERROR, or if the items stay, with the state before it."""
        before, key, token = progress.node, progress.node.key, progress.run.token
        watch.note_failure()
        reason = _reason(error)
        _logger.warning("the node %s was not synchronised: %s", shown(key.name), reason)
        if self._keeps_items(before, error):
            # The items stay for searches. The next request refreshes the node.
            watch.refresh_reason = watch.refresh_reason or reason
            was_completed = before.sync_state is SyncState.COMPLETED
            self._documents.finish_sync(
                key,
                token,
                SyncState.COMPLETED,
                sync_state_updated=before.sync_state_updated if was_completed else _LONG_AGO,
                sync_reason=reason,
                subscribed=before.subscribed,
            )
        elif self._documents.finish_sync(key, token, SyncState.ERROR, sync_reason=reason) and self._is_closed():
            self._documents.update_node(key, state_is=[SyncState.ERROR], sync_state=None)

    def _keeps_items(self, before: DocumentNode, error: Exception) -> bool:
        """Return whether the items of a node stay after an error.

        A service without whole nodes may not know them any more, so they stay after every error.
        """
        if before.sync_state is SyncState.COMPLETED:
            return isinstance(error, _PASSING) or not self._service.has_whole_nodes
        return not self._service.has_whole_nodes and self._documents.page(before.key, limit=0).count > 0


def _reason(error: Exception) -> str:
    text = str(error) if isinstance(error, FeedstoreError) else f"{type(error).__name__}: {error}"
    return text.replace("\0", " ").encode("utf-8", "replace").decode()[:1000] or type(error).__name__


def _next_size(size: int, items: tuple[ServiceItem, ...]) -> int:
    """Return the size of the next page, which grows as long as the pages hold few bytes."""
    average = sum(len(item.payload) for item in items) // len(items) + 1
    return max(1, min(_LARGEST_PAGE, size * 4, _PAGE_BYTES // average))

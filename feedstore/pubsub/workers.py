"""The threads of a pubsub cache in one process."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable

from feedstore.pubsub.values import PubsubEvent, ServiceEvent
from feedstore.storage.documents import NodeKey

_logger = logging.getLogger(__name__)
_MOST_WAITING = 1_000
_MOST_EVENTS = 10_000
_IDLE_SECONDS = 10.0
_HOLD_SECONDS = 0.5
_JOIN_SECONDS = 10.0


class Workers:
    """The threads of a cache in one process: some maintain nodes, and one applies events in their order.

    A thread starts when there is work, and ends after ten idle seconds.

    Args:
        maintain: the function that maintains a node.
        apply: the function that applies an event to a node.
        retry: the function that tries held events again, and returns whether some are still held.
        account: the account of the nodes.
        threads: the number of threads that maintain nodes.
    """

    def __init__(
        self,
        maintain: Callable[[NodeKey], object],
        apply: Callable[[ServiceEvent], object],
        retry: Callable[[], bool],
        account: str,
        threads: int,
    ) -> None:
        self._maintain = maintain
        self._apply = apply
        self._retry = retry
        self._account = account
        self._most_threads = threads
        self._changed = threading.Condition()
        self._waiting: deque[NodeKey] = deque()
        self._scheduled: set[NodeKey] = set()
        self._running: set[NodeKey] = set()
        self._again: set[NodeKey] = set()
        self._events: deque[ServiceEvent] = deque()
        self._pending: Counter[tuple[str, str]] = Counter()
        self._threads: set[threading.Thread] = set()
        self._event_thread: threading.Thread | None = None
        self._idle = 0
        self.is_closed = False

    def schedule(self, key: NodeKey) -> bool:
        """Let a thread maintain a node; if one does so now, once more after it.

        False if the node is scheduled already, if 1,000 nodes are, or after a close.
        """
        with self._changed:
            if key in self._running and not self.is_closed:
                self._again.add(key)
                return True
            if self.is_closed or key in self._scheduled or len(self._waiting) >= _MOST_WAITING:
                return False
            self._scheduled.add(key)
            self._waiting.append(key)
            if self._idle < len(self._waiting) and len(self._threads) < self._most_threads:
                self._threads.add(self._started(self._work))
            self._changed.notify_all()
            return True

    def post(self, event: ServiceEvent) -> bool:
        """Let the thread of events apply an event. False if 10,000 events wait, and after a close."""
        with self._changed:
            if self.is_closed or len(self._events) >= _MOST_EVENTS:
                return False
            self._events.append(event)
            if isinstance(event, PubsubEvent):
                self._pending[event.service, event.node] += 1
            if self._event_thread is None:
                self._event_thread = self._started(self._work_on_events)
            self._changed.notify_all()
            return True

    def has_events_of(self, key: NodeKey) -> bool:
        """Return whether an event of a node waits for its application, or is being applied."""
        return bool(self._pending) and (key.service, key.name) in self._pending

    @property
    def threads(self) -> list[threading.Thread]:
        """The threads that run now."""
        return [*self._threads, *([] if self._event_thread is None else [self._event_thread])]

    def close(self) -> None:
        """Drop the work that waits, and wait up to ten seconds for the threads to end."""
        with self._changed:
            self.is_closed = True
            self._waiting.clear()
            self._events.clear()
            self._changed.notify_all()
            threads = self.threads
        until = time.monotonic() + _JOIN_SECONDS
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, until - time.monotonic()))

    def _started(self, target: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=target, name="feedstore-pubsub-cache", daemon=True)
        thread.start()
        return thread

    def _work(self) -> None:
        while (key := self._next_key()) is not None:
            try:
                self._maintain(key)
            except Exception:
                _logger.exception("the node %s of %s could not be maintained", key.name, key.service)
            with self._changed:
                self._running.discard(key)
                is_needed = key in self._again
                self._again.discard(key)
            if is_needed:
                self.schedule(key)

    def _next_key(self) -> NodeKey | None:
        with self._changed:
            self._idle += 1
            try:
                self._changed.wait_for(lambda: self._waiting or self.is_closed, _IDLE_SECONDS)
            finally:
                self._idle -= 1
            if self._waiting and not self.is_closed:
                key = self._waiting.popleft()
                self._scheduled.discard(key)
                self._running.add(key)
                return key
            self._threads.discard(threading.current_thread())
            return None

    def _work_on_events(self) -> None:
        seconds = _IDLE_SECONDS
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._events or self.is_closed, seconds)
                if self.is_closed or (not self._events and seconds == _IDLE_SECONDS):
                    self._event_thread = None
                    return
                event = self._events.popleft() if self._events else None
            seconds = _HOLD_SECONDS if self._handled(event) else _IDLE_SECONDS

    def _handled(self, event: ServiceEvent | None) -> bool:
        """Apply an event, try the held ones again, and return whether some are still held."""
        try:
            if event is not None:
                self._apply(event)
            return self._retry()
        except Exception:
            _logger.exception("an event of the account %s could not be applied", self._account)
            return True
        finally:
            if isinstance(event, PubsubEvent):
                with self._changed:
                    place = (event.service, event.node)
                    self._pending[place] -= 1
                    if self._pending[place] <= 0:
                        del self._pending[place]

"""The dispatcher: the thread of a backend that waits for changes and calls the subscriptions."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable, Collection
from typing import Protocol

from feedstore.errors import BackendClosedError, FeedstoreError
from feedstore.storage.notify.registry import Topic, TopicRegistry
from feedstore.storage.notify.source import ALL_TOPICS, TopicSource

_logger = logging.getLogger("feedstore.notify")
_LINGER_SECONDS = 60.0
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0
# The number of planned rechecks of closed subscriptions that may stay in the heap.
_SLACK = 64


class Receiver(Protocol):
    """The part of a subscription that the dispatcher calls."""

    recheck_seconds: float | None

    def keys(self) -> set[str]:
        """Return the keys of the subscription."""

    def deliver(self, keys: frozenset[str]) -> None:
        """Call the subscription's callback. Raises nothing."""

    def end(self) -> None:
        """Close the subscription because the backend is closed. Raises nothing."""


class Dispatcher:
    """Calls the subscriptions of all backends on one store.

    Its thread starts with the first key that is subscribed to, and ends a minute after the last one was discarded. A
    dispatcher belongs to the process that made it; a forked child makes another one.
    """

    def __init__(self, make_source: Callable[[], TopicSource]) -> None:
        self._make_source = make_source
        self.closed = False
        self._lock = threading.RLock()
        self.registry: TopicRegistry[Receiver] = TopicRegistry()
        self._receivers: dict[Receiver, None] = {}
        self._rechecks: list[tuple[float, int, Receiver]] = []
        self._numbers = itertools.count()
        self._published: set[bytes] = set()
        self._thread: threading.Thread | None = None
        self._source: TopicSource | None = None
        self._idle_since: float | None = None
        self._closing = threading.Event()

    def attach(self, receiver: Receiver) -> None:
        """Add a subscription that has no topics yet. Raises :class:`BackendClosedError` once closed."""
        with self._lock:
            self._check_open()
            self._receivers[receiver] = None
            if receiver.recheck_seconds is not None:
                self._plan_recheck(receiver, receiver.recheck_seconds)

    def detach(self, receiver: Receiver) -> None:
        """Remove a subscription. Amortized O(1)."""
        with self._lock:
            self._receivers.pop(receiver, None)
            if len(self._rechecks) > 2 * len(self._receivers) + _SLACK:
                self._rechecks = [planned for planned in self._rechecks if planned[2] in self._receivers]
                heapq.heapify(self._rechecks)

    def subscribe(self, receiver: Receiver, topics: Collection[Topic]) -> None:
        """Subscribe to topics, and start the thread. Raises :class:`BackendClosedError` once closed."""
        with self._lock:
            self._check_open()
            if receiver not in self._receivers:
                # The subscription was made before this process was forked.
                self.attach(receiver)
            self.registry.add(receiver, topics)
            self._run_thread()

    def _run_thread(self) -> None:
        if self._thread is None:
            source = self._make_source()
            thread = threading.Thread(target=self._run, args=(source,), name="feedstore-dispatcher", daemon=True)
            thread.start()
            self._source, self._thread = source, thread
        elif self._source is not None:
            self._source.wake()

    def publish(self, digests: Collection[bytes]) -> None:
        """Publish changes to the subscriptions of this process. O(1) if there are none."""
        if not self.registry:
            return
        with self._lock:
            before = len(self._published)
            self._published.update(digest for digest in digests if digest in self.registry)
            if len(self._published) > before and self._source is not None:
                self._source.wake()

    def close(self) -> None:
        """Wait for a running callback, end the thread, and end the subscriptions. A second call does nothing."""
        with self._lock:
            self.closed = True
            self._closing.set()
            receivers, self._receivers = list(self._receivers), {}
            thread = self._thread
            if self._source is not None:
                self._source.wake()
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        for receiver in receivers:
            receiver.end()

    def _check_open(self) -> None:
        if self.closed:
            raise BackendClosedError("the backend is closed; connect again to go on")

    def _run(self, source: TopicSource) -> None:
        pause = _FIRST_PAUSE_SECONDS
        try:
            while not self._closing.is_set() and not self._is_over():
                try:
                    found = source.wait(self.registry, self._seconds_to_wait())
                    pause = _FIRST_PAUSE_SECONDS
                except BackendClosedError:
                    return
                except FeedstoreError as error:
                    _logger.warning("no changes can be received; trying again: %s", error)
                    pause, found = self._rest(pause), ()
                # A defect of a source must not stop the notifications; the changes that it missed are unknown.
                except Exception:
                    _logger.exception("no changes can be received; trying again")
                    pause, found = self._rest(pause), ALL_TOPICS
                self._dispatch(found)
        finally:
            source.close()
            with self._lock:
                if self._source is source:
                    self._thread = self._source = None

    def _rest(self, seconds: float) -> float:
        """Sleep until the seconds have passed or the backend closes, and return the length of the next pause."""
        self._closing.wait(seconds)
        return min(2 * seconds, _LONGEST_PAUSE_SECONDS)

    def _is_over(self) -> bool:
        """Return True after a minute without topics. The thread ends; the next subscription starts a new one."""
        with self._lock:
            if self.registry:
                self._idle_since = None
                return False
            if self._idle_since is None:
                self._idle_since = time.monotonic()
            if time.monotonic() - self._idle_since < _LINGER_SECONDS:
                return False
            self._thread = self._source = None
            return True

    def _seconds_to_wait(self) -> float:
        with self._lock:
            if self._published:
                return 0.0
            if not self._rechecks:
                return _LINGER_SECONDS
            return min(max(0.0, self._rechecks[0][0] - time.monotonic()), _LINGER_SECONDS)

    def _dispatch(self, found: Collection[bytes] | None) -> None:
        """Call the subscriptions of the topics that were found or published, and those that are due for a recheck."""
        with self._lock:
            published, self._published = self._published, set()
        changed = self.registry.keys_by_subscriber(found if found is None else published.union(found))
        for receiver in self._due():
            changed[receiver] = receiver.keys()
        for receiver, keys in changed.items():
            if keys and not self._closing.is_set():
                receiver.deliver(frozenset(keys))

    def _due(self) -> list[Receiver]:
        """Return the subscriptions that are due for a recheck, and plan the next recheck of each."""
        due = []
        with self._lock:
            while self._rechecks and self._rechecks[0][0] <= time.monotonic():
                receiver = heapq.heappop(self._rechecks)[2]
                if receiver in self._receivers and receiver.recheck_seconds is not None:
                    self._plan_recheck(receiver, receiver.recheck_seconds)
                    due.append(receiver)
        return due

    def _plan_recheck(self, receiver: Receiver, seconds: float) -> None:
        heapq.heappush(self._rechecks, (time.monotonic() + seconds, next(self._numbers), receiver))

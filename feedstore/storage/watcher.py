"""The one thread of a backend that waits for changes, and tells those who watch."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from feedstore.errors import BackendClosedError, FeedstoreError
from feedstore.storage.topic import Topic
from feedstore.storage.topic_source import EVERYTHING, TopicSource
from feedstore.storage.watched import Watched

if TYPE_CHECKING:
    from feedstore.storage.notify import Watch

_logger = logging.getLogger("feedstore.notify")
_LINGER_SECONDS = 60.0
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0
# So many rechecks of watches that were closed may stay planned.
_SLACK = 64


class Watcher:
    """Tells the watches of all backends on one store. Its thread begins with the first key that is watched, and ends a
    minute after the last.

    It belongs to the process that made it; a forked child makes another.
    """

    def __init__(self, make_source: Callable[[], TopicSource]) -> None:
        self._make_source = make_source
        self.closed = False
        self._lock = threading.RLock()
        self.watched: Watched[Watch] = Watched()
        self._watches: dict[Watch, None] = {}
        self._rechecks: list[tuple[float, int, Watch]] = []
        self._numbers = itertools.count()
        self._local: set[bytes] = set()
        self._thread: threading.Thread | None = None
        self._source: TopicSource | None = None
        self._idle_since: float | None = None
        self._closing = threading.Event()

    def attach(self, watch: Watch) -> None:
        """Take a watch on. Raises :class:`BackendClosedError` once closed."""
        with self._lock:
            self._check_open()
            self._watches[watch] = None
            if watch.recheck_seconds is not None:
                self._plan_recheck(watch, watch.recheck_seconds)

    def detach(self, watch: Watch) -> None:
        """Let go of a watch. Amortized O(1)."""
        with self._lock:
            self._watches.pop(watch, None)
            if len(self._rechecks) > 2 * len(self._watches) + _SLACK:
                self._rechecks = [planned for planned in self._rechecks if planned[2] in self._watches]
                heapq.heapify(self._rechecks)

    def begin(self, watch: Watch, topics: Collection[Topic]) -> None:
        """Watch topics from now on. Raises :class:`BackendClosedError` once closed."""
        with self._lock:
            self._check_open()
            if watch not in self._watches:
                # It was made before this process was forked.
                self.attach(watch)
            self.watched.add(watch, topics)
            self._run_thread()

    def _run_thread(self) -> None:
        if self._thread is None:
            source = self._make_source()
            thread = threading.Thread(target=self._run, args=(source,), name="feedstore-watcher", daemon=True)
            thread.start()
            self._source, self._thread = source, thread
        elif self._source is not None:
            self._source.wake()

    def changed(self, digests: Collection[bytes]) -> None:
        """Tell the watches of this process that topics have changed; costs next to nothing where nobody watches."""
        if not self.watched:
            return
        with self._lock:
            before = len(self._local)
            self._local.update(digest for digest in digests if digest in self.watched)
            if len(self._local) > before and self._source is not None:
                self._source.wake()

    def close(self) -> None:
        """End the thread, after the callback that is under way, and tell the watches that it is over. Again is no
        error.
        """
        with self._lock:
            self.closed = True
            self._closing.set()
            watches, self._watches = list(self._watches), {}
            thread = self._thread
            if self._source is not None:
                self._source.wake()
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        for watch in watches:
            watch.end()

    def _check_open(self) -> None:
        if self.closed:
            raise BackendClosedError("the backend is closed; connect again to go on")

    def _run(self, source: TopicSource) -> None:
        pause = _FIRST_PAUSE_SECONDS
        try:
            while not self._closing.is_set() and not self._is_over():
                try:
                    found = source.wait(self.watched, self._seconds_to_wait())
                    pause = _FIRST_PAUSE_SECONDS
                except BackendClosedError:
                    return
                except FeedstoreError as error:
                    _logger.warning("cannot hear of changes, and try again: %s", error)
                    pause, found = self._rest(pause), ()
                # A source's mistake, whatever it is, must not leave all watches deaf; what it has missed is unknown.
                except Exception:
                    _logger.exception("cannot hear of changes, and try again")
                    pause, found = self._rest(pause), EVERYTHING
                self._tell(found)
        finally:
            source.close()
            with self._lock:
                if self._source is source:
                    self._thread = self._source = None

    def _rest(self, seconds: float) -> float:
        """Sleep unless it is time to close, and return how long to sleep the next time."""
        self._closing.wait(seconds)
        return min(2 * seconds, _LONGEST_PAUSE_SECONDS)

    def _is_over(self) -> bool:
        """Whether nothing has been watched for long enough; then whoever comes next starts another thread."""
        with self._lock:
            if self.watched:
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
            if self._local:
                return 0.0
            if not self._rechecks:
                return _LINGER_SECONDS
            return min(max(0.0, self._rechecks[0][0] - time.monotonic()), _LINGER_SECONDS)

    def _tell(self, found: Collection[bytes] | None) -> None:
        with self._lock:
            local, self._local = self._local, set()
        told = self.watched.who_watches(found if found is None else local.union(found))
        for watch in self._due():
            told[watch] = watch.keys()
        for watch, keys in told.items():
            if keys and not self._closing.is_set():
                watch.tell(frozenset(keys))

    def _due(self) -> list[Watch]:
        """Return the watches that are to look again now, and plan the next time."""
        due = []
        with self._lock:
            while self._rechecks and self._rechecks[0][0] <= time.monotonic():
                watch = heapq.heappop(self._rechecks)[2]
                if watch in self._watches and watch.recheck_seconds is not None:
                    self._plan_recheck(watch, watch.recheck_seconds)
                    due.append(watch)
        return due

    def _plan_recheck(self, watch: Watch, seconds: float) -> None:
        heapq.heappush(self._rechecks, (time.monotonic() + seconds, next(self._numbers), watch))

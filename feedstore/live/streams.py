"""The streams of one event loop: which timelines are watched, and the reads that feed their clients."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Executor
from dataclasses import dataclass

from feedstore.errors import (
    BackendClosedError,
    StorageError,
    StorageFullError,
    StorageTimeoutError,
    StorageUnavailableError,
)
from feedstore.live.connection import ClientConnection, is_server_leaving
from feedstore.live.event import new_retry_hint
from feedstore.live.heartbeat import Heartbeat
from feedstore.live.reader import Look, TimelineReader
from feedstore.live.subscriber import Subscriber
from feedstore.live.timeline import LiveTimeline
from feedstore.storage.notify import Notifier

_logger = logging.getLogger("feedstore.live")
# The clients of the first batch receive their events while the next batch is read.
_MOST_IN_A_BATCH = 100
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_PASSING_ERRORS = (StorageUnavailableError, StorageTimeoutError, StorageFullError)
# Any other error of the store is tried so often for one timeline before its streams end.
_MOST_FAILURES = 5
_MOST_DAMAGED_KEYS = 10_000


@dataclass(frozen=True)
class StreamOptions:
    """The checked options of :class:`LiveTimelines` that concern streams."""

    most_waiting: int
    most_clients: int
    settle_seconds: float
    heartbeat_seconds: float
    longest_seconds: float
    write_seconds: float
    recheck_seconds: float
    threads: int


class Streams:
    """Streams timelines on one event loop, in one process; all methods but the watch's callbacks run on that loop.

    A timeline that cannot be read ends its own streams, and no others.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        reader: TimelineReader,
        notifier: Notifier,
        pool: Callable[[], Executor],
        options: StreamOptions,
    ) -> None:
        self.loop = loop
        self.process = os.getpid()
        self._reader = reader
        self._pool = pool
        self._options = options
        self._heartbeat = Heartbeat(
            options.heartbeat_seconds, options.longest_seconds, options.write_seconds, self._cut
        )
        self._timelines: dict[str, LiveTimeline] = {}
        self._due: dict[LiveTimeline, None] = {}
        self._damaged: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed: set[str] = set()
        self._changed_lock = threading.Lock()
        self._is_closed = False
        self._watch = notifier.subscribe(
            self._note_change, on_close=self._note_close, recheck_seconds=options.recheck_seconds
        )
        self._heartbeat.start(loop, self._is_leaving)

    def __len__(self) -> int:
        return len(self._heartbeat)

    @property
    def is_closed(self) -> bool:
        """Whether the streams have ended, and no other begins."""
        return self._is_closed

    @property
    def is_idle(self) -> bool:
        """Whether there is no stream and no read under way."""
        return not self._heartbeat and not self._tasks

    def subscribe(self, key: str, position: str | None, connection: ClientConnection | None) -> Subscriber:
        """Begin a stream of a timeline; the caller has checked that there is room for it."""
        timeline = self._timelines.get(key)
        if timeline is None:
            # Before the first look, so that no change falls between the two.
            self._watch.add([key])
            timeline = self._timelines[key] = LiveTimeline(key)
            timeline.is_alone = key in self._damaged
        subscriber = Subscriber(key, position, self._options.most_waiting, self._join, connection)
        self._heartbeat.add(subscriber)
        self._join(subscriber)
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """End a stream. Ending it twice is no error."""
        self._heartbeat.discard(subscriber)
        timeline = self._timelines.get(subscriber.key)
        if timeline is None:
            return
        timeline.leave(subscriber)
        if timeline.is_empty:
            del self._timelines[subscriber.key]
            self._due.pop(timeline, None)
            if not self._watch.closed:
                self._watch.discard([subscriber.key])

    def end_all(self) -> None:
        """End all streams, each with a hint when to come back; no other begins."""
        self._is_closed = True
        self._heartbeat.end_all()

    async def close(self) -> None:
        """End all streams, stop watching, and wait for the reads that are under way."""
        self.end_all()
        self._watch.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def abandon(self) -> None:
        """Stop watching for a loop that runs no longer. Safe from any thread."""
        self._is_closed = True
        self._watch.close()

    def _is_leaving(self) -> bool:
        """End the streams if the server is about to end: it would wait for them."""
        if not self._is_closed and (is_server_leaving() or self._heartbeat.is_asked_to_end()):
            self.end_all()
        return self._is_closed

    def _cut(self, subscriber: Subscriber) -> None:
        _logger.info("a client of the timeline %r takes nothing, and is cut", subscriber.key)
        self.unsubscribe(subscriber)
        subscriber.cut()

    def _note_change(self, keys: Collection[str]) -> None:
        """Note which timelines may have changed; on the watcher's thread."""
        with self._changed_lock:
            is_first = not self._changed
            self._changed.update(keys)
        if is_first:
            self._call(self._mark_changed)

    def _note_close(self) -> None:
        self._call(self.end_all)

    def _call(self, function: Callable[[], None]) -> None:
        # A loop that is closed has no streams any more.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(function)

    def _mark_changed(self) -> None:
        with self._changed_lock:
            changed, self._changed = self._changed, set()
        for key in changed:
            timeline = self._timelines.get(key)
            if timeline is not None:
                timeline.mark()
                self._due[timeline] = None
        self._work()

    def _join(self, subscriber: Subscriber) -> None:
        timeline = self._timelines[subscriber.key]
        timeline.join(subscriber)
        self._due[timeline] = None
        self._work()

    def _work(self) -> None:
        """Set threads to work, as many as there is work for."""
        while len(self._tasks) < self._options.threads and not self._is_closed:
            batch = self._next_batch()
            if not batch:
                return
            # The looks begin here, before another change of the same timelines is noted.
            task = self.loop.create_task(self._look_at(batch, [timeline.look() for timeline in batch]))
            self._tasks.add(task)
            task.add_done_callback(self._finish)

    def _next_batch(self) -> list[LiveTimeline]:
        batch: list[LiveTimeline] = []
        for timeline in list(self._due):
            if timeline.is_busy or (timeline.is_alone and batch):
                continue
            del self._due[timeline]
            if timeline.is_marked:
                batch.append(timeline)
                if timeline.is_alone or len(batch) == _MOST_IN_A_BATCH:
                    break
        return batch

    async def _look_at(self, batch: list[LiveTimeline], looks: list[Look]) -> None:
        try:
            seen = await self.loop.run_in_executor(self._pool(), self._reader.read, looks)
            for timeline in batch:
                timeline.take(seen[timeline.key])
        # Whatever one timeline raises, the others' streams go on.
        except Exception as error:  # noqa: BLE001
            self._fail(batch, error)
            return
        for timeline in batch:
            self._damaged.discard(timeline.key)
            if timeline.is_marked:
                self._due[timeline] = None
        self._settle([timeline for timeline in batch if seen[timeline.key].is_shallow])

    def _settle(self, shallow: list[LiveTimeline]) -> None:
        """Look deeper at what was looked at a little, once for all that happens until then."""
        unsettled = [timeline for timeline in shallow if not timeline.is_settling]
        for timeline in unsettled:
            timeline.is_settling = True
        if unsettled:
            self.loop.call_later(self._options.settle_seconds, self._look_deeper, unsettled)

    def _look_deeper(self, timelines: list[LiveTimeline]) -> None:
        for timeline in timelines:
            timeline.is_settling = False
            self._mark_again(timeline)
        self._work()

    def _mark_again(self, timeline: LiveTimeline) -> None:
        if self._timelines.get(timeline.key) is timeline:
            timeline.mark(is_deep=True)
            self._due[timeline] = None

    def _fail(self, batch: list[LiveTimeline], error: Exception) -> None:
        """Read a batch again after an error: each timeline alone where one of them may be the cause."""
        if self._is_closed or isinstance(error, BackendClosedError):
            return
        is_passing = isinstance(error, _PASSING_ERRORS)
        for timeline in batch:
            timeline.give_up(alone=not isinstance(error, StorageUnavailableError))
        if len(batch) == 1 and not is_passing:
            most = _MOST_FAILURES if isinstance(error, StorageError) else 1
            if batch[0].failures >= most or batch[0].key in self._damaged:
                self._end_timeline(batch[0], error)
                return
        _logger.warning("%d timelines cannot be read, and are tried again: %s", len(batch), error)
        failures = max(timeline.failures for timeline in batch)
        pause = min(_FIRST_PAUSE_SECONDS * 2 ** min(failures - 1, 10), _LONGEST_PAUSE_SECONDS)
        self.loop.call_later(pause, self._look_deeper, batch)

    def _end_timeline(self, timeline: LiveTimeline, error: Exception) -> None:
        """End the streams of a timeline that cannot be read: streams that nothing feeds must not look alive."""
        if timeline.key not in self._damaged:
            _logger.error("the streams of the timeline %r end: it cannot be read", timeline.key, exc_info=error)
        if len(self._damaged) >= _MOST_DAMAGED_KEYS:
            self._damaged.clear()
        self._damaged.add(timeline.key)
        for subscriber in timeline.subscribers():
            self._heartbeat.end(subscriber, new_retry_hint(is_long=True))

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or task.exception() is None:
            self._work()
        else:
            # A mistake in the bookkeeping here: streams that nothing feeds must not look alive.
            _logger.error("live timelines end", exc_info=task.exception())
            self.end_all()

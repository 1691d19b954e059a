"""The streams of one event loop, and the polls that feed them."""

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
from feedstore.live.reader import Poll, TimelineReader
from feedstore.live.subscriber import Subscriber
from feedstore.live.timeline import LiveTimeline
from feedstore.storage.notify.subscription import Notifier

_logger = logging.getLogger("feedstore.live")
# The clients of the first batch receive their events while the next batch is read.
_MOST_IN_A_BATCH = 100
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_PASSING_ERRORS = (StorageUnavailableError, StorageTimeoutError, StorageFullError)
# After this number of other errors of the store, the streams of a timeline end.
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
    """Streams timelines on one event loop, in one process.

    All methods run on that loop, except the callbacks of the subscription. If a timeline cannot be read, its own
    streams end, and the others go on.
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
        self._subscription = notifier.subscribe(
            self._note_change, on_close=self._note_close, recheck_seconds=options.recheck_seconds
        )
        self._heartbeat.start(loop, self._is_leaving)

    def __len__(self) -> int:
        return len(self._heartbeat)

    @property
    def is_closed(self) -> bool:
        """Whether the streams have ended; then no new stream starts."""
        return self._is_closed

    @property
    def is_idle(self) -> bool:
        """Whether there is neither a stream nor a running poll."""
        return not self._heartbeat and not self._tasks

    def subscribe(self, key: str, position: str | None, connection: ClientConnection | None) -> Subscriber:
        """Start a stream of a timeline. The caller has checked ``most_clients``."""
        timeline = self._timelines.get(key)
        if timeline is None:
            # Before the first poll, so that no change between the two is missed.
            self._subscription.add([key])
            timeline = self._timelines[key] = LiveTimeline(key)
            timeline.is_polled_alone = key in self._damaged
        subscriber = Subscriber(key, position, self._options.most_waiting, self._join, connection)
        self._heartbeat.add(subscriber)
        self._join(subscriber)
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """End a stream. A second call does nothing."""
        self._heartbeat.discard(subscriber)
        timeline = self._timelines.get(subscriber.key)
        if timeline is None:
            return
        timeline.leave(subscriber)
        if timeline.is_empty:
            del self._timelines[subscriber.key]
            self._due.pop(timeline, None)
            if not self._subscription.closed:
                self._subscription.discard([subscriber.key])

    def end_all(self) -> None:
        """End all streams, each with a retry hint; no new stream starts."""
        self._is_closed = True
        self._heartbeat.end_all()

    async def close(self) -> None:
        """End all streams, unsubscribe, and wait for the running polls."""
        self.end_all()
        self._subscription.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def abandon(self) -> None:
        """Unsubscribe for a loop that no longer runs. Safe from any thread."""
        self._is_closed = True
        self._subscription.close()

    def _is_leaving(self) -> bool:
        """End the streams if the server shuts down, because it waits for them. Return whether they have ended."""
        if not self._is_closed and (is_server_leaving() or self._heartbeat.is_asked_to_end()):
            self.end_all()
        return self._is_closed

    def _cut(self, subscriber: Subscriber) -> None:
        _logger.info("a client of the timeline %r reads nothing; its connection is cut", subscriber.key)
        self.unsubscribe(subscriber)
        subscriber.cut()

    def _note_change(self, keys: Collection[str]) -> None:
        """Note which timelines may have changed; on the dispatcher's thread."""
        with self._changed_lock:
            is_first = not self._changed
            self._changed.update(keys)
        if is_first:
            self._call(self._mark_changed)

    def _note_close(self) -> None:
        self._call(self.end_all)

    def _call(self, function: Callable[[], None]) -> None:
        # A closed loop has no streams.
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
        self._start_polls()

    def _join(self, subscriber: Subscriber) -> None:
        timeline = self._timelines[subscriber.key]
        timeline.join(subscriber)
        self._due[timeline] = None
        self._start_polls()

    def _start_polls(self) -> None:
        """Start polls for the timelines that are due, on up to ``threads`` threads."""
        while len(self._tasks) < self._options.threads and not self._is_closed:
            batch = self._next_batch()
            if not batch:
                return
            # begin_poll comes first, so that a later change of these timelines makes another poll due.
            task = self.loop.create_task(self._poll(batch, [timeline.begin_poll() for timeline in batch]))
            self._tasks.add(task)
            task.add_done_callback(self._finish)

    def _next_batch(self) -> list[LiveTimeline]:
        batch: list[LiveTimeline] = []
        for timeline in list(self._due):
            if timeline.is_busy or (timeline.is_polled_alone and batch):
                continue
            del self._due[timeline]
            if timeline.is_marked:
                batch.append(timeline)
                if timeline.is_polled_alone or len(batch) == _MOST_IN_A_BATCH:
                    break
        return batch

    async def _poll(self, batch: list[LiveTimeline], polls: list[Poll]) -> None:
        try:
            results = await self.loop.run_in_executor(self._pool(), self._reader.read, polls)
            for timeline in batch:
                timeline.finish_poll(results[timeline.key])
        # An error of one timeline, of any kind, must not end the streams of the others.
        except Exception as error:  # noqa: BLE001
            self._fail(batch, error)
            return
        for timeline in batch:
            self._damaged.discard(timeline.key)
            if timeline.is_marked:
                self._due[timeline] = None
        self._settle([timeline for timeline in batch if results[timeline.key].is_shallow])

    def _settle(self, shallow: list[LiveTimeline]) -> None:
        """Plan one deeper poll, after ``settle_seconds``, of timelines whose poll read only the first entries."""
        unsettled = [timeline for timeline in shallow if not timeline.is_settling]
        for timeline in unsettled:
            timeline.is_settling = True
        if unsettled:
            self.loop.call_later(self._options.settle_seconds, self._poll_deeper, unsettled)

    def _poll_deeper(self, timelines: list[LiveTimeline]) -> None:
        for timeline in timelines:
            timeline.is_settling = False
            self._mark_again(timeline)
        self._start_polls()

    def _mark_again(self, timeline: LiveTimeline) -> None:
        if self._timelines.get(timeline.key) is timeline:
            timeline.mark(is_deep=True)
            self._due[timeline] = None

    def _fail(self, batch: list[LiveTimeline], error: Exception) -> None:
        """Plan another poll after an error: of each timeline alone if one of them may be the cause."""
        if self._is_closed or isinstance(error, BackendClosedError):
            return
        is_passing = isinstance(error, _PASSING_ERRORS)
        for timeline in batch:
            timeline.fail_poll(alone=not isinstance(error, StorageUnavailableError))
        if len(batch) == 1 and not is_passing:
            most = _MOST_FAILURES if isinstance(error, StorageError) else 1
            if batch[0].failures >= most or batch[0].key in self._damaged:
                self._end_timeline(batch[0], error)
                return
        _logger.warning("%d timelines could not be read; trying again: %s", len(batch), error)
        failures = max(timeline.failures for timeline in batch)
        pause = min(_FIRST_PAUSE_SECONDS * 2 ** min(failures - 1, 10), _LONGEST_PAUSE_SECONDS)
        self.loop.call_later(pause, self._poll_deeper, batch)

    def _end_timeline(self, timeline: LiveTimeline, error: Exception) -> None:
        """End the streams of a timeline that cannot be read, so that its clients do not wait for events in vain."""
        if timeline.key not in self._damaged:
            _logger.error("the timeline %r cannot be read; its streams end", timeline.key, exc_info=error)
        if len(self._damaged) >= _MOST_DAMAGED_KEYS:
            self._damaged.clear()
        self._damaged.add(timeline.key)
        for subscriber in timeline.subscribers():
            self._heartbeat.end(subscriber, new_retry_hint(is_long=True))

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or task.exception() is None:
            self._start_polls()
        else:
            # A defect in this class: without polls the streams would stay silent, so they end.
            _logger.error("a poll failed unexpectedly; all streams end", exc_info=task.exception())
            self.end_all()

"""Live timelines: what is stored, by whatever process, reaches the clients that watch it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sse_starlette.sse import AppStatus

from feedstore.channels.sse.event import new_retry_hint
from feedstore.channels.sse.heartbeat import Heartbeat
from feedstore.channels.sse.look import Look
from feedstore.channels.sse.options import checked_option
from feedstore.channels.sse.reader import Render, TimelineReader
from feedstore.channels.sse.subscriber import Subscriber
from feedstore.channels.sse.timeline import LiveTimeline
from feedstore.errors import FeedstoreError, InvalidTypeError, StorageError
from feedstore.serializers.plain import activity_fields
from feedstore.shown import shown
from feedstore.storage import Backend
from feedstore.storage.backend import checked_backend
from feedstore.storage.notify import RECHECK_SECONDS, Notifier, Watch, checked_notifier

_logger = logging.getLogger("feedstore.sse")
# The first batch's clients are told while the next one is read.
_MOST_IN_A_BATCH = 100
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0


class TooManyClients(FeedstoreError):
    """As many clients are connected as are allowed, or none is any more."""


class LiveTimelines:
    """Streams timelines of a backend to any number of clients, on one event loop.

    Nothing of the store is done on the loop: one watch, shared by all clients, tells which timelines may have changed;
    ``threads`` threads read them, one read for a timeline however many watch it, and one for many that changed at once.

    What a client is promised: it is told of every entry that comes to stand among the newest ``window`` of its
    timeline, late ones too; or it gets a gap event, and reads the timeline anew. One that comes back is sent what it
    missed, up to ``most_missed`` entries. An entry must be stored after its activity, or in one atomic batch with it.

    - ``window``: how many of the newest entries are compared with what was sent. What is stored below is history, which
      pages show.
    - ``settle_seconds``: how long after a change the entries below the first few are looked at.
    - ``most_waiting``: how many events wait for a client that takes them too slowly, before they are dropped and it
      goes on as one that was cut.
    - ``heartbeat_seconds``: how often a comment is sent, so that nobody on the way takes the connection for dead.
    - ``longest_seconds``: when a stream ends, so that its client comes back and is asked who it is again.
    - ``most_clients``: how many streams there may be; another is :class:`TooManyClients`.
    - ``recheck_seconds``: how often every timeline is looked at, whether it was announced or not.
    - ``render``: what makes of an activity the document that is sent. One for which it raises is logged and passed
      over, as one that is damaged or gone.

    Raises :class:`InvalidTypeError` or :class:`InvalidValueError` for an option that cannot be.

    Belongs to the event loop that it is first used on; a process needs one. Nothing begins before.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        notifier: Notifier | None = None,
        render: Render = activity_fields,
        window: int = 100,
        most_missed: int = 1_000,
        most_waiting: int = 256,
        most_clients: int = 20_000,
        settle_seconds: float = 1.0,
        heartbeat_seconds: float = 15.0,
        longest_seconds: float = 3_600.0,
        recheck_seconds: float = RECHECK_SECONDS,
        threads: int = 4,
    ) -> None:
        if not callable(render):
            raise InvalidTypeError(f"render is a function that takes an activity, not {shown(render)}")
        self._backend = checked_backend(backend)
        self._notifier = checked_notifier(notifier, backend)
        window, most_missed = checked_option("window", window), checked_option("most_missed", most_missed)
        self._reader = TimelineReader(
            backend.timeline_storage(), backend.activity_storage(), render, window, most_missed
        )
        self._most_waiting = checked_option("most_waiting", most_waiting)
        self._most_clients = checked_option("most_clients", most_clients)
        self._settle_seconds = checked_option("settle_seconds", settle_seconds)
        self._recheck_seconds = checked_option("recheck_seconds", recheck_seconds)
        self._threads = checked_option("threads", threads)
        self._heartbeat = Heartbeat(
            checked_option("heartbeat_seconds", heartbeat_seconds), checked_option("longest_seconds", longest_seconds)
        )
        self._timelines: dict[str, LiveTimeline] = {}
        self._due: dict[LiveTimeline, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._told: set[str] = set()
        self._told_lock = threading.Lock()
        self._pause = _FIRST_PAUSE_SECONDS
        self._watch: Watch | None = None
        self._is_closed = False

    def __len__(self) -> int:
        """Return how many streams there are."""
        return len(self._heartbeat)

    @property
    def is_closed(self) -> bool:
        """Whether the streams have ended for good."""
        return self._is_closed

    def subscribe(self, key: str, position: str | None) -> Subscriber:
        """Begin a stream of a timeline, behind the event with the id ``position``, from now on for None.

        Raises :class:`TooManyClients`. Call :meth:`unsubscribe` at its end.
        """
        if self._is_closed:
            raise TooManyClients("the streams have ended; no other begins")
        if len(self) >= self._most_clients:
            raise TooManyClients(f"{len(self)} clients are connected, which is all that are allowed")
        watch = self._begin()
        timeline = self._timelines.get(key)
        if timeline is None:
            # Before the first look, so that no change falls between the two.
            watch.add([key])
            timeline = self._timelines[key] = LiveTimeline(key)
        subscriber = Subscriber(key, position, self._most_waiting, self._join)
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
            if self._watch is not None and not self._watch.closed:
                self._watch.discard([subscriber.key])

    async def read_page(self, key: str, limit: int, cursor: str | None = None) -> dict[str, Any]:
        """Return a page of a timeline as a document: ``items``, ``next_cursor``, ``complete``, and ``position``, from
        which a stream goes on, of the first page. Read in one of the threads; raises what the storage raises.
        """
        self._begin()
        return await self._loop.run_in_executor(self._pool, self._reader.read_page, key, limit, cursor)

    async def close(self) -> None:
        """End all streams, each with a hint when to come back, and stop watching. Again is no error."""
        self.end_streams()
        if self._watch is None:
            return
        self._heartbeat.stop()
        self._watch.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._pool.shutdown(wait=False)

    def end_streams(self) -> None:
        """End all streams, each with a hint when to come back; no other begins."""
        self._is_closed = True
        for subscriber in self._heartbeat.subscribers():
            subscriber.end(new_retry_hint())

    def _begin(self) -> Watch:
        if self._watch is None:
            self._loop = asyncio.get_running_loop()
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="feedstore-sse")
            notifier = self._backend.notifier() if self._notifier is None else self._notifier
            self._watch = notifier.watch(
                self._hear, on_close=self._hear_of_the_end, recheck_seconds=self._recheck_seconds
            )
            self._heartbeat.start(self._loop, self._is_leaving)
        return self._watch

    def _is_leaving(self) -> bool:
        """End the streams if the server was told to go: it would wait for them."""
        if AppStatus.should_exit and not self._is_closed:
            self.end_streams()
        return self._is_closed

    def _hear(self, keys: Collection[str]) -> None:
        """Note what may have changed; on the watcher's thread."""
        with self._told_lock:
            is_first = not self._told
            self._told.update(keys)
        if is_first:
            self._loop.call_soon_threadsafe(self._mark_what_was_told)

    def _hear_of_the_end(self) -> None:
        self._loop.call_soon_threadsafe(self.end_streams)

    def _mark_what_was_told(self) -> None:
        with self._told_lock:
            told, self._told = self._told, set()
        for key in told:
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
        while len(self._tasks) < self._threads and not self._is_closed:
            batch = self._next_batch()
            if not batch:
                return
            # The looks begin here, before another change of the same timelines is heard of.
            task = self._loop.create_task(self._look_at(batch, [timeline.look() for timeline in batch]))
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
            seen = await self._loop.run_in_executor(self._pool, self._reader.read, looks)
        except FeedstoreError as error:
            self._retry(batch, error)
            return
        self._pause = _FIRST_PAUSE_SECONDS
        for timeline in batch:
            timeline.take(seen[timeline.key])
            if timeline.is_marked:
                self._due[timeline] = None
        self._settle([timeline for timeline in batch if seen[timeline.key].is_shallow])

    def _settle(self, shallow: list[LiveTimeline]) -> None:
        """Look deeper at what was looked at a little, once for all that happens meanwhile."""
        unsettled = [timeline for timeline in shallow if not timeline.is_settling]
        for timeline in unsettled:
            timeline.is_settling = True
        if unsettled:
            self._loop.call_later(self._settle_seconds, self._look_deeper, unsettled)

    def _look_deeper(self, timelines: list[LiveTimeline]) -> None:
        for timeline in timelines:
            timeline.is_settling = False
            self._mark_again(timeline)
        self._work()

    def _mark_again(self, timeline: LiveTimeline) -> None:
        if self._timelines.get(timeline.key) is timeline:
            timeline.mark(is_deep=True)
            self._due[timeline] = None

    def _retry(self, batch: list[LiveTimeline], error: FeedstoreError) -> None:
        _logger.warning("%d timelines cannot be read, and are tried again: %s", len(batch), error)
        for timeline in batch:
            timeline.give_up(alone=not isinstance(error, StorageError))
        self._loop.call_later(self._pause, self._look_deeper, batch)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or task.exception() is None:
            self._work()
        else:
            # A mistake of ours: streams that nothing feeds any more must not look alive.
            _logger.error("live timelines end", exc_info=task.exception())
            self.end_streams()

"""The hub of live timelines: it streams the changes of timelines, by any process, to browsers."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from feedstore.errors import FeedstoreError, InvalidTypeError
from feedstore.live.connection import ClientConnection
from feedstore.live.position import MOST_ENTRIES
from feedstore.live.reader import Render, TimelineReader
from feedstore.live.streams import StreamOptions, Streams
from feedstore.live.subscriber import Subscriber
from feedstore.options import DAY_SECONDS, Reader, read_count, read_seconds
from feedstore.serializers.plain import activity_fields
from feedstore.shown import shown
from feedstore.storage import Backend
from feedstore.storage.backend import checked_backend
from feedstore.storage.notify.subscription import RECHECK_SECONDS, Notifier, checked_notifier

_MOST_CLIENTS = 10_000_000
_YEAR_SECONDS = 366 * DAY_SECONDS
_READERS: dict[str, Reader] = {
    "window": read_count(1, MOST_ENTRIES),
    "most_missed": read_count(1, MOST_ENTRIES),
    "most_waiting": read_count(1, MOST_ENTRIES),
    "most_clients": read_count(1, _MOST_CLIENTS),
    "settle_seconds": read_seconds(zero=True),
    "heartbeat_seconds": read_seconds(_YEAR_SECONDS),
    "longest_seconds": read_seconds(_YEAR_SECONDS),
    "write_seconds": read_seconds(_YEAR_SECONDS),
    "recheck_seconds": read_seconds(_YEAR_SECONDS),
    "threads": read_count(1, 1_000),
}


class TooManyClients(FeedstoreError):
    """``most_clients`` clients are connected, or the live timelines are closed."""


class OtherEventLoopError(FeedstoreError, RuntimeError):
    """A stream was requested on one event loop while another loop has streams."""


class LiveTimelines:
    """Streams timelines of a backend to any number of clients, on one event loop.

    The loop never waits for the store. One subscription, shared by all clients, reports the timelines that may have
    changed. ``threads`` threads read them: one read for a timeline with any number of clients, and one for many
    timelines that changed together.

    A client receives every entry that enters the newest ``window`` entries of its timeline, including entries that are
    stored late. Otherwise it receives a gap event and must reload the timeline. A client that reconnects receives the
    entries that it missed, up to ``most_missed``. Store an entry after its activity, or in one atomic batch with it.

    A process needs one instance. Nothing starts before the first stream. Streams belong to the event loop on which they
    were started; another loop may start streams once those have ended or the first loop is closed. Pages are read on
    any loop. A forked child starts without streams.

    Args:
        backend: The backend that holds the timelines and activities.
        notifier: The notifier to subscribe to; by default the backend's own.
        render: The function that returns the document of an activity. If it raises, the activity is logged and left
            out, like one that is damaged or missing.
        window: The number of newest entries that are compared with those already sent. Entries below are history, which
            pages show.
        most_missed: The number of missed entries that are sent to a client that reconnects.
        most_waiting: Maximum events buffered for a slow client. On overflow the buffer is dropped, and the client
            resumes from its last delivered event as after a reconnect.
        most_clients: The maximum number of streams. One more raises :class:`TooManyClients`.
        settle_seconds: The delay after a change before the entries below the first few are compared.
        heartbeat_seconds: The interval of comments that keep proxies from closing an idle connection.
        longest_seconds: The duration after which a stream ends, so that its client reconnects and is authorized again.
        write_seconds: The maximum time that one write may wait for a client that reads nothing; then its connection is
            cut.
        recheck_seconds: The interval at which every timeline is read, whether a change was published or not.
        threads: The number of threads that read from the store.

    Raises:
        InvalidTypeError: An option has the wrong type.
        InvalidValueError: An option is out of range.
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
        write_seconds: float = 60.0,
        recheck_seconds: float = RECHECK_SECONDS,
        threads: int = 4,
    ) -> None:
        if not callable(render):
            raise InvalidTypeError(f"render must be a function that takes an activity, not {shown(render)}")
        self._backend = checked_backend(backend)
        self._notifier = checked_notifier(notifier, self._backend.session)
        window, most_missed = _checked_option("window", window), _checked_option("most_missed", most_missed)
        self._reader = TimelineReader(
            backend.timeline_storage(), backend.activity_storage(), render, window, most_missed
        )
        self._options = StreamOptions(
            most_waiting=_checked_option("most_waiting", most_waiting),
            most_clients=_checked_option("most_clients", most_clients),
            settle_seconds=_checked_option("settle_seconds", settle_seconds),
            heartbeat_seconds=_checked_option("heartbeat_seconds", heartbeat_seconds),
            longest_seconds=_checked_option("longest_seconds", longest_seconds),
            write_seconds=_checked_option("write_seconds", write_seconds),
            recheck_seconds=_checked_option("recheck_seconds", recheck_seconds),
            threads=_checked_option("threads", threads),
        )
        self._streams: Streams | None = None
        self._inherited: list[Streams] = []
        # By process: a forked child must not wait for the threads or the lock of its parent.
        self._pools: dict[int, ThreadPoolExecutor] = {}
        self._is_closed = False

    def __len__(self) -> int:
        """Return the number of streams."""
        return 0 if self._streams is None else len(self._streams)

    @property
    def is_closed(self) -> bool:
        """Whether the streams have ended; then no new stream starts."""
        return self._is_closed or (self._streams is not None and self._streams.is_closed)

    def subscribe(self, key: str, position: str | None, connection: ClientConnection | None = None) -> Subscriber:
        """Start a stream of a timeline. Call :meth:`unsubscribe` at its end.

        Args:
            key: The key of the timeline.
            position: The id of the client's last event, after which the stream continues. None: it starts now.
            connection: The connection to cut if its client reads nothing.

        Raises:
            TooManyClients: ``most_clients`` streams are open, or the live timelines are closed.
            OtherEventLoopError: Another event loop has streams.
        """
        streams = self._begin()
        if streams.is_closed:
            raise TooManyClients("these live timelines are closed; no new stream starts")
        if len(streams) >= self._options.most_clients:
            raise TooManyClients(f"{len(streams)} clients are connected, which is the maximum (most_clients)")
        return streams.subscribe(key, position, connection)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """End a stream. A second call does nothing."""
        if self._streams is not None:
            self._streams.unsubscribe(subscriber)

    async def read_page(self, key: str, limit: int, cursor: str | None = None) -> dict[str, Any]:
        """Return a page of a timeline as a document: ``items``, ``next_cursor``, ``complete``, and ``position``.

        A stream continues from ``position``, which only the first page holds. The page is read on one of the threads.

        Raises:
            TooManyClients: The live timelines are closed.
            StorageError: The storage cannot read the page.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool(), self._reader.read_page, key, limit, cursor)

    async def close(self) -> None:
        """End all streams, each with a retry hint, and unsubscribe. A second call does nothing."""
        self._is_closed = True
        streams = self._streams
        if streams is not None and streams.process == os.getpid():
            if streams.loop is asyncio.get_running_loop():
                await streams.close()
            else:
                streams.abandon()
        pool = self._pools.pop(os.getpid(), None)
        if pool is not None:
            pool.shutdown(wait=False)

    def end_streams(self) -> None:
        """End all streams, each with a retry hint; no new stream starts. Call it on their event loop."""
        self._is_closed = True
        if self._streams is not None:
            self._streams.end_all()

    def _begin(self) -> Streams:
        """Return the streams of the running event loop; make them if there are none."""
        loop, streams = asyncio.get_running_loop(), self._streams
        if streams is not None and streams.process != os.getpid():
            # The parent's streams go on in the parent. Closing their subscription would take a lock that a thread of
            # the parent may have held at the fork.
            self._inherited.append(streams)
            streams = None
        if streams is not None and streams.loop is not loop and not streams.is_closed:
            if not (streams.loop.is_closed() or streams.is_idle):
                raise OtherEventLoopError(
                    f"these live timelines have {len(streams)} streams on another event loop; end them with "
                    "`await live.close()` there, or make another LiveTimelines for this loop"
                )
            streams.abandon()
            streams = None
        if streams is None:
            if self._is_closed:
                raise TooManyClients("these live timelines are closed; no new stream starts")
            notifier = self._backend.notifier() if self._notifier is None else self._notifier
            streams = self._streams = Streams(loop, self._reader, notifier, self._pool, self._options)
        return streams

    def _pool(self) -> ThreadPoolExecutor:
        if self._is_closed and os.getpid() not in self._pools:
            raise TooManyClients("these live timelines are closed; no page can be read")
        process = os.getpid()
        pool = self._pools.get(process)
        if pool is None:
            new = ThreadPoolExecutor(self._options.threads, thread_name_prefix="feedstore-live")
            # If several threads race, all use the first pool; the others have started no thread.
            pool = self._pools.setdefault(process, new)
        return pool


def _checked_option(name: str, value: object) -> Any:
    """Return the number of an option. Raises :class:`InvalidTypeError` or :class:`InvalidValueError`, which name it."""
    return _READERS[name](name, value)

"""Live timelines: what is stored, by whatever process, reaches the clients that watch it."""

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
from feedstore.serializers.plain import activity_fields
from feedstore.shown import shown
from feedstore.storage import Backend
from feedstore.storage.backend import checked_backend
from feedstore.storage.notify import RECHECK_SECONDS, Notifier, checked_notifier
from feedstore.storage.option_values import DAY_SECONDS, Reader, read_count, read_seconds

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
    """As many clients are connected as are allowed, or none is any more."""


class OtherEventLoopError(FeedstoreError, RuntimeError):
    """Streams were begun on one event loop, and are under way there, while another loop asks for one."""


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
    - ``write_seconds``: how long one write may wait for a client that takes nothing, before its connection is cut.
    - ``most_clients``: how many streams there may be; another is :class:`TooManyClients`.
    - ``recheck_seconds``: how often every timeline is looked at, whether it was announced or not.
    - ``render``: what makes of an activity the document that is sent. One for which it raises is logged and passed
      over, as one that is damaged or gone.

    Raises :class:`InvalidTypeError` or :class:`InvalidValueError` for an option that cannot be.

    A process needs one, and nothing begins before the first stream. Streams belong to the event loop that they are
    begun on; another loop may follow once they have ended or the first loop is closed. Pages are read on any loop. A
    forked child begins with no streams.
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
            raise InvalidTypeError(f"render is a function that takes an activity, not {shown(render)}")
        self._backend = checked_backend(backend)
        self._notifier = checked_notifier(notifier, backend)
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
        """Return how many streams there are."""
        return 0 if self._streams is None else len(self._streams)

    @property
    def is_closed(self) -> bool:
        """Whether the streams have ended, and no other begins."""
        return self._is_closed or (self._streams is not None and self._streams.is_closed)

    def subscribe(self, key: str, position: str | None, connection: ClientConnection | None = None) -> Subscriber:
        """Begin a stream of a timeline, after the event with the id ``position``, from now on for None.

        A ``connection`` is cut if its client takes nothing. Raises :class:`TooManyClients`, and
        :class:`OtherEventLoopError` while another event loop has streams. Call :meth:`unsubscribe` at its end.
        """
        streams = self._begin()
        if streams.is_closed:
            raise TooManyClients("the streams have ended; no other begins")
        if len(streams) >= self._options.most_clients:
            raise TooManyClients(f"{len(streams)} clients are connected, which is all that are allowed")
        return streams.subscribe(key, position, connection)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """End a stream. Ending it twice is no error."""
        if self._streams is not None:
            self._streams.unsubscribe(subscriber)

    async def read_page(self, key: str, limit: int, cursor: str | None = None) -> dict[str, Any]:
        """Return a page of a timeline as a document: ``items``, ``next_cursor``, ``complete``, and ``position``, from
        which a stream goes on, of the first page. Read in one of the threads; raises what the storage raises, and
        :class:`TooManyClients` once closed.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool(), self._reader.read_page, key, limit, cursor)

    async def close(self) -> None:
        """End all streams, each with a hint when to come back, and stop watching. Again is no error."""
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
        """End all streams, each with a hint when to come back; no other begins. Call it on their event loop."""
        self._is_closed = True
        if self._streams is not None:
            self._streams.end_all()

    def _begin(self) -> Streams:
        """Return the streams of the event loop that runs, and begin them if there are none."""
        loop, streams = asyncio.get_running_loop(), self._streams
        if streams is not None and streams.process != os.getpid():
            # The parent's go on there. Their watch has no thread here, and is not closed, for that takes its lock.
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
                raise TooManyClients("the streams have ended; no other begins")
            notifier = self._backend.notifier() if self._notifier is None else self._notifier
            streams = self._streams = Streams(loop, self._reader, notifier, self._pool, self._options)
        return streams

    def _pool(self) -> ThreadPoolExecutor:
        if self._is_closed and os.getpid() not in self._pools:
            raise TooManyClients("the streams have ended; no page is read any more")
        process = os.getpid()
        pool = self._pools.get(process)
        if pool is None:
            new = ThreadPoolExecutor(self._options.threads, thread_name_prefix="feedstore-live")
            # Of several threads' pools, all use the first; the others have started no thread yet.
            pool = self._pools.setdefault(process, new)
        return pool


def _checked_option(name: str, value: object) -> Any:
    """Return an option's number. Raises :class:`InvalidTypeError` or :class:`InvalidValueError`, which name it."""
    return _READERS[name](name, value)

"""The notifier's contract: hearing of what others write, without asking for it again and again."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from feedstore.errors import BackendClosedError, InvalidTypeError, InvalidValueError, StorageError
from feedstore.shown import shown
from feedstore.storage.key import check_key
from feedstore.storage.storage import checked_iterable
from feedstore.storage.topic import Kind, Topic

if TYPE_CHECKING:
    from feedstore.storage.backend import Backend
    from feedstore.storage.watcher import Watcher

_logger = logging.getLogger("feedstore.notify")
_LONGEST_SECONDS = 1e9
RECHECK_SECONDS = 60.0
"""How often a watch is told of all its keys whether they have changed or not."""

Callback = Callable[[frozenset[str]], object]
"""What a watch calls: with those of its keys that may have changed."""


class Watch:
    """Some keys, and what to call when they may have changed. :meth:`Notifier.watch` makes it; a context manager.

    Safe to share between threads, and to use inside its own callback. In a forked child it watches nothing until keys
    are added there.
    """

    def __init__(
        self,
        backend: Backend,
        kind: Kind,
        callback: Callback,
        on_close: Callable[[], object] | None,
        recheck_seconds: float | None,
    ) -> None:
        self.recheck_seconds = recheck_seconds
        self._backend = backend
        self._kind = kind
        self._callback = callback
        self._on_close = on_close
        self._closed = False
        part = _Part()
        # By process: a child must not wait for a lock that a thread of its parent held when it was forked.
        self._parts = {os.getpid(): part}
        part.watcher = backend.watcher()
        part.watcher.attach(self)

    def add(self, keys: Iterable[str]) -> None:
        """Watch more keys; one that is watched already stays so, and none at all is no error.

        Whatever is announced after this has returned is told. Connects at the first use, on the watcher's thread: this
        costs no round trip, O(1) for each key. Raises :class:`InvalidValueError` on a closed watch and
        :class:`BackendClosedError` on a closed backend.
        """
        checked = {check_key(key) for key in checked_iterable(keys)}
        part = self._part()
        with part.lock:
            if self._closed:
                raise InvalidValueError("this watch is closed; make a new one with notifier.watch()")
            new = checked - part.keys
            if part.watcher is None:
                part.watcher = self._backend.watcher()
            part.watcher.begin(self, self._topics(new))
            part.keys |= new

    def discard(self, keys: Iterable[str]) -> None:
        """Watch keys no longer; those that are not watched are no error. A call that is under way may still tell of
        them. O(1) for each.
        """
        checked = {check_key(key) for key in checked_iterable(keys)}
        part = self._part()
        with part.lock:
            gone = checked & part.keys
            part.keys -= gone
            if part.watcher is not None:
                part.watcher.watched.discard(self, self._topics(gone))

    def keys(self) -> set[str]:
        """Return the keys that are watched now."""
        part = self._part()
        with part.lock:
            return set(part.keys)

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called, or the backend was closed."""
        return self._closed

    def close(self) -> None:
        """End the watch. No call begins after this has returned; one that is under way goes on. Again is no error."""
        part = self._part()
        with part.lock:
            self._closed = True
            gone, part.keys = part.keys, set()
            if part.watcher is not None:
                part.watcher.watched.discard(self, self._topics(gone))
        if part.watcher is not None:
            part.watcher.detach(self)

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def tell(self, keys: frozenset[str]) -> None:
        """Call the callback; for the watcher's thread. What it raises is logged."""
        if self._closed:
            return
        self._contained(lambda: self._callback(keys))

    def end(self) -> None:
        """Close the watch because the backend is closed; for the watcher."""
        self.close()
        if self._on_close is not None:
            self._contained(self._on_close)

    def _part(self) -> _Part:
        process = os.getpid()
        part = self._parts.get(process)
        return self._parts.setdefault(process, _Part()) if part is None else part

    def _contained(self, call: Callable[[], object]) -> None:
        try:
            call()
        # One listener's mistake, whatever it is, must not keep the others from being told.
        except Exception:
            _logger.exception("a watch's callback failed; the watch goes on")

    def _topics(self, keys: Iterable[str]) -> list[Topic]:
        return [Topic(self._backend.namespace, self._kind, key) for key in keys]


class _Part:
    """The keys of a watch in one process, and the watcher that watches them there."""

    __slots__ = ("keys", "lock", "watcher")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.keys: set[str] = set()
        self.watcher: Watcher | None = None


class Notifier:
    """Tells who watches timelines that they may have changed, across threads and, where the store is shared, across
    processes. Made by :meth:`Backend.notifier`.

    - N1 Whatever is announced after ``watch.add`` has returned, is told: the callback is called with a set of those of
      its keys that may have changed. Several announcements may become one call, and never none.
    - N2 It tells that something may have changed, never what: whoever is told reads for itself, and finds the write.
    - N3 Where messages may have been lost (the server was away, a connection was cut, a reader was too slow), a watch
      is told of all its keys as soon as it hears again. There is no silent hole.
    - N4 A key may be told without a change: soon after it was added, after N3, and each time the watch is rechecked.
    - N5 Callbacks run one after the other on one thread for each backend, which no caller waits for but the one who
      closes the backend. They must not block; what one of them raises is logged, and the rest are told all the same.
    - N6 Two namespaces never hear of each other.

    ``timeline_storage(notifier=…)`` announces each add, removal and trim once it is stored. If a process dies between
    the two, the write is told of at the next recheck, :data:`RECHECK_SECONDS` by default.

    A backend that can push pushes, and an idle watch costs nothing. Elsewhere the watcher's thread polls what is
    watched, at a delay that the backend states, and notices writes by itself, announced or not.

    >>> import threading
    >>> from feedstore import Activity, connect
    >>> backend = connect("memory://")
    >>> notifier = backend.notifier()
    >>> told = threading.Event()
    >>> watch = notifier.watch(lambda keys: told.set())
    >>> watch.add(["feed:bob"])
    >>> backend.timeline_storage(notifier=notifier).add("feed:bob", Activity("ann", "like", "photo:7"))
    1
    >>> told.wait(10)
    True
    >>> backend.close()
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def announce(self, keys: Iterable[str]) -> None:
        """Tell those who watch these timelines that they may have changed; none at all is no error.

        Call it after the write. A bounded number of round trips, however many the keys; none on a backend that is
        polled, where watches of this process are told at once, and those of others notice the write itself.
        """
        checked = dict.fromkeys(map(check_key, checked_iterable(keys)))
        self.backend.check_open()
        if checked:
            self.backend.announce_topics([Topic(self.backend.namespace, Kind.TIMELINE, key) for key in checked])

    def announce_stored(self, keys: Iterable[str]) -> None:
        """:meth:`announce`, for a write that is stored: if the announcement fails, that is logged and not raised, for
        the write has not failed. Watches hear of it at their next recheck.
        """
        try:
            self.announce(keys)
        except (StorageError, BackendClosedError) as error:
            _logger.warning("what was stored could not be announced; watches find it when they recheck: %s", error)

    def watch(
        self,
        callback: Callback,
        *,
        on_close: Callable[[], object] | None = None,
        recheck_seconds: float | None = RECHECK_SECONDS,
    ) -> Watch:
        """Return a :class:`Watch` that calls ``callback`` with a frozenset of those of its keys that may have changed.

        It watches nothing yet: add keys. ``on_close`` is called, once, if the backend is closed before the watch is.
        Every ``recheck_seconds`` the callback is called with all its keys, changed or not; None never does. Costs
        nothing. Raises :class:`BackendClosedError` on a closed backend.
        """
        return self.watch_kind(Kind.TIMELINE, callback, on_close, recheck_seconds)

    def watch_kind(
        self,
        kind: Kind,
        callback: Callback,
        on_close: Callable[[], object] | None = None,
        recheck_seconds: float | None = None,
    ) -> Watch:
        """:meth:`watch`, for keys of another kind."""
        if not callable(callback) or not (on_close is None or callable(on_close)):
            raise InvalidTypeError("callback is a function of a frozenset of keys, on_close one of nothing")
        recheck_seconds = _checked_recheck(recheck_seconds)
        return Watch(self.backend, kind, callback, on_close, recheck_seconds)


def _checked_recheck(seconds: float | None) -> float | None:
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise InvalidTypeError(f"recheck_seconds must be a number above 0 or None, not {shown(seconds)}")
    if not seconds > 0:
        raise InvalidValueError(f"recheck_seconds is {shown(seconds)}; it must be a number above 0, or None")
    return float(min(seconds, _LONGEST_SECONDS))


def checked_notifier(notifier: Any, backend: Backend) -> Notifier | None:
    """Return the option ``notifier``, None if there is none. Raises :class:`InvalidTypeError` for what is no notifier,
    and :class:`InvalidValueError` for that of another store or namespace.
    """
    if notifier is None:
        return None
    if not isinstance(notifier, Notifier):
        raise InvalidTypeError(f"notifier is what backend.notifier() returns, not {shown(notifier)}")
    if not backend.shares_batches_with(notifier.backend):
        raise InvalidValueError("the notifier belongs to another backend or namespace than what it is given to")
    return notifier

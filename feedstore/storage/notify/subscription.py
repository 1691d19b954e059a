"""The notifier's contract: publishing the changes of timelines, and subscribing to them."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from feedstore.errors import BackendClosedError, InvalidTypeError, InvalidValueError, StorageError
from feedstore.shown import shown
from feedstore.storage.checks import check_key, checked_iterable
from feedstore.storage.notify.dispatcher import Dispatcher
from feedstore.storage.notify.registry import Kind, Topic
from feedstore.storage.session import Session

_logger = logging.getLogger("feedstore.notify")
_LONGEST_SECONDS = 1e9
RECHECK_SECONDS = 60.0
"""The default interval at which a subscription is called with all its keys, changed or not."""

Callback = Callable[[frozenset[str]], object]
"""The function that a subscription calls with those of its keys that may have changed."""


class Subscription:
    """Keys of timelines, and the callback to call when they may have changed. :meth:`Notifier.subscribe` makes it.

    A context manager. Safe to share between threads, and to use inside its own callback. In a forked child it has no
    keys until some are added there.
    """

    def __init__(
        self,
        namespace: str,
        kind: Kind,
        dispatcher: Callable[[], Dispatcher],
        callback: Callback,
        on_close: Callable[[], object] | None,
        recheck_seconds: float | None,
    ) -> None:
        self.recheck_seconds = recheck_seconds
        self._namespace = namespace
        self._kind = kind
        self._dispatcher = dispatcher
        self._callback = callback
        self._on_close = on_close
        self._closed = False
        part = _Part()
        # By process: a child must not wait for a lock that a thread of its parent held when it was forked.
        self._parts = {os.getpid(): part}
        part.dispatcher = dispatcher()
        part.dispatcher.attach(self)

    def add(self, keys: Iterable[str]) -> None:
        """Subscribe to more keys; a key that was added before is no error, and neither is an empty list.

        Every change that is published after this has returned is delivered (N1). The dispatcher's thread connects at
        its first use, so this call makes no round trip. O(1) for each key.

        Raises:
            InvalidValueError: The subscription is closed.
            BackendClosedError: The backend is closed.
        """
        checked = {check_key(key) for key in checked_iterable(keys)}
        part = self._part()
        with part.lock:
            if self._closed:
                raise InvalidValueError("this subscription is closed; make a new one with notifier.subscribe()")
            new = checked - part.keys
            if part.dispatcher is None:
                part.dispatcher = self._dispatcher()
            part.dispatcher.subscribe(self, self._topics(new))
            part.keys |= new

    def discard(self, keys: Iterable[str]) -> None:
        """Unsubscribe from keys; a key that was not added is no error. O(1) for each key.

        A callback that runs already may still be called with them.
        """
        checked = {check_key(key) for key in checked_iterable(keys)}
        part = self._part()
        with part.lock:
            gone = checked & part.keys
            part.keys -= gone
            if part.dispatcher is not None:
                part.dispatcher.registry.discard(self, self._topics(gone))

    def keys(self) -> set[str]:
        """Return the keys that are subscribed to."""
        part = self._part()
        with part.lock:
            return set(part.keys)

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called, or the backend was closed."""
        return self._closed

    def close(self) -> None:
        """Unsubscribe from all keys. A second call does nothing.

        No callback starts after this has returned; one that runs already continues.
        """
        part = self._part()
        with part.lock:
            self._closed = True
            gone, part.keys = part.keys, set()
            if part.dispatcher is not None:
                part.dispatcher.registry.discard(self, self._topics(gone))
        if part.dispatcher is not None:
            part.dispatcher.detach(self)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def deliver(self, keys: frozenset[str]) -> None:
        """Call the callback; for the dispatcher's thread. An exception of the callback is logged."""
        if self._closed:
            return
        self._contained(lambda: self._callback(keys))

    def end(self) -> None:
        """Close the subscription because the backend is closed; for the dispatcher."""
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
        # A defect of one callback, of any kind, must not stop the delivery to the others.
        except Exception:
            _logger.exception("a subscription's callback failed; the subscription goes on")

    def _topics(self, keys: Iterable[str]) -> list[Topic]:
        return [Topic(self._namespace, self._kind, key) for key in keys]


class _Part:
    """The keys of a subscription in one process, and the dispatcher of that process."""

    __slots__ = ("dispatcher", "keys", "lock")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.keys: set[str] = set()
        self.dispatcher: Dispatcher | None = None


class Notifier:
    """Publishes that timelines may have changed, across threads and, where the store is shared, across processes. Made
    by :meth:`Backend.notifier`.

    - N1 Every change that is published after ``subscription.add`` has returned is delivered: the callback is called
      with those of its keys that may have changed. Several changes may become one call; no change is lost.
    - N2 A notification carries no data. It says that a key may have changed; a subscriber that reads the timeline then
      finds the write.
    - N3 If messages may have been lost (the server was away, a connection was cut, a reader was too slow), a
      subscription is called with all its keys as soon as messages arrive again.
    - N4 A key may be delivered without a change: soon after it was added, after N3, and at each recheck.
    - N5 Callbacks run one after another on one thread for each backend. Only ``Backend.close`` waits for that thread.
      Callbacks must not block. An exception of one callback is logged, and the others are called all the same.
    - N6 A change in one namespace is never delivered in another.

    ``timeline_storage(notifier=…)`` publishes each add, removal and trim once it is stored. If a process dies between
    the two, subscribers find the write at their next recheck, after :data:`RECHECK_SECONDS` by default.

    Where the store can push, an idle subscription sends nothing. Elsewhere the dispatcher's thread polls the keys that
    are subscribed to, at an interval that the backend states, and finds writes that were not published too.

    >>> import threading
    >>> from feedstore import Activity, connect
    >>> backend = connect("memory://")
    >>> notifier = backend.notifier()
    >>> changed = threading.Event()
    >>> subscription = notifier.subscribe(lambda keys: changed.set())
    >>> subscription.add(["feed:bob"])
    >>> backend.timeline_storage(notifier=notifier).add("feed:bob", Activity("ann", "like", "photo:7"))
    1
    >>> changed.wait(10)
    True
    >>> backend.close()
    """

    def __init__(self, session: Session[Any]) -> None:
        self.session = session

    def publish(self, keys: Iterable[str]) -> None:
        """Notify the subscribers of these timelines that they may have changed; an empty list is no error.

        Call it after the write. Makes a bounded number of round trips for any number of keys. On a backend that is
        polled it makes none: the subscriptions of this process are called, and other processes find the write itself.
        """
        checked = dict.fromkeys(map(check_key, checked_iterable(keys)))
        self.session.check_open()
        if checked:
            self.session.publish_topics([Topic(self.session.namespace, Kind.TIMELINE, key) for key in checked])

    def publish_stored(self, keys: Iterable[str]) -> None:
        """:meth:`publish`, for a write that is stored: an error is logged and not raised, for the write succeeded.

        Subscribers find the write at their next recheck.
        """
        try:
            self.publish(keys)
        except (StorageError, BackendClosedError) as error:
            _logger.warning("a stored write could not be published; subscribers find it at their recheck: %s", error)

    def subscribe(
        self,
        callback: Callback,
        *,
        on_close: Callable[[], object] | None = None,
        recheck_seconds: float | None = RECHECK_SECONDS,
    ) -> Subscription:
        """Return a :class:`Subscription` without keys; add keys to it. Makes no round trip.

        Args:
            callback: Called with a frozenset of those keys that may have changed.
            on_close: Called once if the backend is closed before the subscription is.
            recheck_seconds: The interval at which the callback is called with all keys, changed or not. None: never.

        Raises:
            BackendClosedError: The backend is closed.
        """
        return self.subscribe_kind(Kind.TIMELINE, callback, on_close, recheck_seconds)

    def subscribe_kind(
        self,
        kind: Kind,
        callback: Callback,
        on_close: Callable[[], object] | None = None,
        recheck_seconds: float | None = None,
    ) -> Subscription:
        """:meth:`subscribe`, for keys of another kind, such as the names of queues."""
        if not callable(callback) or not (on_close is None or callable(on_close)):
            raise InvalidTypeError(
                "callback must be a function that takes a frozenset of keys, and on_close a function without arguments"
            )
        recheck_seconds = _checked_recheck(recheck_seconds)
        session = self.session
        return Subscription(session.namespace, kind, session.dispatcher, callback, on_close, recheck_seconds)


def _checked_recheck(seconds: float | None) -> float | None:
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise InvalidTypeError(f"recheck_seconds must be a number above 0 or None, not {shown(seconds)}")
    if not seconds > 0:
        raise InvalidValueError(f"recheck_seconds is {shown(seconds)}; it must be a number above 0, or None")
    return float(min(seconds, _LONGEST_SECONDS))


def checked_notifier(notifier: Any, session: Session[Any]) -> Notifier | None:
    """Return the option ``notifier``, or None if it is None.

    Raises:
        InvalidTypeError: The value is no notifier.
        InvalidValueError: The notifier belongs to another store or namespace.
    """
    if notifier is None:
        return None
    if not isinstance(notifier, Notifier):
        raise InvalidTypeError(f"notifier must be the result of backend.notifier(), not {shown(notifier)}")
    if not session.shares_batches_with(notifier.session):
        raise InvalidValueError("the notifier belongs to another backend or namespace than the storage; pass its own")
    return notifier

"""Connections to a server: a pool of the backend's own, and the pool of an engine that was handed in.

No count of connections is kept that a call has to undo, and no state of a process is used in its children: a signal
handler may raise between any two steps, and a process may be forked without Python's hooks.
"""

from __future__ import annotations

import threading
import time
import weakref
from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext, suppress
from os import getpid
from typing import Any, TypeVar

from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import StaticPool

from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.connections import Connections, closed_store_error
from feedstore.backends.sql.database import Database
from feedstore.backends.sql.opener import Opener
from feedstore.errors import FeedstoreError, ForkedClientError

_Result = TypeVar("_Result")
# A thread that waits for a connection looks again after so many seconds, should nothing have woken it.
_RECHECK_SECONDS = 0.2


class _Process:
    """The connections of one process. What a child inherits is its parent's: it is kept there, and never touched."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.idle: deque[Connection] = deque()
        self.opened: list[weakref.ref[Connection]] = []
        self.waiting: deque[threading.Lock] = deque()
        self.held: set[Connection] = set()
        self.thread = _Thread()

    def count_open(self) -> int:
        """Return how many connections are open or being opened. O(those); only with the lock."""
        self.opened = [reference for reference in self.opened if is_open(reference())]
        return len(self.opened)

    def wake_one(self) -> None:
        """Let one of the threads that wait look for a connection."""
        with suppress(IndexError):
            self.waiting.popleft().release()


class _Thread(threading.local):
    """The connection on which a thread has a call under way."""

    connection: Connection | None = None


def is_open(connection: Connection | None) -> bool:
    """Return whether a connection takes a place in its pool: it was not closed, and something still refers to it."""
    return connection is not None and not connection.closed


class HeldConnections(Connections):
    """A connection for each outermost call. Subclasses say where it is taken from and where it goes afterwards.

    A connection is given back only by a call that returned or raised one of feedstore's errors. After any other
    exception, such as one that a signal handler raised, nothing is known of the protocol or of the transaction, and
    the connection is closed.
    """

    def __init__(self, opener: Opener, database: Database) -> None:
        self._opener = opener
        self._database = database
        self._closed = False
        self._processes: dict[int, _Process] = {}

    def call(self, action: Callable[..., _Result], *arguments: Any) -> _Result:
        """Use the connection that this thread holds already, or take one for the call."""
        process = self._processes.get(getpid()) or self._processes.setdefault(getpid(), _Process())
        held = process.thread.connection
        if held is not None:
            return action(held, *arguments)
        hand: list[Connection] = []
        usable = False
        try:
            self._take(process, hand)
            process.thread.connection = hand[0]
            try:
                result = action(hand[0], *arguments)
                usable = True
            except FeedstoreError:
                usable = True
                raise
            return result
        finally:
            # Both steps may be repeated: a signal handler that raises in the first attempt does not undo the second.
            try:
                self._give_back(process, hand, usable)
            except BaseException:
                self._give_back(process, hand, usable)
                raise

    def _give_back(self, process: _Process, hand: list[Connection], usable: bool) -> None:
        process.thread.connection = None
        if hand:
            self._put_back(process, hand, usable)

    @abstractmethod
    def _take(self, process: _Process, hand: list[Connection]) -> None:
        """Put a connection that works, and that no other thread has, into the hand."""

    @abstractmethod
    def _put_back(self, process: _Process, hand: list[Connection], usable: bool) -> None:
        """Let go of the connection in the hand, which may have been discarded, and empty the hand."""

    def _check_usable(self) -> None:
        if self._closed:
            raise closed_store_error()

    def open_one(self) -> Any:
        """A new one, or one of the engine's pool."""
        self._check_usable()
        return self._opener.open()

    def discard(self, connection: Connection) -> None:
        """Close a connection; the idle ones are checked before they are used."""
        connection.close(invalid=True)


class ConnectionPool(HeldConnections):
    """Up to ``size`` connections, kept open from call to call; a call that finds none free waits up to ``timeout``
    seconds.

    The connection that was given back last is taken first. To take and give back costs 1.4 µs; out of SQLAlchemy's
    pool, with what has to be set up for the call, it costs 14, and the shortest read took 47 instead of 27.
    """

    def __init__(self, opener: Opener, database: Database, size: int, timeout: float) -> None:
        super().__init__(opener, database)
        self._size = size
        self._timeout = timeout
        weakref.finalize(self, _close_idle, self._processes)

    def _take(self, process: _Process, hand: list[Connection]) -> None:
        if self._closed:
            raise closed_store_error()
        while True:
            if not _pop_idle(process, hand):
                self._take_another(process, hand)
            if hand[0].raw is None:
                self._open(hand[0])
                return
            if not self._database.is_stale(hand[0].raw):
                return
            hand.pop().close(invalid=True)

    def _take_another(self, process: _Process, hand: list[Connection]) -> None:
        """Put a new connection into the hand, or one that another call gives back meanwhile.

        Raises :class:`StorageTimeoutError` after ``timeout`` seconds.
        """
        deadline = time.monotonic() + self._timeout
        waiter = threading.Lock()
        waiter.acquire()
        try:
            while not self._has_taken(process, hand):
                left = deadline - time.monotonic()
                if left <= 0:
                    error = PoolTimeoutError()
                    raise self._database.translated(error) from error
                process.waiting.append(waiter)
                waiter.acquire(timeout=min(left, _RECHECK_SECONDS))
                _remove(process.waiting, waiter)
                self._check_usable()
        finally:
            _remove(process.waiting, waiter)

    def _has_taken(self, process: _Process, hand: list[Connection]) -> bool:
        if _pop_idle(process, hand):
            return True
        with process.lock:
            if process.count_open() < self._size:
                hand.append(Connection())
                process.opened.append(weakref.ref(hand[0]))
        return bool(hand)

    def _open(self, connection: Connection) -> None:
        try:
            connection.open_alone(self._opener.open())
            self._database.take(connection)
        except self._database.driver_error as error:
            raise self._database.translated(error) from error

    def _put_back(self, process: _Process, hand: list[Connection], usable: bool) -> None:
        """Keep it, unless it no longer works or the store was closed meanwhile."""
        if usable and hand[0].raw is not None and self._database.leave(hand[0]):
            # Out of the hand before it is idle: nothing can put it back twice.
            process.idle.append(hand.pop())
        else:
            hand[0].close(invalid=True)
            hand.pop()
        if process.waiting:
            process.wake_one()
        if self._closed:
            _close_idle(self._processes)

    def close(self) -> None:
        """Close what is idle. Calls that are under way close their connections when they end."""
        self._closed = True
        _close_idle(self._processes)


class EngineConnections(HeldConnections):
    """A connection for each call, out of the engine's pool and back.

    The engine is its maker's: it is left open at the end, and refused in a forked child. If its pool has one connection
    for all, threads take turns.
    """

    def __init__(self, opener: Opener, database: Database) -> None:
        super().__init__(opener, database)
        self._turn = threading.RLock() if isinstance(opener.engine.pool, StaticPool) else nullcontext()
        self._owner = getpid()
        # In a child, what was checked out must not go back to the pool, which would use it.
        self._inherited = opener.engine.pool

    def call(self, action: Callable[..., _Result], *arguments: Any) -> _Result:
        """Use the connection that this thread holds already, or one of the pool's."""
        if getpid() != self._owner:
            raise ForkedClientError(
                "the SQLAlchemy engine was handed in before this process was forked, and its connections are shared "
                "with the parent; make an engine and a backend in the child, or pass the URL instead"
            )
        with self._turn:
            return super().call(action, *arguments)

    def _take(self, process: _Process, hand: list[Connection]) -> None:
        self._check_usable()
        hand.append(Connection())
        process.held.add(hand[0])
        try:
            while not self._works(hand[0]):
                hand[0].close(invalid=True)
        except self._database.driver_error as error:
            raise self._database.translated(error) from error

    def _works(self, connection: Connection) -> bool:
        """Open a connection for the call; return whether the server still has its other end."""
        connection.open(self._opener.open())
        # Before the server may be asked: outside autocommit that begins a transaction.
        self._database.take(connection)
        return not self._database.is_stale(connection.raw)

    def _put_back(self, process: _Process, hand: list[Connection], usable: bool) -> None:
        """To the pool, as it was."""
        if hand[0].raw is not None:
            hand[0].close(invalid=not (usable and self._database.leave(hand[0])))
        process.held.discard(hand[0])
        hand.pop()

    def close(self) -> None:
        """The pool stays open."""
        self._closed = True


def _pop_idle(process: _Process, hand: list[Connection]) -> bool:
    """Move the connection that was given back last into the hand; return False if none is idle."""
    try:
        hand.append(process.idle.pop())
    except IndexError:
        return False
    return True


def _remove(waiting: deque[threading.Lock], waiter: threading.Lock) -> None:
    with suppress(ValueError):
        waiting.remove(waiter)


def _close_idle(processes: dict[int, _Process]) -> None:
    """Close the idle connections of this process; those of its parents are theirs."""
    process = processes.get(getpid())
    while process is not None and process.idle:
        try:
            connection = process.idle.pop()
        except IndexError:
            return
        connection.close(invalid=True)

"""Connections that a call takes from somewhere and gives back: the part that pools share, and an engine's own pool."""

from __future__ import annotations

import threading
import weakref
from abc import abstractmethod
from collections import deque
from contextlib import nullcontext, suppress
from os import getpid
from typing import Any, TypeVar

from sqlalchemy.pool import StaticPool

from feedstore.backends.sql.connection import Action, Connection, Connections, Driver, Opener
from feedstore.errors import BackendClosedError, FeedstoreError, ForkedClientError

_Result = TypeVar("_Result")


class Process:
    """The connections of one process. A child keeps its parent's here, and never touches them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.idle: deque[Connection] = deque()
        self.opened: list[weakref.ref[Connection]] = []
        self.waiting: deque[threading.Lock] = deque()
        self.held: set[Connection] = set()
        self.thread = _Thread()

    def count_open(self) -> int:
        """Return how many connections are open or being opened. O(that number); call it with the lock held."""
        self.opened = [reference for reference in self.opened if _is_open(reference())]
        return len(self.opened)

    def wake_one(self) -> None:
        """Wake one of the threads that wait for a connection."""
        with suppress(IndexError):
            self.waiting.popleft().release()


class _Thread(threading.local):
    """The connection on which a thread has a call under way."""

    connection: Connection | None = None


def _is_open(connection: Connection | None) -> bool:
    """Return whether a connection counts for its pool: it was not closed, and something still refers to it."""
    return connection is not None and not connection.closed


class CallConnections(Connections):
    """A connection for each outermost call. Subclasses take it from somewhere, and put it back afterwards.

    A connection is put back only by a call that returned or raised one of feedstore's errors. After any other
    exception, such as one that a signal handler raised, the state of the protocol and of the transaction is unknown,
    and the connection is closed.
    """

    def __init__(self, opener: Opener, driver: Driver) -> None:
        self._opener = opener
        self._driver = driver
        self._closed = False
        self._processes: dict[int, Process] = {}

    def call(self, action: Action[_Result], first: Any, second: Any) -> _Result:
        """Use the connection that this thread holds already, or take one for the call."""
        process = self._processes.get(getpid()) or self._processes.setdefault(getpid(), Process())
        thread = process.thread
        if thread.connection is not None:
            return action(thread.connection, first, second)
        hand: list[Connection] = []
        usable = False
        try:
            self._take(process, hand)
            # No variable names the connection. An exception keeps the variables of its frames, and a connection that an
            # interrupt took out of the hand must end with its last reference.
            thread.connection = hand[0]
            try:
                result = action(hand[0], first, second)
                usable = True
            except FeedstoreError:
                usable = True
                raise
            return result
        finally:
            # It may be repeated: a signal handler that raises in the first attempt does not prevent the second.
            try:
                thread.connection = None
                if hand:
                    self._put_back(process, hand, usable)
            except BaseException:
                thread.connection = None
                if hand:
                    self._put_back(process, hand, usable)
                raise

    def fetch(self, text: str, parameters: Any) -> list[Any]:
        """Use one statement in autocommit; in a transaction under way, use that."""
        rows = self.call(self._fetch, text, parameters)
        return self.call(self._fetch_again, text, parameters) if rows is None else rows

    def _fetch(self, connection: Connection, text: str, parameters: Any) -> list[Any] | None:
        """Return the rows. If the connection was lost, discard it and return None."""
        try:
            return connection.execute(text, parameters).fetchall()  # type: ignore[no-any-return]
        except self._driver.error as error:
            if connection.in_transaction or not self._driver.is_lost(error):
                raise self._driver.translated(error) from error
            self.discard(connection)
        return None

    def _fetch_again(self, connection: Connection, text: str, parameters: Any) -> list[Any]:
        try:
            return connection.execute(text, parameters).fetchall()  # type: ignore[no-any-return]
        except self._driver.error as error:
            raise self._driver.translated(error) from error

    @abstractmethod
    def _take(self, process: Process, hand: list[Connection]) -> None:
        """Put a connection that works, and that no other thread has, into the hand."""

    @abstractmethod
    def _put_back(self, process: Process, hand: list[Connection], usable: bool) -> None:
        """Put the connection in the hand back, unless it was discarded, and empty the hand."""

    def _check_usable(self) -> None:
        if self._closed:
            raise closed_during_call_error()

    def open_one(self) -> Any:
        """Return a new connection, or one of the pool of an engine that was handed in."""
        self._check_usable()
        return self._opener.open()

    def discard(self, connection: Connection) -> None:
        """Close a connection. Idle connections are checked before they are used."""
        connection.close(invalid=True)


class EngineConnections(CallConnections):
    """A connection for each call, out of the pool of an engine that was handed in, and back.

    Closing leaves the engine open. A forked child is refused. If the pool has one connection for all threads, the
    threads take turns.
    """

    def __init__(self, opener: Opener, driver: Driver) -> None:
        super().__init__(opener, driver)
        self._turn = threading.RLock() if isinstance(opener.engine.pool, StaticPool) else nullcontext()
        self._owner = getpid()
        # Keeps the pool alive in a child: a connection that the parent had checked out must not go back to the pool,
        # which would use it.
        self._inherited = opener.engine.pool

    def call(self, action: Action[_Result], first: Any, second: Any) -> _Result:
        """Use the connection that this thread holds already, or one of the pool's."""
        if getpid() != self._owner:
            raise ForkedClientError(
                "the SQLAlchemy engine was handed in before this process was forked, and its connections are shared "
                "with the parent; make an engine and a backend in the child, or pass the URL instead"
            )
        with self._turn:
            return super().call(action, first, second)

    def _take(self, process: Process, hand: list[Connection]) -> None:
        self._check_usable()
        hand.append(Connection())
        process.held.add(hand[0])
        try:
            while not self._works(hand[0]):
                hand[0].close(invalid=True)
        except self._driver.error as error:
            raise self._driver.translated(error) from error

    def _works(self, connection: Connection) -> bool:
        """Open a connection for the call; return whether the server still has its other end."""
        connection.open(self._opener.open())
        # Before the server may be asked: outside autocommit a question begins a transaction.
        self._driver.take(connection)
        return not self._driver.is_stale(connection)

    def _put_back(self, process: Process, hand: list[Connection], usable: bool) -> None:
        """Give the connection to the engine's pool in the state in which it came."""
        if hand[0].raw is not None:
            hand[0].close(invalid=not (usable and self._driver.leave(hand[0])))
        process.held.discard(hand[0])
        hand.pop()

    def close(self) -> None:
        """Refuse further calls. The engine's pool stays open."""
        self._closed = True


def closed_during_call_error() -> BackendClosedError:
    """Return the error for a call that was under way when the backend was closed."""
    return BackendClosedError("the backend was closed during the call; connect again to go on")

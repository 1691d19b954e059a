"""The pools of a backend's own connections: a LIFO pool for servers, and pinned connections for SQLite files."""

from __future__ import annotations

import ctypes
import os
import threading
import time
import weakref
from collections import deque
from contextlib import suppress
from os import getpid
from typing import Any, TypeVar

from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from feedstore.backends.sql.call_connections import CallConnections, Process, closed_during_call_error
from feedstore.backends.sql.connection import Action, Connection, Connections, Driver, Opener
from feedstore.backends.sql.sqlite.engine import WriteAheadLog
from feedstore.errors import ForkedClientError, StorageTimeoutError, StorageUnavailableError
from feedstore.forks import follow_forks

_Result = TypeVar("_Result")
# A waiting thread looks for an idle connection at least every so many seconds, in case a wake-up was lost.
_RECHECK_SECONDS = 0.2


class LifoPool(CallConnections):
    """LIFO pool of up to ``size`` connections to a server. A call waits up to ``timeout`` seconds if all are in use.

    Measured: to take and put back a connection costs 1.4 µs. With SQLAlchemy's pool, and the set-up for each call, it
    costs 14, and the shortest read took 47 µs instead of 27.
    """

    def __init__(self, opener: Opener, driver: Driver, size: int, timeout: float) -> None:
        super().__init__(opener, driver)
        self._size = size
        self._timeout = timeout
        weakref.finalize(self, _close_idle, self._processes)

    def _take(self, process: Process, hand: list[Connection]) -> None:
        if self._closed:
            raise closed_during_call_error()
        while True:
            is_found = True
            try:
                hand.append(process.idle.pop())
            except IndexError:
                is_found = False
            if not is_found:
                self._take_another(process, hand)
            if hand[0].raw is None:
                self._open(hand[0])
                return
            if not self._driver.is_stale(hand[0]):
                return
            hand.pop().close(invalid=True)

    def _take_another(self, process: Process, hand: list[Connection]) -> None:
        """Put a new connection into the hand, or the first one that another call gives back.

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
                    raise self._driver.translated(error) from error
                process.waiting.append(waiter)
                waiter.acquire(timeout=min(left, _RECHECK_SECONDS))
                _remove(process.waiting, waiter)
                self._check_usable()
        finally:
            _remove(process.waiting, waiter)

    def _has_taken(self, process: Process, hand: list[Connection]) -> bool:
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
            self._driver.take(connection)
        except self._driver.error as error:
            raise self._driver.translated(error) from error

    def _put_back(self, process: Process, hand: list[Connection], usable: bool) -> None:
        """Make the connection idle, or close it if it no longer works or the pool was closed during the call."""
        if usable and hand[0].raw is not None and self._driver.leave(hand[0]):
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
        """Close the idle connections. Calls that are under way close theirs when they end."""
        self._closed = True
        _close_idle(self._processes)


class PinnedPool(Connections):
    """One connection to a SQLite file for each thread, opened at its first call. A later thread reuses the connection.

    Writers of one process queue at a lock instead of polling the file's lock. Before the process forks, the pool waits
    for the calls under way and closes every connection; parent and child open new ones. SQLite keeps its knowledge of a
    file's locks in the process's memory: a child that inherited it would believe that it holds locks which only its
    parent holds. (Seen: the parent closed the file, took itself for the last user and deleted the write-ahead log, and
    the child's later commits were lost.)
    """

    def __init__(self, opener: Opener, driver: Driver, busy_timeout: float) -> None:
        self._opener = opener
        self._driver = driver
        self._busy_timeout = busy_timeout
        self._write_lock = threading.RLock()
        self._lock = threading.Lock()
        self._opened: list[Connection] = []
        self._free: deque[Connection] = deque()
        self._thread = _PinnedThread()
        self._path = str(opener.engine.url.database)
        self._log = WriteAheadLog(opener.open, self._path)
        self._file: tuple[int, int] | None = None
        self._closed = False
        self._process = [getpid()]
        weakref.finalize(self, _close_all, self._opened, self._process)
        after = PinnedPool.after_fork
        follow_forks(self, PinnedPool.before_fork, after, after)

    def call(self, action: Action[_Result], first: Any, second: Any) -> _Result:
        """Use this thread's connection, locked.

        A native lock's ``with`` block releases the lock even if a signal handler raises. A lock that one function
        acquires and another releases would be kept if the handler raised between the two.
        """
        if getpid() != self._process[0]:
            self._check_inherited()
        connection = self._thread.connection or self._pin()
        while True:
            with connection.lock:
                if connection.raw is not None:
                    # Python runs signal handlers after calls. The variable keeps the end of this one inside the block.
                    result = action(connection, first, second)
                    return result  # noqa: RET504
            self._open(connection)

    def fetch(self, text: str, parameters: Any) -> list[Any]:
        """Do as :meth:`call`, with its steps here: calls of Python take a third of the time of a short read, and a
        ``with`` block twice as long as the two calls of the lock. No server can lose the connection.
        """
        if getpid() != self._process[0]:
            self._check_inherited()
        connection = self._thread.connection or self._pin()
        lock = connection.lock
        while True:
            try:
                lock.acquire()
            except BaseException as error:
                # As in :meth:`call_writing`.
                try:
                    lock.release()
                except RuntimeError:
                    raise error from None
                raise
            try:
                if connection.raw is not None:
                    rows: list[Any] = connection.execute(text, parameters).fetchall()
                    return rows
            except self._driver.error as error:
                raise self._driver.translated(error) from error
            finally:
                lock.release()
            self._open(connection)

    def call_writing(self, action: Action[_Result], first: Any, second: Any) -> _Result:
        """Use this thread's connection while it is this thread's turn to write."""
        if getpid() != self._process[0]:
            self._check_inherited()
        lock = self._write_lock
        try:
            if not lock.acquire(timeout=self._busy_timeout):
                raise StorageTimeoutError(
                    f"{self._path}: another thread kept writing beyond busy_timeout ({self._busy_timeout:g} s)"
                )
        except BaseException as error:
            # A signal handler may have raised after the lock was acquired. No call comes before the release.
            try:
                lock.release()
            except RuntimeError:
                raise error from None
            raise
        try:
            connection = self._thread.connection
            if self._file is not None and not (connection is not None and connection.in_transaction):
                self._check_file()
            result = self.call(action, first, second)
            connection = self._thread.connection
            if connection is not None and not connection.in_transaction:
                self._log.shorten()
            return result
        finally:
            # The first call of the block: no signal handler runs before it has released the lock.
            lock.release()

    def _check_file(self) -> None:
        """Raise :class:`StorageUnavailableError` if the open file was removed, renamed or replaced.

        SQLite would go on writing to the old file, where no reader finds the write. The pool cannot open the new file
        either: the log of the old file lies beside it, and SQLite would copy that log into the new file.
        """
        file = _identity(self._path)
        if file != self._file:
            state = "removed or renamed" if file is None else "replaced by another one"
            raise StorageUnavailableError(
                f"{self._path}: the file was {state} while it was open; end every process that has it open, put the "
                "file back without the old -wal and -shm files, and connect again"
            )

    def _check_inherited(self) -> None:
        """Go on in a child that was forked without Python's hooks; refuse it if connections were open at the fork.

        The child's copy of SQLite's memory says that the child holds its parent's locks, so every new connection of the
        child would rely on locks that do not exist. To close an inherited connection could delete a log that other
        processes write to. So the inherited connections stay as they are.
        """
        if any(connection.raw is not None for connection in self._opened):
            raise ForkedClientError(
                f"{self._path}: this process was forked without Python's fork hooks while "
                "connections to the SQLite file were open, and SQLite cannot use the file after that; close the "
                "backend before the fork, or load the application after it (uWSGI: lazy-apps = true)"
            )
        self._process[0] = getpid()

    def open_one(self) -> Any:
        """Return a new connection, which the caller must not keep across a fork."""
        return self._opener.open()

    def discard(self, connection: Connection) -> None:
        """Close a connection that does not work. Its next use opens it again."""
        connection.close()

    def close(self) -> None:
        """Close every thread's connection, after the calls that are under way."""
        if getpid() != self._process[0]:
            self._closed = True
            _keep_open(self._opened)
            return
        with self._write_lock, self._lock:
            self._closed = True
            for connection in self._opened:
                with connection.lock:
                    connection.close()
            self._free.clear()

    def _pin(self) -> Connection:
        try:
            connection = self._free.popleft()
        except IndexError:
            connection = Connection()
        self._thread.pin(connection, self._free)
        return connection

    def _open(self, connection: Connection) -> None:
        # In the order in which a fork takes the locks, so that the two never wait for each other, and under both, so
        # that no connection is half open in the child.
        with self._lock, connection.lock:
            if self._closed:
                raise closed_during_call_error()
            if connection not in self._opened:
                self._opened.append(connection)
            connection.open(self._opener.open())
            self._driver.take(connection)
            if self._file is None:
                self._file = _identity(self._path)

    def before_fork(self) -> None:
        """Wait for calls under way, and close every connection."""
        self._write_lock.acquire()
        self._lock.acquire()
        for connection in self._opened:
            connection.lock.acquire()
            connection.close()

    def after_fork(self) -> None:
        """Let the calls go on, in the parent and in the child; each opens a connection again."""
        self._file = None
        self._process[0] = getpid()
        for connection in self._opened:
            connection.lock.release()
        self._lock.release()
        self._write_lock.release()


class _PinnedThread(threading.local):
    """The connection that is pinned to a thread."""

    connection: Connection | None = None

    def pin(self, connection: Connection, free: deque[Connection]) -> None:
        """Keep a connection until the thread ends, and make it free for another thread then."""
        self.connection = connection
        self._pin = _Pin(connection, free)


class _Pin:
    """A guard that frees a connection when its thread, which holds the only reference to the guard, has ended."""

    def __init__(self, connection: Connection, free: deque[Connection]) -> None:
        self._connection = connection
        self._free = free

    def __del__(self) -> None:
        self._free.append(self._connection)


def _identity(path: str) -> tuple[int, int] | None:
    """Return the device and inode of a file, None if there is no file."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _close_all(connections: list[Connection], process: list[int]) -> None:
    if getpid() != process[0]:
        _keep_open(connections)
        return
    for connection in connections:
        # At the end of the process a daemon thread may be in the middle of a call; its connection ends with it.
        if connection.lock.acquire(blocking=False):
            connection.close()
            connection.lock.release()


def _keep_open(connections: list[Connection]) -> None:
    """Keep inherited connections open until the process ends.

    SQLAlchemy and sqlite3 would close them with their last reference. To close one in a child can delete a log that
    other processes write to.
    """
    for connection in connections:
        if connection.raw is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


def _pop_idle(process: Process, hand: list[Connection]) -> bool:
    """Move the connection that was given back last into the hand; return False if none is idle."""
    try:
        hand.append(process.idle.pop())
    except IndexError:
        return False
    return True


def _remove(waiting: deque[threading.Lock], waiter: threading.Lock) -> None:
    with suppress(ValueError):
        waiting.remove(waiter)


def _close_idle(processes: dict[int, Process]) -> None:
    """Close the idle connections of this process. Its parent's are not touched."""
    process = processes.get(getpid())
    while process is not None and process.idle:
        try:
            connection = process.idle.pop()
        except IndexError:
            return
        connection.close(invalid=True)

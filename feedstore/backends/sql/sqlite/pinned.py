"""Connections to a SQLite file: one pinned to each thread, and none of them across a fork."""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.connections import Connections, closed_store_error
from feedstore.backends.sql.opener import Opener
from feedstore.backends.sql.sqlite.log import WriteAheadLog
from feedstore.errors import ForkedClientError, StorageTimeoutError, StorageUnavailableError
from feedstore.forks import follow_forks

_Result = TypeVar("_Result")


class PinnedConnections(Connections):
    """A connection for each thread, opened when the thread first needs one and handed on when the thread ends.

    Writers of one process queue at a lock instead of polling the file's. Before the process forks, every connection is
    closed, once the calls under way have ended, and parent and child open new ones: SQLite keeps what it knows of a
    file's locks in the process's memory, and a child that inherited it would believe that it holds locks which only
    its parent does. (Seen: the parent closes the file, takes itself for the last one and deletes the write-ahead log,
    and what the child then commits is lost.)
    """

    def __init__(self, opener: Opener, busy_timeout: float) -> None:
        self._opener = opener
        self._busy_timeout = busy_timeout
        self._write_lock = threading.RLock()
        self._lock = threading.Lock()
        self._opened: list[Connection] = []
        self._free: deque[Connection] = deque()
        self._thread = _Thread()
        self._log = WriteAheadLog(opener)
        self._path = str(opener.engine.url.database)
        self._file: tuple[int, int] | None = None
        self._closed = False
        self._process = [os.getpid()]
        weakref.finalize(self, _close_all, self._opened, self._process)
        after = PinnedConnections.after_fork
        follow_forks(self, PinnedConnections.before_fork, after, after)

    def call(self, action: Callable[..., _Result], *arguments: Any) -> _Result:
        """Use this thread's connection, locked.

        A native lock's ``with`` block releases the lock even if a signal handler raises. A lock that one function
        acquires and another releases would be kept if the handler raised between the two.
        """
        if [os.getpid()] != self._process:
            self._check_inherited()
        connection = self._thread.connection or self._pin()
        while True:
            with connection.lock:
                if connection.raw is not None:
                    return action(connection, *arguments)
            self._open(connection)

    def call_writing(self, action: Callable[..., _Result], *arguments: Any) -> _Result:
        """Use this thread's connection while it is this thread's turn to write."""
        if [os.getpid()] != self._process:
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
            result = self.call(action, *arguments)
            connection = self._thread.connection
            if connection is not None and not connection.in_transaction:
                self._log.shorten()
            return result
        finally:
            # The first call of the block: no signal handler runs before it has released the lock.
            lock.release()

    def _check_file(self) -> None:
        """Raise :class:`StorageUnavailableError` if the file that is open has lost its name.

        SQLite would go on writing to it, where nothing finds the write. It cannot be opened again here: the log of the
        old file lies beside the new one, and SQLite would copy it into that.
        """
        file = _identity(self._path)
        if file != self._file:
            state = "removed or renamed" if file is None else "replaced by another one"
            raise StorageUnavailableError(
                f"{self._path}: the file was {state} while it was open; end every process that has it open, put the "
                "file back without the old -wal and -shm files, and connect again"
            )

    def _check_inherited(self) -> None:
        """Go on in a child process that was forked past Python's hooks, unless connections were open then.

        SQLite keeps in the process's memory which locks it holds on a file. The child's copy says that it holds its
        parent's, so that every connection that the child opened would take locks which do not exist. To close the
        inherited connections could delete a log that others write to. They stay as they are.
        """
        if any(connection.raw is not None for connection in self._opened):
            raise ForkedClientError(
                f"{self._path}: this process was forked without Python's fork hooks while "
                "connections to the SQLite file were open, and SQLite cannot use the file after that; close the "
                "backend before the fork, or load the application after it (uWSGI: lazy-apps = true)"
            )
        self._process[0] = os.getpid()

    def open_one(self) -> Any:
        """A new one; the caller must not keep it across a fork."""
        return self._opener.open()

    def discard(self, connection: Connection) -> None:
        """Close a connection that does not work; its next use opens it anew."""
        connection.close()

    def close(self) -> None:
        """Close every thread's connection, after the calls that are under way."""
        if [os.getpid()] != self._process:
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
                raise closed_store_error()
            if connection not in self._opened:
                self._opened.append(connection)
            connection.open(self._opener.open())
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
        self._process[0] = os.getpid()
        for connection in self._opened:
            connection.lock.release()
        self._lock.release()
        self._write_lock.release()


class _Thread(threading.local):
    """A thread's connection."""

    connection: Connection | None = None

    def pin(self, connection: Connection, free: deque[Connection]) -> None:
        """Keep a connection until the thread ends, and hand it on then."""
        self.connection = connection
        self._pin = _Pin(connection, free)


class _Pin:
    """Hands a connection on when its thread, which alone holds the pin, has ended."""

    def __init__(self, connection: Connection, free: deque[Connection]) -> None:
        self._connection = connection
        self._free = free

    def __del__(self) -> None:
        self._free.append(self._connection)


def _identity(path: str) -> tuple[int, int] | None:
    """Return the identity that distinguishes a file from another one of the same name, None if there is no file."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _close_all(connections: list[Connection], process: list[int]) -> None:
    if [os.getpid()] != process:
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

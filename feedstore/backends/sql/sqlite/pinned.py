"""Connections to a SQLite file: one pinned to each thread, and none of them across a fork."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.connections import Connections, closed_store_error
from feedstore.backends.sql.opener import Opener
from feedstore.errors import StorageTimeoutError
from feedstore.forks import follow_forks


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
        self._closed = False
        weakref.finalize(self, _close_all, self._opened)
        after = PinnedConnections.after_fork
        follow_forks(self, PinnedConnections.before_fork, after, after)

    def acquire(self) -> Connection:
        """Return this thread's connection, locked."""
        connection = self._thread.connection or self._pin()
        while True:
            connection.lock.acquire()
            if connection.raw is not None:
                return connection
            connection.lock.release()
            self._open(connection)

    def release(self, connection: Connection) -> None:
        """Unlock this thread's connection."""
        connection.lock.release()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Hold this thread's connection, and the process's turn to write."""
        if not self._write_lock.acquire(timeout=self._busy_timeout):
            path = self._opener.engine.url.database
            raise StorageTimeoutError(
                f"{path}: another thread kept writing beyond busy_timeout ({self._busy_timeout:g} s)"
            )
        try:
            connection = self.acquire()
            try:
                yield connection
            finally:
                connection.lock.release()
        finally:
            self._write_lock.release()

    def open_one(self) -> Any:
        """A new one; the caller must not keep it across a fork."""
        return self._opener.open()

    def discard(self, connection: Connection) -> None:
        """Close a connection that does not work; its next use opens it anew."""
        connection.close()

    def close(self) -> None:
        """Close every thread's connection, after the calls that are under way."""
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
            connection.open(self._opener.open())
            if connection not in self._opened:
                self._opened.append(connection)

    def before_fork(self) -> None:
        """Wait for calls under way, and close every connection."""
        self._write_lock.acquire()
        self._lock.acquire()
        for connection in self._opened:
            connection.lock.acquire()
            connection.close()

    def after_fork(self) -> None:
        """Let the calls go on, in the parent and in the child; each opens a connection again."""
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


def _close_all(connections: list[Connection]) -> None:
    for connection in connections:
        # At the end of the process a daemon thread may be in the middle of a call; its connection ends with it.
        if connection.lock.acquire(blocking=False):
            connection.close()
            connection.lock.release()

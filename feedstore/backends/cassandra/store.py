"""The store: the sessions of a keyspace's backends in each process, and the translation of the driver's errors."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any

from cassandra import OperationTimedOut
from cassandra.cluster import NoHostAvailable

from feedstore.backends.cassandra.batches import Row, Write, atomic_request, requests_of
from feedstore.backends.cassandra.clock import process_clock
from feedstore.backends.cassandra.driver import DriverSession
from feedstore.backends.cassandra.errors import DRIVER_ERRORS, is_passing, translated, unreachable, was_lost
from feedstore.backends.cassandra.memory import Memory
from feedstore.backends.cassandra.options import Settings
from feedstore.backends.cassandra.schema import prepare_schema
from feedstore.backends.cassandra.statements import Statements
from feedstore.backends.cassandra.transaction import CassandraTransaction
from feedstore.backends.cassandra.values import Rows
from feedstore.errors import BackendClosedError, FeedstoreError, ForkedClientError, StorageError, StorageTimeoutError
from feedstore.storage.session import Transaction

_MOST_CONCURRENT = 16
_MOST_REQUESTS = 2000
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0

Request = tuple[str, list[bytes]]
"""A reading statement and its values."""


class Store:
    """A keyspace that backends share. It connects at the first request.

    Each process has its own session, because the driver's threads do not survive a fork. A child process neither uses
    nor closes its parent's session.
    """

    def __init__(
        self, connect: Callable[[], Any], settings: Settings, keyspace: str, label: str, was_given: bool
    ) -> None:
        self.settings = settings
        self.keyspace = keyspace
        self.label = label
        self.closed = False
        self.statements = Statements(keyspace)
        self.clock = process_clock()
        self._connect = connect
        self._owner = os.getpid() if was_given else None
        self._memories: dict[int, Memory] = {}

    @property
    def memory(self) -> Memory:
        """The state of this process: its session and its caches."""
        found = self._memories.get(os.getpid())
        return found if found is not None else self._first_memory()

    def _first_memory(self) -> Memory:
        own = Memory(self)
        own.leave(list(self._memories.values()))
        # Concurrent threads get the same object.
        return self._memories.setdefault(os.getpid(), own)

    def session(self) -> DriverSession:
        """Return this process's session. The first call connects it."""
        memory = self.memory
        return memory.session if memory.session is not None else self._connected(memory)

    def _connected(self, memory: Memory) -> DriverSession:
        with memory.lock:
            if memory.session is not None:
                return memory.session
            if self.closed:
                # Another thread closed the store during a request, whose retry must not open a new session.
                raise self._closed_error()
            if self._owner not in (None, os.getpid()):
                raise ForkedClientError(
                    "the given session was made before this process was forked and cannot be used here; connect by "
                    "URL, or pass a session that the child has made"
                )
            session = memory.session = self._open()
            if self.closed:
                # Another thread closed the store before this session existed.
                self.close()
                raise self._closed_error()
            return session

    def _open(self) -> DriverSession:
        try:
            connected = self._connect_again_if_lost()
        except DRIVER_ERRORS as error:
            raise (self._closed_error() if self.closed else unreachable(error, self.label)) from error
        session = DriverSession(connected, self.settings, self.keyspace, is_owned=self._owner is None)
        try:
            prepare_schema(session, self.settings, self.label)
        except DRIVER_ERRORS as error:
            session.close()
            raise self._translated(error) from error
        except BaseException:
            session.close()
            raise
        return session

    def _connect_again_if_lost(self) -> Any:
        """Connect, and once more if the connection was lost while the driver read the cluster's schema."""
        try:
            return self._connect()
        except NoHostAvailable as error:
            if self.closed or not was_lost(error):
                raise
        return self._connect()

    def _translated(self, error: Exception) -> FeedstoreError:
        return self._closed_error() if self.closed else translated(error, self.label)

    def _closed_error(self) -> BackendClosedError:
        return BackendClosedError(f"{self.label}: the backend was closed during a request")

    def fetch(self, statement: str, values: list[bytes], consistency: int | None = None) -> Rows:
        """Return all rows of one reading statement, with one round trip for each 5,000 rows."""
        return self.ask(statement, values, consistency)()

    def ask(self, statement: str, values: list[bytes], consistency: int | None = None) -> Callable[[], Rows]:
        """Send a statement. Return a function that waits for its rows."""
        session = self.session()
        try:
            request = session.bound(statement, values, consistency)
        except DRIVER_ERRORS as error:
            raise self._translated(error) from error
        answer = session.send(request)

        def rows() -> Rows:
            try:
                return _rows_of(session, request, answer.result())
            except DRIVER_ERRORS as error:
                answers: list[Rows] = [[]]
                self._send_again([request], {0: error}, answers)
                return answers[0]

        return rows

    def decide(self, row: Row, is_unchanged: Callable[[], bool]) -> bool:
        """Carry out a lightweight transaction, and return whether its condition held.

        If the outcome is unknown, ``is_unchanged`` reads whether the condition still holds. If it does, the transaction
        has changed nothing and is retried for ``retry_seconds``. Otherwise the error is raised.
        """
        deadline = time.monotonic() + self.settings.retry_seconds
        while True:
            self.clock.wait_for_next_millisecond()
            try:
                session = self.session()
                rows = _rows_of(session, None, session.send(session.conditional(*row)).result())
            except DRIVER_ERRORS as error:
                is_over = not is_passing(error) or time.monotonic() > deadline
                if is_over or not is_unchanged():
                    raise self._undecided(error) from error
            else:
                was_applied: bool = rows[0][0]
                return was_applied

    def _undecided(self, error: Exception) -> FeedstoreError:
        translation = self._translated(error)
        if not isinstance(translation, StorageTimeoutError):
            return translation
        return StorageTimeoutError(
            f"{self.label}: a conditional write was not confirmed and may have been applied; read the key to check"
        )

    def fetch_all(self, requests: Iterable[Request], consistency: int | None = None) -> list[Rows]:
        """Return all rows of each reading statement. Up to 16 requests are concurrent."""
        session = self.session()
        return self._carry_out(session.bound(*request, consistency) for request in requests)

    def write(self, transaction: Transaction, writes: Iterable[Write]) -> None:
        """Add writes to the transaction of a batch. Without a batch, send them."""
        if isinstance(transaction, CassandraTransaction):
            transaction.add(writes)
        else:
            self.write_now(writes)

    def write_now(self, writes: Iterable[Write]) -> None:
        """Carry out writes, also inside a batch. The first requests are sent while later ones are built."""
        requests = requests_of(self.session(), writes)
        for first in self._translating(requests):
            self._carry_out(chain((first,), islice(requests, _MOST_REQUESTS)))

    def write_atomically(self, writes: list[Write]) -> None:
        """Carry out all writes or none, in one request or through the journal.

        The journal takes batches that are larger than the servers' limit, and those that the servers cannot log while a
        node fails.
        """
        session, journal = self.session(), self.memory.journal
        for request in self._translating([atomic_request(session, writes, self.settings.batch_limit)]):
            if request is None or journal.is_preferred or not self._was_carried_out(request):
                journal.carry_out(writes)

    def _was_carried_out(self, request: Any) -> bool:
        """Send a request. Return False after a temporary error, such as a lost answer or failing nodes."""
        try:
            self.session().send(request).result()
        except DRIVER_ERRORS as error:
            if self.closed or not is_passing(error):
                raise self._translated(error) from error
            self.memory.journal.prefer()
            return False
        return True

    def _carry_out(self, requests: Iterable[Any]) -> list[Rows]:
        """Send every request, and retry those that failed temporarily, until all are answered."""
        sent: list[Any] = []
        answers: list[Rows] = []
        failed = self._send(_kept(self._translating(requests), sent, answers), answers)
        self._send_again(sent, failed, answers)
        return answers

    def _send_again(self, sent: list[Any], failed: dict[int, Exception], answers: list[Rows]) -> None:
        """Retry failed requests until all are answered, or none was answered for ``retry_seconds``."""
        deadline = time.monotonic() + self.settings.retry_seconds
        pause = _FIRST_PAUSE_SECONDS
        while failed:
            refused = [error for error in failed.values() if not is_passing(error)]
            error = (refused or list(failed.values()))[0]
            if refused or time.monotonic() + pause > deadline:
                raise self._translated(error) from error
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            number = len(failed)
            failed = self._send([(position, sent[position]) for position in failed], answers)
            if len(failed) < number:
                deadline = time.monotonic() + self.settings.retry_seconds

    def _send(self, requests: Iterable[tuple[int, Any]], answers: list[Rows]) -> dict[int, Exception]:
        """Send requests by their positions, put each answer into its place, and return the errors by position.

        After a timeout no more requests are sent, because each would take as long to fail if nodes hang.
        """
        session = self.session()
        under_way: deque[tuple[int, Any, Any]] = deque()
        failed: dict[int, Exception] = {}
        late: Exception | None = None
        for position, request in requests:
            if late is None and len(under_way) >= _MOST_CONCURRENT:
                late = _finish(session, under_way, answers, failed)
            if late is None:
                under_way.append((position, request, session.send(request)))
            else:
                failed[position] = late
        while under_way:
            _finish(session, under_way, answers, failed)
        return failed

    def _translating(self, requests: Iterable[Any]) -> Iterator[Any]:
        """Yield requests, and translate the driver's errors while they are built and prepared."""
        try:
            yield from requests
        except DRIVER_ERRORS as error:
            raise self._translated(error) from error

    def send_collected(self, transaction: Transaction) -> None:
        """Send the collected writes of a batch that is not atomic, because a read must see them."""
        if isinstance(transaction, CassandraTransaction) and not transaction.is_atomic:
            self.write_now(transaction.taken())

    def ping(self) -> None:
        """Send a request to a node, and wait for the answer."""
        if not self.fetch("SELECT release_version FROM system.local WHERE key = ?", [b"local"]):
            raise StorageError(f"{self.label}: the node does not know its own version")

    def durability_gap(self) -> str | None:
        """Return the commit log's mode if a power cut of all replicas may lose the last writes."""
        rows = self.fetch("SELECT value FROM system_views.settings WHERE name = ?", [b"commitlog_sync"])
        mode = rows[0][0] if rows else b"batch"
        mode = mode.decode() if isinstance(mode, bytes) else mode
        if mode != "periodic":
            return None
        return (
            "Cassandra has commitlog_sync: periodic; set it to batch or group, or a power cut of all replicas may lose "
            "the last writes"
        )

    def close(self) -> None:
        """Close the session of this process."""
        self.closed = True
        memory = self.memory
        session, memory.session = memory.session, None
        if session is not None:
            session.close()


def _kept(requests: Iterable[Any], sent: list[Any], answers: list[Rows]) -> Iterator[tuple[int, Any]]:
    """Yield requests with their positions. Append each to ``sent``, and a place for its answer to ``answers``."""
    for position, request in enumerate(requests):
        sent.append(request)
        answers.append([])
        yield position, request


def _finish(
    session: DriverSession, under_way: deque[tuple[int, Any, Any]], answers: list[Rows], failed: dict[int, Exception]
) -> OperationTimedOut | None:
    """Wait for the answer to the first pending request. Return its timeout if there was one."""
    position, request, answer = under_way.popleft()
    try:
        answers[position] = _rows_of(session, request, answer.result())
    except DRIVER_ERRORS as error:
        failed[position] = error
        return error if isinstance(error, OperationTimedOut) else None
    return None


def _rows_of(session: DriverSession, request: Any, result: Any) -> Rows:
    rows: Rows = session.rows_of(request, result) if result.has_more_pages else result.current_rows
    return rows

"""What all backends on one keyspace share: the session of each process, and the border where errors are translated."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any

from cassandra import OperationTimedOut

from feedstore.backends.cassandra.batches import Row, Write, atomic_request, requests_of
from feedstore.backends.cassandra.clock import process_clock
from feedstore.backends.cassandra.driver import DriverSession
from feedstore.backends.cassandra.errors import DRIVER_ERRORS, is_passing, translated, unreachable
from feedstore.backends.cassandra.memory import Memory
from feedstore.backends.cassandra.options import Settings
from feedstore.backends.cassandra.schema import prepare_schema
from feedstore.backends.cassandra.statements import Statements
from feedstore.backends.cassandra.transaction import CassandraTransaction
from feedstore.backends.cassandra.values import Rows
from feedstore.errors import BackendClosedError, FeedstoreError, ForkedClientError, StorageError, StorageTimeoutError
from feedstore.storage.session import Transaction

_MOST_AT_ONCE = 16
_MOST_REQUESTS = 2000
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0

Request = tuple[str, list[bytes]]
"""A reading statement and its values."""


class Store:
    """A keyspace that backends use together. Nothing is connected before the first request.

    Each process gets a session of its own: the driver's threads do not outlive a fork, so a child leaves its parent's
    session alone, neither using nor closing it.
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
        """What this process has: its session and what it remembers."""
        found = self._memories.get(os.getpid())
        return found if found is not None else self._first_memory()

    def _first_memory(self) -> Memory:
        own = Memory(self)
        own.leave(list(self._memories.values()))
        # Threads that come here together get the same one.
        return self._memories.setdefault(os.getpid(), own)

    def session(self) -> DriverSession:
        """Return this process's session, which is connected at the first call."""
        memory = self.memory
        return memory.session if memory.session is not None else self._connected(memory)

    def _connected(self, memory: Memory) -> DriverSession:
        with memory.lock:
            if memory.session is not None:
                return memory.session
            if self.closed:
                # A request that was under way when another thread closed: tried again, it would open a new session.
                raise self._closed_error()
            if self._owner not in (None, os.getpid()):
                raise ForkedClientError(
                    "a session that was handed in cannot be used in a forked process; connect by URL, or hand a "
                    "session in that the child has made"
                )
            session = memory.session = self._open()
            if self.closed:
                # By another thread, which found nothing to close yet.
                self.close()
                raise self._closed_error()
            return session

    def _open(self) -> DriverSession:
        try:
            connected = self._connect()
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

    def _translated(self, error: Exception) -> FeedstoreError:
        return self._closed_error() if self.closed else translated(error, self.label)

    def _closed_error(self) -> BackendClosedError:
        return BackendClosedError(f"{self.label} was closed while it was asked")

    def fetch(self, statement: str, values: list[bytes], consistency: int | None = None) -> Rows:
        """Return all rows of one reading statement: one round trip for each 5,000."""
        return self.ask(statement, values, consistency)()

    def ask(self, statement: str, values: list[bytes], consistency: int | None = None) -> Callable[[], Rows]:
        """Send a statement, and return what waits for its rows."""
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

        If its outcome is unknown, ``is_unchanged`` reads whether the condition still holds: then the transaction has
        changed nothing, and is sent again for ``retry_seconds``. Else the error is raised.
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
            f"{self.label}: a conditional write was not confirmed, and may have happened; read the key to find out"
        )

    def fetch_all(self, requests: Iterable[Request], consistency: int | None = None) -> list[Rows]:
        """Return all rows of each reading statement; up to 16 are under way at once."""
        session = self.session()
        return self._carry_out(session.bound(*request, consistency) for request in requests)

    def write(self, transaction: Transaction, writes: Iterable[Write]) -> None:
        """Add writes to the transaction of a batch, else send them."""
        if isinstance(transaction, CassandraTransaction):
            transaction.add(writes)
        else:
            self.write_now(writes)

    def write_now(self, writes: Iterable[Write]) -> None:
        """Carry writes out, also while a batch is put together. The first are under way while the last are put into
        requests.
        """
        requests = requests_of(self.session(), writes)
        for first in self._translating(requests):
            self._carry_out(chain((first,), islice(requests, _MOST_REQUESTS)))

    def write_at_once(self, writes: list[Write]) -> None:
        """Carry writes out, all or none in the end: one request, or by the journal.

        The journal takes what is larger than the servers' batches, and what they cannot log while a node dies.
        """
        session, journal = self.session(), self.memory.journal
        for request in self._translating([atomic_request(session, writes, self.settings.batch_limit)]):
            if request is None or journal.is_preferred or not self._was_carried_out(request):
                journal.carry_out(writes)

    def _was_carried_out(self, request: Any) -> bool:
        """Send a request; return whether it was answered, and not lost on the way or refused by dying nodes."""
        try:
            self.session().send(request).result()
        except DRIVER_ERRORS as error:
            if self.closed or not is_passing(error):
                raise self._translated(error) from error
            self.memory.journal.prefer()
            return False
        return True

    def _carry_out(self, requests: Iterable[Any]) -> list[Rows]:
        """Send every request, and those that nodes were away for again, until all are answered."""
        sent: list[Any] = []
        answers: list[Rows] = []
        failed = self._send(_kept(self._translating(requests), sent, answers), answers)
        self._send_again(sent, failed, answers)
        return answers

    def _send_again(self, sent: list[Any], failed: dict[int, Exception], answers: list[Rows]) -> None:
        """Send what failed until all is answered, or for ``retry_seconds`` nothing was."""
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
        """Send requests by their positions, put each answer into its place, and return what went wrong.

        After a timeout no more are sent: where nodes hang, each would take as long to fail.
        """
        session = self.session()
        under_way: deque[tuple[int, Any, Any]] = deque()
        failed: dict[int, Exception] = {}
        late: Exception | None = None
        for position, request in requests:
            if late is None and len(under_way) >= _MOST_AT_ONCE:
                late = _finish(session, under_way, answers, failed)
            if late is None:
                under_way.append((position, request, session.send(request)))
            else:
                failed[position] = late
        while under_way:
            _finish(session, under_way, answers, failed)
        return failed

    def _translating(self, requests: Iterable[Any]) -> Iterator[Any]:
        """Yield requests; what the driver raises while they are made and prepared is translated."""
        try:
            yield from requests
        except DRIVER_ERRORS as error:
            raise self._translated(error) from error

    def send_collected(self, transaction: Transaction) -> None:
        """Send the writes that a batch which is not atomic has collected so far, because a read must see them."""
        if isinstance(transaction, CassandraTransaction) and not transaction.is_atomic:
            self.write_now(transaction.taken())

    def ping(self) -> None:
        """Ask a node for an answer."""
        if not self.fetch("SELECT release_version FROM system.local WHERE key = ?", [b"local"]):
            raise StorageError(f"{self.label}: the node does not know its own version")

    def close(self) -> None:
        """Close what this process opened."""
        self.closed = True
        memory = self.memory
        session, memory.session = memory.session, None
        if session is not None:
            session.close()


def _kept(requests: Iterable[Any], sent: list[Any], answers: list[Rows]) -> Iterator[tuple[int, Any]]:
    """Yield requests with their positions, and keep them and a place for each answer."""
    for position, request in enumerate(requests):
        sent.append(request)
        answers.append([])
        yield position, request


def _finish(
    session: DriverSession, under_way: deque[tuple[int, Any, Any]], answers: list[Rows], failed: dict[int, Exception]
) -> OperationTimedOut | None:
    """Wait for the answer to the first request that is under way; return the timeout where there was none."""
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

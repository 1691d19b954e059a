"""Adjustments of the driver: retries, the log, answers that survive signals, and the event loop after a fork."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from cassandra import WriteType
from cassandra.policies import RetryPolicy

_MOST_RETRIES = 3


class IdempotentRetries(RetryPolicy):  # type: ignore[misc]
    """Retry on the next host, at most three times, for any error: every request is idempotent.

    After the session was shut down there is no retry: the driver would drop it, and its caller would wait for ever.
    """

    def __init__(self, session: Any) -> None:
        self._session = session

    def on_read_timeout(self, *arguments: Any, retry_num: int, **named: Any) -> tuple[int, None]:
        """Retry on the next host."""
        return self._next(retry_num)

    def on_write_timeout(self, *arguments: Any, retry_num: int, **named: Any) -> tuple[int, None]:
        """Retry on the next host. The write has its own timestamp, so applying it twice has no further effect.

        If the write to the batch log failed, there is no retry: every other host would choose the same failing node for
        its log.
        """
        if named.get("write_type") == WriteType.BATCH_LOG:
            return self.RETHROW, None
        return self._next(retry_num)

    def on_unavailable(self, *arguments: Any, retry_num: int, **named: Any) -> tuple[int, None]:
        """Retry on the next host, which may reach more replicas."""
        return self._next(retry_num)

    def on_request_error(self, *arguments: Any, retry_num: int, **named: Any) -> tuple[int, None]:
        """Retry on the next host."""
        return self._next(retry_num)

    def _next(self, retry_num: int) -> tuple[int, None]:
        is_over = retry_num >= _MOST_RETRIES or self._session.is_shutdown
        return (self.RETHROW if is_over else self.RETRY_NEXT_HOST), None


_PROTOCOL_LOGGER = "cassandra.protocol"
_EXPECTED = ("Unlogged batch covering", ".feedstore_")


@dataclass(frozen=True)
class _ExpectedWarnings(logging.Filter):
    """Filter that drops the warning about unlogged batches over several partitions, for feedstore's own tables only.

    Such a batch goes to a replica of all its partitions. It is ten times as fast as the single writes that the warning
    recommends.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno != logging.WARNING:
            return True
        message = record.getMessage()
        return not all(text in message for text in _EXPECTED)


def hide_expected_warnings() -> None:
    """Keep expected warnings out of the driver's log. A second call changes nothing."""
    logging.getLogger(_PROTOCOL_LOGGER).addFilter(_ExpectedWarnings())


class Answer:
    """The answer to a request that was sent. One thread waits for it.

    The driver's own ``result()`` waits for a condition variable. If a signal handler raises while that thread releases
    the condition, its lock stays taken, and the driver's event loop waits for the lock for ever. A queue has no such
    lock.
    """

    __slots__ = ("_arrived", "future")

    def __init__(self, future: Any) -> None:
        self.future = future
        self._arrived: SimpleQueue[object] = SimpleQueue()
        future.add_callbacks(self._arrived.put, self._arrived.put)

    def result(self) -> Any:
        """Wait for the answer and return it, or raise its error. The wait ends with the timeout of the request."""
        self._arrived.get()
        # A second call must not wait.
        self._arrived.put(None)
        return self.future.result()


_LIBEV = "cassandra.io.libevreactor"


def leave_inherited_loop() -> Any:
    """Make the driver start a loop of this process's own after a fork.

    Otherwise the driver would first close the parent's connections, whose locks another thread may have held at the
    fork.

    Returns:
        The parent's loop, which the caller must keep referenced, or None if there is none.
    """
    reactor: Any = sys.modules.get(_LIBEV)
    inherited = getattr(reactor, "_global_loop", None)
    if inherited is None or inherited._pid == os.getpid():
        return None
    reactor._global_loop = None
    return inherited

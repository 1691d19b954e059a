"""Where a watcher learns of changes: what a backend writes to be more than polled."""

from __future__ import annotations

import contextlib
import math
import os
import select
import threading
from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Any

from feedstore.storage.watched import Watched

EVERYTHING = None
"""What a source returns when anything may have changed: messages may have been lost, or nobody listened before."""


class TopicSource(ABC):
    """The way in which the changes of other processes reach this one. One thread waits at a time; any may wake it.

    It connects in :meth:`wait`, never before. After an error the next :meth:`wait` begins anew, and once it listens
    again, it returns :data:`EVERYTHING`: what happened meanwhile is unknown.
    """

    @abstractmethod
    def wait(self, watched: Watched[Any], seconds: float) -> Collection[bytes] | None:
        """Return the digests of topics that may have changed, at the latest after ``seconds`` or :meth:`wake`.

        Returns :data:`EVERYTHING` where it cannot know, which includes topics that it did not listen to before. Costs
        nothing while nothing happens, where the store can push. Raises feedstore's errors.
        """

    @abstractmethod
    def wake(self) -> None:
        """Let the wait that is under way return, or the next one if there is none."""

    @abstractmethod
    def close(self) -> None:
        """Close what was opened here; called when nobody waits."""


class LocalSource(TopicSource):
    """The source of a store that no other process sees: it only sleeps."""

    def __init__(self) -> None:
        self._woken = threading.Event()

    def wait(self, watched: Watched[Any], seconds: float) -> Collection[bytes] | None:
        """Sleep."""
        self._woken.wait(seconds)
        self._woken.clear()
        return ()

    def wake(self) -> None:
        """End the sleep."""
        self._woken.set()

    def close(self) -> None:
        """Nothing was opened."""


class Waker:
    """Sleeping until another thread calls, or until something comes in on a connection."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._lock = threading.Lock()
        self._is_closed = False

    def wake(self) -> None:
        """End the sleep that is under way, or the next one."""
        with self._lock:
            if not self._is_closed:
                # A pipe that is full holds a call already.
                with contextlib.suppress(BlockingIOError):
                    os.write(self._writer, b"!")

    def sleep(self, descriptor: int | None, seconds: float) -> bool:
        """Sleep for at most ``seconds``, and return whether something has come in on the file ``descriptor``."""
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        if descriptor is not None:
            poll.register(descriptor, select.POLLIN)
        ready = [found for found, _ in poll.poll(math.ceil(seconds * 1000))]
        if self._reader in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._reader, 2**16)
        return descriptor in ready

    def close(self) -> None:
        """Close the pipe; calls that come later do nothing."""
        with self._lock:
            self._is_closed = True
            os.close(self._reader)
            os.close(self._writer)


class PushedSource(TopicSource):
    """A source that sleeps until something comes in on a connection of its own, which is made in :meth:`wait`."""

    def __init__(self) -> None:
        self._waker = Waker()

    def wake(self) -> None:
        """End the sleep."""
        self._waker.wake()

    def close(self) -> None:
        """Close the connection."""
        self._disconnect()
        self._waker.close()

    @abstractmethod
    def _disconnect(self) -> None:
        """Close the connection if there is one."""

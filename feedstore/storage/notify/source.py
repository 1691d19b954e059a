"""Sources of changes: the interface that a backend implements to push changes instead of polling for them."""

from __future__ import annotations

import contextlib
import math
import os
import select
import threading
from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Any

from feedstore.storage.notify.registry import TopicRegistry

ALL_TOPICS = None
"""The result of a source when any topic may have changed: messages may have been lost, or a topic is new."""


class TopicSource(ABC):
    """Receives the changes that other processes publish. One thread waits at a time; any thread may wake it.

    A source connects in :meth:`wait`, never earlier. After an error, the next :meth:`wait` connects again, and returns
    :data:`ALL_TOPICS` once it receives changes again, because the changes between the two are unknown.
    """

    @abstractmethod
    def wait(self, registry: TopicRegistry[Any], seconds: float) -> Collection[bytes] | None:
        """Return the digests of topics that may have changed, after ``seconds`` or :meth:`wake` at the latest.

        Where the store can push, an idle wait sends nothing.

        Returns:
            The digests, or :data:`ALL_TOPICS` if the source cannot know them. A topic counts as changed if the source
            began to receive its changes only after it was added to the ``registry``.

        Raises:
            StorageError: The store does not answer. The dispatcher waits and calls again.
        """

    @abstractmethod
    def wake(self) -> None:
        """End the current wait, or the next one if no thread waits."""

    @abstractmethod
    def close(self) -> None:
        """Close the connections of the source. Called when no thread waits."""


class LocalSource(TopicSource):
    """The source of a store that belongs to one process: it only sleeps until it is woken."""

    def __init__(self) -> None:
        self._woken = threading.Event()

    def wait(self, registry: TopicRegistry[Any], seconds: float) -> Collection[bytes] | None:
        """Sleep."""
        self._woken.wait(seconds)
        self._woken.clear()
        return ()

    def wake(self) -> None:
        """End the sleep."""
        self._woken.set()

    def close(self) -> None:
        """Do nothing: the source has no connection."""


class Waker:
    """A sleep that ends when another thread wakes it, or when a connection becomes readable."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._lock = threading.Lock()
        self._is_closed = False

    def wake(self) -> None:
        """End the current sleep, or the next one."""
        with self._lock:
            if not self._is_closed:
                # A full pipe wakes the sleeper already.
                with contextlib.suppress(BlockingIOError):
                    os.write(self._writer, b"!")

    def sleep(self, descriptor: int | None, seconds: float) -> bool:
        """Sleep for at most ``seconds``, and return whether the file ``descriptor`` is readable."""
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
        """Close the pipe. A later :meth:`wake` does nothing."""
        with self._lock:
            self._is_closed = True
            os.close(self._reader)
            os.close(self._writer)


class PushedSource(TopicSource):
    """A source that sleeps until its own connection becomes readable. Subclasses connect in :meth:`wait`."""

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

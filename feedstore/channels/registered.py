"""The classes of listeners and queues that repositories know by themselves."""

from __future__ import annotations

from typing import Any

from feedstore.channels.class_registry import ClassRegistry
from feedstore.channels.durable_queue import DurableQueue
from feedstore.channels.in_memory_queue import InMemoryQueue
from feedstore.channels.listener import MessageQueueListener
from feedstore.channels.queue import Queue
from feedstore.storage.backend import Backend


def listener_classes() -> ClassRegistry[MessageQueueListener]:
    """Return a new registry that knows :class:`MessageQueueListener`; register your own classes with it."""
    classes: ClassRegistry[MessageQueueListener] = ClassRegistry("listener")
    classes.register(MessageQueueListener, lambda listener: {"listener_id": listener.id})
    return classes


def queue_classes(backend: Backend | None = None) -> ClassRegistry[Queue]:
    """Return a new registry that knows :class:`InMemoryQueue`, and with a backend :class:`DurableQueue` on it.

    A queue in memory comes back empty, with the options that it had.
    """
    classes: ClassRegistry[Queue] = ClassRegistry("queue")
    classes.register(InMemoryQueue, lambda queue: {"max_length": queue.max_length, "when_full": queue.when_full})
    if backend is not None:

        def durable(**configuration: Any) -> DurableQueue:
            return DurableQueue(backend.queue(**configuration))

        classes.register(DurableQueue, DurableQueue.configuration, durable)
    return classes

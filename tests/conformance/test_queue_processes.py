"""A long queue that two processes empty, on every backend that processes share."""

from __future__ import annotations

import os
from functools import partial
from itertools import chain

import pytest

import soak
from feedstore.errors import NoMessagesException
from feedstore.storage import Backend
from feedstore.storage.timeline_queue import TimelineQueueStorage
from feedstore.testing.processes import Child
from stores import OpenBackend

SHARED = ["sqlite", "postgresql", "redis", "redis_cluster"]


def drain(backend: Backend, kind: type[TimelineQueueStorage] | None, barrier: int) -> list[int]:
    """Receive and acknowledge one by one until nothing is left."""
    queue = backend.queue() if kind is None else kind(backend=backend)
    os.read(barrier, 1)
    found = []
    try:
        while True:
            receipt, message = queue.receive()
            found.append(message)
            assert queue.ack(receipt) is True
    except NoMessagesException:
        return found


def emptied_by_two(open_backend: OpenBackend, kind: type[TimelineQueueStorage] | None, count: int) -> list[list[int]]:
    """Push so many messages, let two processes receive them, and return the messages of each."""
    first = open_backend()
    queue = first.queue() if kind is None else kind(backend=first)
    for start in range(0, count, 500):
        queue.push_many(range(start, min(start + 500, count)))
    reader, writer = os.pipe()
    children = [Child(partial(lambda: drain(open_backend(first.namespace), kind, reader))) for _ in range(2)]
    os.write(writer, b"++")
    parts: list[list[int]] = [child.result(280) for child in children]
    os.close(reader)
    os.close(writer)
    assert queue.count() == 0
    return parts


@pytest.mark.soak
@pytest.mark.parametrize("backend_kind", SHARED)
def test_two_processes_get_each_message_once(open_backend: OpenBackend) -> None:
    count = soak.count(1_000, 10_000)
    parts = emptied_by_two(open_backend, None, count)
    assert sorted(chain.from_iterable(parts)) == list(range(count))
    assert all(part == sorted(part) for part in parts)


@pytest.mark.soak
@pytest.mark.parametrize("backend_kind", ["sqlite", "redis"])
def test_so_they_do_of_a_queue_over_timelines(open_backend: OpenBackend) -> None:
    count = soak.count(200, 2_000)
    parts = emptied_by_two(open_backend, TimelineQueueStorage, count)
    assert sorted(chain.from_iterable(parts)) == list(range(count))

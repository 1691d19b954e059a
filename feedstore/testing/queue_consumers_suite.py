"""The contract of queues that several consume: threads and processes, some of which die."""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import partial
from itertools import chain
from typing import Any

import pytest

from feedstore.errors import BackendClosedError, NoMessagesException
from feedstore.storage import Backend
from feedstore.testing.processes import Child, run_in_threads
from feedstore.testing.queue_suite import HIDDEN_SECONDS, drained
from feedstore.testing.suite import OpenBackend, Suite
from feedstore.testing.waiting import patience


class QueueConsumersSuite(Suite):
    """Several consumers, threads and processes, that wait, and that die."""

    def test_a_waiting_receive_is_woken(self, open_backend: OpenBackend, backend: Backend) -> None:
        """Q7: by a push through another backend on the same store."""
        other = open_backend(backend.namespace)
        # Nothing but the push ends this wait within the test.
        waiting = backend.queue(visibility_timeout=3 * patience.seconds)
        looked = threading.Event()

        def seconds_to_next() -> float:
            looked.set()
            return waiting.visibility_timeout

        setattr(waiting, "_seconds_to_next", seconds_to_next)  # noqa: B010 - it detects the begin of the wait

        def receive() -> Any:
            start = time.monotonic()
            message = waiting.receive(1.5 * patience.seconds)[1]
            assert time.monotonic() - start < patience.seconds
            return message

        def push() -> None:
            assert looked.wait(patience.seconds)
            other.queue("another").push("noise")
            other.queue().push("woken")

        assert run_in_threads([receive, push])[0] == "woken"

    def test_many_wait_and_each_message_is_given_once(self, backend: Backend) -> None:
        """Q2, Q7: a consumer that is woken without a message continues to wait."""
        queue = backend.queue(visibility_timeout=3 * patience.seconds)

        def receive() -> Any:
            return queue.receive(3 * patience.seconds)[1]

        def push() -> None:
            for number in range(4):
                queue.push(number)

        found = run_in_threads([*[receive] * 4, push])
        if backend.abilities.exclusive_claims:
            assert sorted(found[:4]) == [0, 1, 2, 3]
        assert set(found[:4]) <= {0, 1, 2, 3}

    def test_closing_ends_a_wait(self, backend: Backend) -> None:
        """Close, Q7: a waiting receive raises BackendClosedError immediately."""

        def receive() -> None:
            with pytest.raises(BackendClosedError):
                backend.queue().receive(3 * patience.seconds)

        def close() -> None:
            # The receiver waits once its subscription is there.
            while not backend.session.dispatcher().registry:
                continue
            backend.close()

        run_in_threads([receive, close])

    def test_threads_get_each_message_once(self, backend: Backend) -> None:
        """Q2: without a dying consumer, every message is received exactly once."""
        if not backend.abilities.exclusive_claims:
            pytest.skip("two that receive in the same instant may get the same message")
        queue = backend.queue()
        queue.push_many(range(40))
        found = run_in_threads([partial(drained, queue)] * 4)
        assert sorted(chain.from_iterable(found)) == list(range(40))
        assert all(part == sorted(part) for part in found)
        assert queue.count() == 0

    def test_pushes_at_once_keep_the_bound(self, backend: Backend) -> None:
        """Q5, Q3: each push is there, those of one thread in their order."""
        queue = backend.queue()

        def push(thread: int) -> None:
            for number in range(8):
                queue.push([thread, number])

        run_in_threads([partial(push, thread) for thread in range(4)])
        found = drained(queue)
        assert len(found) == 32
        for thread in range(4):
            assert [number for who, number in found if who == thread] == list(range(8))

    def test_processes_get_each_message_once(self, open_backend: OpenBackend, backend: Backend) -> None:
        """Q2: between processes, too."""
        if not (backend.abilities.shared_between_processes and backend.abilities.exclusive_claims):
            pytest.skip("the store belongs to one process, or has no exclusive claims")
        backend.queue().push_many(range(40))

        def drain() -> list[Any]:
            return drained(open_backend(backend.namespace).queue())

        children = [Child(drain) for _ in range(2)]
        found = [child.result() for child in children]
        assert sorted(chain.from_iterable(found)) == list(range(40))

    def test_a_consumer_that_is_killed_loses_nothing(self, open_backend: OpenBackend, backend: Backend) -> None:
        """Q1: the messages that a dead consumer had received are redelivered to others."""
        if not backend.abilities.shared_between_processes:
            pytest.skip("the store belongs to one process")
        backend.queue().push_many([1, 2])
        reader, writer = os.pipe()

        def die() -> None:
            open_backend(backend.namespace).queue(visibility_timeout=HIDDEN_SECONDS).receive()
            os.write(writer, b"+")
            os.kill(os.getpid(), signal.SIGKILL)

        child = Child(die)
        assert os.read(reader, 1) == b"+"
        with pytest.raises(AssertionError, match=str(int(signal.SIGKILL))):
            child.result()
        os.close(reader)
        os.close(writer)
        queue = backend.queue()
        assert sorted([queue.receive(patience.seconds)[1], queue.receive(patience.seconds)[1]]) == [1, 2]

    def test_a_child_goes_on_with_the_queue(self, backend: Backend) -> None:
        """Decision 13: with waiting too, after a fork while the parent's dispatcher runs."""
        queue = backend.queue()
        with pytest.raises(NoMessagesException):
            queue.receive(0.05)

        def child() -> Any:
            with pytest.raises(NoMessagesException):
                backend.queue("child").receive(0.05)
            backend.queue("child").push("child")
            return backend.queue("child").receive(patience.seconds)[1]

        assert Child(child).result() == "child"
        queue.push("parent")
        assert queue.receive(patience.seconds)[1] == "parent"

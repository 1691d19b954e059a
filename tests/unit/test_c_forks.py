"""Waiting and watching in a child that was forked past Python's hooks, as uWSGI forks its workers."""

from __future__ import annotations

import asyncio
import ctypes
import os
import threading
import time
from typing import Any

import pytest

import forking
from feedstore import Activity
from feedstore.live import LiveTimelines
from feedstore.storage import Backend
from feedstore.testing.notify_suite import Received
from feedstore.testing.processes import Child
from forking import PLAIN_FORKS, fork_in_c
from polling import poll_until
from stores import OpenBackend

pytestmark = PLAIN_FORKS
SECONDS = 20.0
# SQLite's connections are not for a child that was forked so: the backend says so (tests/backends/sql/runtime).
KINDS = pytest.mark.parametrize("backend_kind", ["memory", "postgresql", "redis", "cassandra"])


@pytest.fixture(autouse=True)
def fork_as_uwsgi(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let children be forked as uWSGI does it with threads: Python repairs its own locks, and calls no hook before."""

    def fork_as_uwsgi() -> int:
        process = fork_in_c()
        if process == 0:
            ctypes.pythonapi.PyOS_AfterFork_Child()
        return process

    monkeypatch.setattr("feedstore.testing.processes._fork", fork_as_uwsgi)


def test_the_parent_forks_only_while_its_other_threads_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a child of these tests may wait forever for a thread of its parent."""
    ended, parent = threading.Event(), os.getpid()

    def run() -> None:
        while not ended.is_set():
            time.process_time()

    def fork_and_end() -> int:
        process = fork_in_c()
        if process == 0:
            os._exit(3 if os.getppid() == parent else 4)
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

    running = threading.Thread(target=run)
    running.start()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(forking, "_SECONDS", 0.2)
            with pytest.raises(TimeoutError, match="all threads sleep"):
                fork_and_end()
    finally:
        ended.set()
        running.join()
    assert fork_and_end() == 3


@KINDS
def test_a_child_watches_and_is_notified(backend: Backend) -> None:
    received = Received()
    notifier = backend.notifier()
    timelines = backend.timeline_storage(notifier=notifier)
    with notifier.subscribe(received, recheck_seconds=None) as subscription:
        subscription.add(["parent"])
        for _ in range(2):
            # The second is for a thread that is connected and waits.
            notifier.publish(["parent"])
            received.wait_for("parent")

        def child() -> list[set[str]]:
            mine = Received()
            with notifier.subscribe(mine, recheck_seconds=None) as own:
                own.add(["child"])
                timelines.add("child", 1)
                found = [mine.wait_for("child")]
            # An inherited subscription begins with no keys.
            assert subscription.keys() == set()
            subscription.add(["inherited"])
            timelines.add("inherited", 1)
            # Keys that the parent had received but not read are in the child's copy of the list.
            found.append(received.wait_for("inherited") - {"parent"})
            subscription.close()
            return found

        assert Child(child).result() == [{"child"}, {"inherited"}]
        timelines.add("parent", 1)
        received.wait_for("parent")
        assert subscription.keys() == {"parent"}


@KINDS
def test_a_child_that_waits_for_a_message_gets_it(backend: Backend) -> None:
    """While a receive of the parent waits, and holds its locks."""
    received: list[Any] = []
    waiting = threading.Thread(target=lambda: received.append(backend.queue("parent").receive(SECONDS)[1]))
    waiting.start()
    # A fork during an import leaves the module's lock to no thread.
    poll_until(lambda: bool(backend.session.dispatcher().registry), SECONDS, "the wait")

    def child() -> Any:
        queue = backend.queue("child")
        pusher = threading.Timer(0.2, queue.push, ["for the child"])
        pusher.start()
        return queue.receive(SECONDS)[1]

    assert Child(child).result() == "for the child"
    backend.queue("parent").push("for the parent")
    waiting.join(SECONDS)
    assert received == ["for the parent"]


@KINDS
def test_a_child_reads_pages_and_begins_streams(backend: Backend, backend_kind: str) -> None:
    live = LiveTimelines(backend)
    timelines, activities = backend.timeline_storage(notifier=backend.notifier()), backend.activity_storage()

    async def see_one() -> int:
        subscriber = live.subscribe("key", None)
        while b"ready" not in (await subscriber.next() or b""):
            continue
        activity = Activity("ann", "like", "photo:7")
        activities.add(activity)
        timelines.add("key", activity)
        while b"photo:7" not in (await subscriber.next() or b""):
            continue
        return len((await live.read_page("key", 5))["items"])

    assert asyncio.run(see_one()) == 1
    assert Child(lambda: asyncio.run(see_one())).result() == 2
    # In memory the child writes to a copy.
    assert asyncio.run(see_one()) == (2 if backend_kind == "memory" else 3)
    asyncio.run(live.close())


@KINDS
def test_a_closed_backend_stays_closed_in_a_child(open_backend: OpenBackend) -> None:
    backend = open_backend()
    subscription = backend.notifier().subscribe(Received())
    subscription.add(["key"])

    def child() -> bool:
        subscription.close()
        backend.close()
        return subscription.closed

    assert Child(child).result() is True
    assert subscription.closed is False

"""The executor of threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from fanout.failing import Reports, Unlucky, import_followers
from feedstore import connect
from feedstore.errors import InvalidValueError, StorageUnavailableError
from feedstore.fanout import FeedManager, Retries, ThreadExecutor
from feedstore.storage import Backend
from feedstore.testing.manager_suite import CopyFeed, home, post
from feedstore.testing.processes import Child
from polling import poll_until


@pytest.fixture
def backend() -> Iterator[Backend]:
    with connect("memory://", metrics=Reports()) as backend:
        yield backend


def test_threads_slow_publishers_down_and_finish_before_the_end(backend: Backend) -> None:
    release = threading.Event()
    with ThreadExecutor(1, max_waiting=2) as executor:
        manager = Unlucky(backend, executor=executor)
        import_followers(manager, 9)
        manager.failure = lambda job: None if release.wait(60) else ZeroDivisionError()
        published: list[int] = []

        def publish() -> None:
            for number in range(6):
                manager.add_user_activity("ann", post(number))
                published.append(number)

        thread = threading.Thread(target=publish)
        thread.start()
        # Without the bound, the number of waiting jobs passes 2 before the first look.
        poll_until(lambda: len(executor._process.waiting) == 2, 60, "the wait of the publisher")
        assert len(published) < 4
        release.set()
        thread.join(60)
        executor.wait()
        assert all(len(home(manager, f"user:{number}")) == 6 for number in range(9))
        manager.add_user_activity("ann", post(6))
    assert len(home(manager, "user:8")) == 7
    executor.close()
    with pytest.raises(InvalidValueError, match="is closed"):
        manager.add_user_activity("ann", post(7))


def test_a_dead_letter_waits_for_its_store(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadExecutor(1, retries=Retries(1)) as executor:
        manager = Unlucky(backend, executor=executor)
        manager.failure = lambda job: ZeroDivisionError("poison")
        add, refused = manager.dead_letters.add, threading.Event()

        def refuse_once(*arguments: Any) -> Any:
            if refused.is_set():
                return add(*arguments)
            refused.set()
            raise StorageUnavailableError("away")

        monkeypatch.setattr(manager.dead_letters, "add", refuse_once)
        manager.add_user_activity("ann", post(1))
        executor.wait()
    reports: Any = backend.metrics
    assert [one[2] for one in reports.jobs] == ["released", "dead"]
    assert manager.dead_letters.count() == 1


def test_threads_run_all_jobs_of_a_backend_that_was_closed_before_the_executor(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    with ThreadExecutor(1, retries=Retries(1)) as executor:
        manager, publisher = Unlucky(backend, executor=executor), threading.Event()
        manager.failure = lambda job: None if publisher.wait(60) else ZeroDivisionError()
        for number in range(3):
            manager.add_user_activity("ann", post(number))
        backend.close()
        publisher.set()
        poll_until(lambda: not executor._process.waiting, 60, "the end of the jobs")
        executor.wait()
    reports: Any = backend.metrics
    assert [one[2] for one in reports.jobs] == ["dead"] * 3
    assert len([one for one in caplog.messages if "cannot be stored as a dead letter" in one]) == 3


def test_threads_run_in_a_forked_process(backend: Backend) -> None:
    with ThreadExecutor(1) as executor:
        manager = Unlucky(backend, executor=executor)
        import_followers(manager, 3)
        manager.add_user_activity("ann", post(0))
        executor.wait()

        def add() -> int:
            manager.add_user_activity("ann", post(1))
            executor.wait()
            # Memory is not shared, so the child reads its own feeds.
            return len(home(manager, "user:2"))

        assert Child(add).result() == 2


def test_threads_of_a_forked_process_share_its_jobs(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first calls after a fork are at the same time, and the parent may have held the lock."""
    with ThreadExecutor(1) as executor:
        manager = Unlucky(backend, executor=executor)
        import_followers(manager, 1)
        held = executor._process.changed
        with held, monkeypatch.context() as patched:
            patched.setattr(os, "getpid", lambda: -1)
            start = threading.Barrier(4)

            def publish(number: int) -> None:
                start.wait(60)
                manager.add_user_activity("ann", post(number))

            threads = [threading.Thread(target=publish, args=(number,)) for number in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            executor.wait()
            assert len(home(manager, "user:0")) == 4
            executor.close()


def test_threads_do_not_deliver_an_activity_that_was_removed(backend: Backend) -> None:
    release = threading.Event()
    with ThreadExecutor(1) as executor:
        manager = Unlucky(backend, executor=executor, feed_classes={"copies": CopyFeed})
        import_followers(manager, 1)
        manager.failure = lambda job: None if release.wait(60) else ZeroDivisionError()
        manager.add_user_activity("ann", post(1))
        FeedManager(backend, feed_classes={"copies": CopyFeed}).remove_user_activity("ann", post(1))
        release.set()
    assert manager.get_feed("copies", "user:0").count() == 0

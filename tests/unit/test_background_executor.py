"""The executor of the Cassandra driver's background tasks."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError

import pytest

from feedstore.backends.cassandra.executor import BackgroundExecutor

SECONDS = 20.0


def test_tasks_are_carried_out_up_to_the_number_of_threads_at_a_time() -> None:
    executor = BackgroundExecutor(2)
    both = threading.Barrier(2)
    meeting = [executor.submit(both.wait, SECONDS) for _ in range(2)]
    assert sorted(future.result(SECONDS) for future in meeting) == [0, 1]
    threads = {executor.submit(threading.current_thread).result(SECONDS) for _ in range(10)}
    assert 1 <= len(threads) <= 2
    assert all(thread.daemon for thread in threads)
    executor.shutdown()


def test_an_error_is_raised_from_the_future_and_ends_no_thread() -> None:
    executor = BackgroundExecutor(1)
    with pytest.raises(ZeroDivisionError):
        executor.submit(lambda: 1 / 0).result(SECONDS)
    assert executor.submit(max, [3, 5], key=lambda number: -number).result(SECONDS) == 3
    executor.shutdown()


def test_a_shutdown_carries_out_what_was_submitted_and_refuses_the_rest() -> None:
    executor = BackgroundExecutor(1)
    begin = threading.Event()
    first, second = executor.submit(begin.wait, SECONDS), executor.submit(int, "7")
    # The driver may shut its cluster down in a task.
    executor.submit(executor.shutdown)
    begin.set()
    assert (first.result(SECONDS), second.result(SECONDS)) == (True, 7)
    executor.shutdown()
    with pytest.raises(RuntimeError, match="shut down"):
        executor.submit(int)


def test_waiting_tasks_are_cancelled() -> None:
    executor = BackgroundExecutor(1)
    runs, may_end = threading.Event(), threading.Event()

    def task() -> bool:
        runs.set()
        return may_end.wait(SECONDS)

    running = executor.submit(task)
    assert runs.wait(SECONDS)
    waiting = [executor.submit(int) for _ in range(3)]
    assert waiting[0].cancel()
    executor.shutdown(wait=False, cancel_futures=True)
    may_end.set()
    executor.shutdown()
    assert running.result(SECONDS) is True
    for future in waiting:
        with pytest.raises(CancelledError):
            future.result(SECONDS)


def test_a_task_whose_thread_cannot_start_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    executor = BackgroundExecutor(1)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="start new thread"):
            executor.submit(pytest.fail, "the refused task was carried out")
    assert executor.submit(int, "7").result(SECONDS) == 7
    executor.shutdown()

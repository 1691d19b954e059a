"""Executors in one process: workers of a queue, and failures of jobs on threads."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fanout.failing import NO_DELAY, Reports, Unlucky, import_followers
from feedstore import connect
from feedstore.errors import InvalidTypeError, InvalidValueError, QueueFull, StorageUnavailableError
from feedstore.fanout import (
    FanoutPriority,
    FeedManager,
    InlineExecutor,
    Job,
    JobOperation,
    JobOutcome,
    QueueExecutor,
    Retries,
    ThreadExecutor,
    Worker,
)
from feedstore.ids import id_to_text
from feedstore.storage import Backend
from feedstore.testing.manager_suite import home, post
from polling import poll_until


@pytest.fixture
def backend() -> Iterator[Backend]:
    with connect("memory://", metrics=Reports()) as backend:
        yield backend


@pytest.mark.parametrize("kind", ["threads", "queue"])
def test_a_job_that_always_fails_does_not_stop_the_others(backend: Backend, kind: str) -> None:
    threads = ThreadExecutor(2, retries=NO_DELAY) if kind == "threads" else None
    manager = Unlucky(backend, executor=threads or QueueExecutor(backend))
    import_followers(manager, 5)
    import_followers(manager, 5, "eve")
    bad, good, flaky = post(1), post(2, "eve"), post(3)
    failed: list[Job] = []

    def failure(job: Job) -> BaseException | None:
        if job.activities == (bad.id,) and job.step == 1:
            return ZeroDivisionError("poison")
        if job.activities == (flaky.id,) and len(failed) < 2:
            failed.append(job)
            return StorageUnavailableError("away")
        return None

    manager.failure = failure
    for one in (bad, good, flaky):
        manager.add_user_activity(str(one.actor), one)
    if threads is None:
        Worker(manager, concurrency=2, retries=NO_DELAY).run(until_empty=True)
    else:
        threads.close()
    assert [home(manager, f"user:{number}") for number in (4, 2)] == [[flaky, good, bad], [flaky, good]]
    (letter,) = manager.dead_letters.list()
    assert (letter.error, letter.attempts, letter.job["step"]) == ("ZeroDivisionError: poison", 3, 1)
    reports: Any = backend.metrics
    assert reports.jobs.count(("add", "low", "dead")) == 1
    assert [one[2] for one in reports.jobs].count("retried") == 4
    assert manager.dead_letters.count() == 1
    del manager.failure
    manager.executor = InlineExecutor()
    assert (manager.replay(letter.key), manager.replay(letter.key), list(manager.dead_letters)) == (True, False, [])
    assert home(manager, "user:0") == home(manager, "user:2") == [flaky, good, bad]


def test_a_replay_keeps_the_letter_of_a_job_that_fails_again(backend: Backend) -> None:
    class Failing(InlineExecutor):
        def submit(self, manager: Any, job: Job) -> None:
            manager.dead_letters.add(job.to_dict(), ZeroDivisionError("poison"), 1)

    manager = FeedManager(backend, executor=Failing())
    manager.add_user_activity("ann", post(1))
    (first,) = manager.dead_letters
    assert manager.replay(first.key) is True
    (second,) = manager.dead_letters
    assert (second.key, second.job, second.failed_at > first.failed_at) == (first.key, first.job, True)


@pytest.mark.parametrize("kind", ["threads", "queue"])
def test_defective_metrics_lose_no_job(backend: Backend, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise ZeroDivisionError("metrics")

    monkeypatch.setattr(backend.metrics, "on_job", refuse)
    threads = ThreadExecutor(1) if kind == "threads" else None
    manager = FeedManager(backend, executor=threads or QueueExecutor(backend), fanout_chunk_size=1)
    import_followers(manager, 3)
    manager.add_user_activity("ann", post(1))
    if threads is None:
        Worker(manager).run(until_empty=True)
    else:
        threads.close()
    assert all(home(manager, f"user:{number}") == [post(1)] for number in range(3))


def test_a_worker_runs_higher_priorities_first_and_starves_none(backend: Backend) -> None:
    manager = Unlucky(backend, executor=QueueExecutor(backend))
    ran: list[str] = []

    def failure(job: Job) -> BaseException | None:
        ran.append(str(job.priority))
        return None

    manager.failure = failure
    for priority in reversed(FanoutPriority):
        for number in range(20):
            job = Job(operation=JobOperation.ADD, manager="fanout", priority=priority, users=(f"user:{number}",))
            manager.executor.submit(manager, job)
    Worker(manager, concurrency=1).run(until_empty=True)
    assert len(ran) == 60
    assert ran[:7] == ["high"] * 7
    assert 3 <= ran[:40].count("low") <= 6
    assert ran.index("normal") > 20


def test_low_priority_leaves_a_thread_free(backend: Backend) -> None:
    manager = Unlucky(backend, executor=QueueExecutor(backend))
    running, release, high = threading.Semaphore(0), threading.Event(), threading.Event()

    def failure(job: Job) -> BaseException | None:
        if job.priority is FanoutPriority.HIGH:
            high.set()
        else:
            running.release()
            assert release.wait(60)
        return None

    manager.failure = failure
    for _ in range(5):
        manager.executor.submit(manager, Job(operation=JobOperation.ADD, manager="fanout", priority=FanoutPriority.LOW))
    worker = Worker(manager, concurrency=3)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        assert all(running.acquire(timeout=60) for _ in range(2))
        urgent = Job(operation=JobOperation.ADD, manager="fanout", priority=FanoutPriority.HIGH)
        manager.executor.submit(manager, urgent)
        assert high.wait(60)
    finally:
        worker.stop()
        release.set()
        thread.join(60)
    assert not thread.is_alive()


def test_a_message_that_is_no_job_becomes_a_dead_letter(backend: Backend) -> None:
    executor = QueueExecutor(backend)
    manager = FeedManager(backend, executor=executor)
    job = Job(operation=JobOperation.ADD, manager="other").to_dict()
    for message in ("hello", {"version": 99}, job, {**job, "id": "x" * 2000}, {"id": [1], "step": {}}):
        executor.queues[FanoutPriority.NORMAL].push(message)
    worker = Worker(manager, retries=NO_DELAY)
    worker.run(until_empty=True)
    errors = sorted(one.error for one in manager.dead_letters)
    assert [error.partition(":")[0] for error in errors] == ["InvalidTypeError"] + ["InvalidValueError"] * 4
    assert worker.outcomes == {JobOutcome.DEAD: 5}
    assert executor.counts() == dict.fromkeys(FanoutPriority, 0)
    assert manager.dead_letters.list(1)[0].to_dict()["attempts"] == 1
    for letter in manager.dead_letters:
        if "manager" not in letter.job:
            with pytest.raises((InvalidTypeError, InvalidValueError)):
                manager.replay(letter.key)
    letter = manager.dead_letters.add({"id": "\ud800"}, ValueError("\ud800"), 1)
    assert manager.dead_letters.get(letter.key) == letter
    assert manager.dead_letters.add({"id": "\ud800"}, ValueError("\ud800"), 2).key == letter.key
    assert (letter.job, letter.error) == (r"{'id': '\ud800'}", r"ValueError: \ud800")


def test_a_damaged_message_becomes_a_dead_letter(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = QueueExecutor(backend, visibility_timeout=0.01)
    manager = FeedManager(backend, executor=executor)
    manager.follow_user("bob", "ann")
    manager.add_user_activity("ann", post(1))
    manager.add_user_activity("ann", post(2))
    space: Any = backend.session.space  # type: ignore[attr-defined]
    bodies = space.queues["fanout-normal"].bodies
    bodies[min(bodies)] = b"\xff"
    worker = Worker(manager, retries=Retries(1))
    with monkeypatch.context() as patch:
        patch.setattr(manager.dead_letters, "add", unavailable)
        assert [one.message["activities"] for one in worker._received()] == [[id_to_text(post(2).id)]]
    assert executor.counts()[FanoutPriority.NORMAL] == 2
    manager.executor = QueueExecutor(backend)
    worker = Worker(manager, retries=Retries(1))
    worker.run(until_empty=True)
    assert worker.outcomes == {JobOutcome.DONE: 1, JobOutcome.DEAD: 1}
    (letter,) = manager.dead_letters
    assert (letter.job, letter.error.partition(":")[0]) == ("ff", "StoredDataError")
    assert home(manager, "bob") == [post(2)]


def unavailable(*arguments: Any) -> Any:
    raise StorageUnavailableError("away")


def test_a_job_stays_in_its_queue_while_the_store_fails(backend: Backend) -> None:
    executor = QueueExecutor(backend)
    manager = Unlucky(backend, executor=executor)
    manager.failure = lambda job: StorageUnavailableError("away")
    manager.add_user_activity("ann", post(1))
    worker = Worker(manager, retries=NO_DELAY)
    thread = threading.Thread(target=worker.run)
    thread.start()
    poll_until(lambda: worker.outcomes[JobOutcome.RELEASED] == 1, 60, "the end of the attempts")
    worker.stop()
    thread.join(60)
    assert worker.outcomes == {JobOutcome.RETRIED: 2, JobOutcome.RELEASED: 1}
    assert (executor.counts()[FanoutPriority.NORMAL], manager.dead_letters.count()) == (1, 0)


def test_a_job_that_kills_its_worker_becomes_a_dead_letter(backend: Backend) -> None:
    """Runs that fail, or that the store interrupts, are not counted."""
    executor = QueueExecutor(backend, visibility_timeout=0.01)
    manager = Unlucky(backend, executor=executor)
    manager.follow_user("bob", "ann")
    ends: list[BaseException] = [SystemExit(), StorageUnavailableError("away"), *(SystemExit() for _ in range(9))]
    manager.failure = lambda job: ends.pop(0)
    manager.add_user_activity("ann", post(1))
    worker = Worker(manager, retries=Retries(1))
    deliveries = 0
    while executor.counts()[FanoutPriority.NORMAL]:
        for delivery in worker._received():
            deliveries += 1
            with contextlib.suppress(SystemExit):
                worker._run(delivery)
    # Five that kill, the one that the store interrupts, and the one that becomes a dead letter.
    assert deliveries == 7
    (letter,) = manager.dead_letters
    assert "4 repeated runs of the job did not end" in letter.error
    assert list(manager.dead_letters._crashes.keys()) == []
    del manager.failure
    assert manager.replay(letter.key) is True
    worker.run(until_empty=True)
    assert home(manager, "bob") == [post(1)]


def test_a_full_queue_refuses_publishers(backend: Backend) -> None:
    manager = FeedManager(backend, executor=QueueExecutor(backend, max_length=1))
    manager.add_user_activity("ann", post(1))
    with pytest.raises(QueueFull):
        manager.add_user_activity("ann", post(2))
    Worker(manager).run(until_empty=True)
    manager.add_user_activity("ann", post(2))


def test_a_repeated_job_submits_its_next_page_once(backend: Backend) -> None:
    executor = QueueExecutor(backend)
    manager = Unlucky(backend, executor=executor)
    import_followers(manager, 9)
    deed = post(1)
    manager.add_user_activity("ann", deed)
    jobs = [Job.from_dict(executor.queues[FanoutPriority.NORMAL].pop())]
    for job in jobs:
        for _ in range(2):
            manager.run_job(job, jobs.append)
    assert [one.step for one in jobs] == [0, 1, 2, 3, 4]
    assert all(home(manager, f"user:{number}") == [deed] for number in range(9))
    assert list(manager._progress.keys()) == []


@pytest.mark.parametrize("kind", ["threads", "queue"])
def test_a_fan_out_that_always_fails_tries_each_page_a_few_times(backend: Backend, kind: str) -> None:
    """Each attempt submits the next page at most once, or the number of jobs would grow with each page."""
    pages, runs = 8, 0

    class Broken(FeedManager):
        fanout_chunk_size = 1

        def _add(self, job: Job, readers: Any) -> None:
            nonlocal runs
            runs += 1
            assert runs <= pages * NO_DELAY.attempts, "jobs multiply"
            raise ZeroDivisionError("poison")

    threads = ThreadExecutor(1, retries=NO_DELAY) if kind == "threads" else None
    manager = Broken(backend, executor=threads or QueueExecutor(backend))
    import_followers(manager, pages)
    manager.add_user_activity("ann", post(1))
    if threads is None:
        Worker(manager, concurrency=1, retries=NO_DELAY).run(until_empty=True)
    else:
        threads.close()
    assert runs == pages * NO_DELAY.attempts
    assert sorted(letter.job.get("step", 0) for letter in manager.dead_letters) == list(range(pages))
    following: list[Job] = []
    for letter in manager.dead_letters.list():
        FeedManager(backend).run_job(Job.from_dict(letter.job), following.append)
    assert following == []
    assert all(home(manager, f"user:{number}") == [post(1)] for number in range(pages))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda manager: Worker(), "pass one or more feed managers"),
        (lambda manager: Worker(FeedManager(manager.backend)), "must share one QueueExecutor"),
        (lambda manager: Worker(manager, FeedManager(manager.backend)), "must share one QueueExecutor"),
        (lambda manager: Worker(manager, manager), "the same name"),
        (lambda manager: Worker(manager, concurrency=0), "concurrency is 0"),
        (lambda manager: Worker(manager, retries=Retries(9)), "more than half of the visibility timeout of 120"),
        (lambda manager: Retries(attempts=0), "attempts is 0"),
        (lambda manager: Retries(attempts=1001), "attempts is 1001"),
        (lambda manager: Worker(manager, retries=Retries(1000)), "more than half of the visibility timeout"),
        (lambda manager: Retries(first_delay=-1), "first_delay is -1"),
        (lambda manager: Retries(first_delay="1"), "must be a number"),  # type: ignore[arg-type]
        (lambda manager: ThreadExecutor(0), "threads is 0"),
        (lambda manager: QueueExecutor(manager.backend, visibility_timeout=0), "visibility_timeout is 0"),
    ],
)
def test_executors_refuse_arguments(backend: Backend, make: Callable[[Any], Any], message: str) -> None:
    with pytest.raises((InvalidTypeError, InvalidValueError), match=message):
        make(FeedManager(backend, executor=QueueExecutor(backend)))

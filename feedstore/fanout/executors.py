"""Executors, which decide when and on which thread the jobs of a manager run."""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from functools import partial
from types import TracebackType
from typing import ClassVar, Protocol, Self

from feedstore.errors import InvalidValueError, StorageError
from feedstore.fanout.dead_letters import DeadLetters, Retries
from feedstore.fanout.jobs import FanoutPriority, Job
from feedstore.storage import Backend
from feedstore.storage.checks import check_limit

_logger = logging.getLogger("feedstore.fanout")
Submit = Callable[[Job], None]
"""A function that takes a job for later."""


class RunsJobs(Protocol):
    """A manager, as executors see it."""

    @property
    def name(self) -> str:
        """The name that the manager's jobs carry."""

    @property
    def backend(self) -> Backend:
        """The backend, whose metrics receive the reports."""

    @property
    def dead_letters(self) -> DeadLetters:
        """The jobs that failed at each attempt."""

    def run_job(self, job: Job, submit: Submit) -> None:
        """Run one job, and submit the jobs of its following pages."""


class JobOutcome(StrEnum):
    """The end of one attempt of a job."""

    DONE = "done"
    RETRIED = "retried"
    """It failed, and runs again after a delay."""
    RELEASED = "released"
    """The store failed; the job stays in its queue or executor, and runs again."""
    DEAD = "dead"
    """It failed at each attempt, and is a dead letter."""


class Executor(ABC):
    """A carrier of jobs."""

    may_repeat: ClassVar[bool] = False
    """Whether a job may run several times, as in queues that deliver a message at least once."""

    def attach(self, manager: RunsJobs) -> None:  # noqa: B027 most executors need no registration
        """Do nothing; override it to register the manager that uses the executor."""

    @abstractmethod
    def submit(self, manager: RunsJobs, job: Job) -> None:
        """Take a job, and run it now or later."""


class InlineExecutor(Executor):
    """Runs each job on the thread of the call, which returns when the fan-out is done.

    An error of a job reaches the caller. A repeated call completes the fan-out.
    """

    def submit(self, manager: RunsJobs, job: Job) -> None:
        """Run a job and all its following pages."""
        waiting = deque([job])
        while waiting:
            manager.run_job(waiting.popleft(), waiting.append)


def report_job(manager: RunsJobs, job: Job, outcome: JobOutcome, started: float) -> None:
    """Report one attempt of a job to the metrics; ``started`` is its begin by ``time.time()``."""
    now = time.time()
    lag = max(0.0, started - job.created_at)
    manager.backend.metrics.on_job(str(job.operation), str(job.priority), str(outcome), lag, max(0.0, now - started))


def attempt_job(
    manager: RunsJobs, job: Job, submit: Submit, was_delivered: bool = False
) -> tuple[Job, Exception | None]:
    """Run a job that may be tried again.

    Each attempt that submitted the next page again would double the jobs of all pages after it.

    Args:
        manager: the manager of the job.
        job: the job.
        submit: a function that takes the job of the next page.
        was_delivered: whether a queue delivered the job before, perhaps to a worker whose process the job killed. Such
            runs are counted, and the error is a :class:`JobCrashedError` if too many of them did not end.

    Returns:
        The job of the next attempt, which does not submit the next page if this attempt has done so; and the error of
        this attempt, or None.
    """
    following: list[Job] = []

    def note(next_job: Job) -> None:
        submit(next_job)
        following.append(next_job)

    letters, crashes = manager.dead_letters, None
    try:
        if was_delivered:
            crashes = letters.begin_run(job)
        manager.run_job(job, note)
        if was_delivered:
            letters.end_run(job)
    except Exception as error:  # noqa: BLE001 a job may fail in any way, and must not stop the others
        if crashes is not None:
            _restore_crashes(letters, job, crashes)
        return replace(job, alone=job.alone or bool(following)), error
    return job, None


def _restore_crashes(letters: DeadLetters, job: Job, crashes: int) -> None:
    try:
        letters.end_run(job, crashes)
    except StorageError as problem:
        _logger.warning("a run that failed counts as one that did not end, because the store failed: %s", problem)


_ORDER = {FanoutPriority.HIGH: 0, FanoutPriority.NORMAL: 1, FanoutPriority.LOW: 2}


class ThreadExecutor(Executor):
    """Runs jobs on threads of this process, those of a higher priority first.

    Jobs that wait are lost with the process: use a queue if that matters. A job that fails at each attempt
    becomes a dead letter. Close the executor at the end of the program, or use it as a context manager.

    Args:
        threads: the number of threads.
        max_waiting: the most jobs that wait; at that number ``submit`` waits, which slows publishers down.
        retries: the attempts of a job that fails.
    """

    def __init__(self, threads: int = 4, max_waiting: int = 1000, retries: Retries | None = None) -> None:
        self.threads = check_limit("threads", threads)
        self.max_waiting = check_limit("max_waiting", max_waiting)
        self.retries = retries or Retries()
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._changed = threading.Condition()
        self._waiting: list[tuple[int, int, RunsJobs, Job, int]] = []
        self._delayed: list[tuple[float, int, RunsJobs, Job, int]] = []
        self._numbers = itertools.count()
        self._running = 0
        self._closed = False
        self._pool: list[threading.Thread] = []

    def submit(self, manager: RunsJobs, job: Job) -> None:
        """Take a job. Waits while ``max_waiting`` jobs wait, except on the threads of the executor.

        Raises:
            InvalidValueError: The executor is closed.
        """
        self._renew_after_fork()
        with self._changed:
            is_own = threading.current_thread() in self._pool
            while not is_own and not self._closed and len(self._waiting) >= self.max_waiting:
                self._changed.wait()
            if self._closed and not is_own:
                raise InvalidValueError(f"{type(self).__name__} is closed; make a new one")
            self._push(manager, job, 1)
            while len(self._pool) < self.threads:
                thread = threading.Thread(target=self._run, name="feedstore-fanout", daemon=True)
                self._pool.append(thread)
                thread.start()

    def _renew_after_fork(self) -> None:
        """Begin again without jobs in a forked process, because the threads of its parent run the jobs there."""
        if self._pid != os.getpid():
            self._start()

    def _push(self, manager: RunsJobs, job: Job, attempt: int) -> None:
        heapq.heappush(self._waiting, (_ORDER[job.priority], next(self._numbers), manager, job, attempt))
        self._changed.notify_all()

    def _run(self) -> None:
        while (found := self._next()) is not None:
            manager, job, attempt = found
            started, outcome = time.time(), JobOutcome.DONE
            try:
                again, error = attempt_job(manager, job, partial(self.submit, manager))
                if error is not None:
                    outcome = self._fail(manager, again, attempt, error)
            finally:
                with self._changed:
                    self._running -= 1
                    self._changed.notify_all()
            report_job(manager, job, outcome, started)

    def _next(self) -> tuple[RunsJobs, Job, int] | None:
        """Return the next job; None if the executor is closed and has no more jobs."""
        with self._changed:
            while True:
                now = time.monotonic()
                while self._delayed and self._delayed[0][0] <= now:
                    _, _, manager, job, attempt = heapq.heappop(self._delayed)
                    self._push(manager, job, attempt)
                if self._waiting:
                    _, _, manager, job, attempt = heapq.heappop(self._waiting)
                    self._running += 1
                    self._changed.notify_all()
                    return manager, job, attempt
                if self._closed and not self._delayed and not self._running:
                    return None
                self._changed.wait(self._delayed[0][0] - now if self._delayed else None)

    def _fail(self, manager: RunsJobs, job: Job, attempt: int, error: Exception) -> JobOutcome:
        delay, outcome = self.retries.delay_after(attempt), JobOutcome.RETRIED
        if delay is None:
            try:
                manager.dead_letters.add(job.to_dict(), error, attempt)
            except StorageError as problem:
                if self._closed:
                    _logger.error(
                        "the job %s failed, and cannot be stored as a dead letter: %s", job.to_dict(), problem
                    )
                    return JobOutcome.DEAD
                delay, outcome = max(1.0, self.retries.seconds), JobOutcome.RELEASED
            else:
                return JobOutcome.DEAD
        with self._changed:
            due = time.monotonic() + delay
            heapq.heappush(self._delayed, (due, next(self._numbers), manager, job, attempt + 1))
        return outcome

    def wait(self) -> None:
        """Wait until all jobs are done."""
        self._renew_after_fork()
        with self._changed:
            while self._waiting or self._delayed or self._running:
                self._changed.wait()

    def close(self) -> None:
        """Run the jobs that wait, and end the threads. A second call does nothing."""
        self._renew_after_fork()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            pool = list(self._pool)
        for thread in pool:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

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
    lag, seconds = max(0.0, started - job.created_at), max(0.0, time.time() - started)
    try:
        manager.backend.metrics.on_job(str(job.operation), str(job.priority), str(outcome), lag, seconds)
    except Exception:
        # A defect of the application's metrics must end no thread, and lose no job.
        _logger.exception("the metrics refused the report of a job")


def attempt_job(
    manager: RunsJobs, job: Job, submit: Submit, is_redelivered: bool = False
) -> tuple[Job, Exception | None]:
    """Run a job that may be tried again.

    Each attempt that submitted the next page again would double the jobs of all pages after it.

    Args:
        manager: the manager of the job.
        job: the job.
        submit: a function that takes the job of the next page.
        is_redelivered: whether a queue delivered the job before, perhaps to a worker whose process it killed. Such runs
            are counted, and the error is a :class:`JobCrashedError` if too many of them did not end.

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
        if is_redelivered:
            crashes = letters.begin_run(job)
        manager.run_job(job, note)
        if is_redelivered:
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


_Waiting = tuple[float, int, RunsJobs, Job, int]


class _Process:
    """The jobs and threads of a thread executor in one process."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.waiting: list[_Waiting] = []
        self.delayed: list[_Waiting] = []
        self.numbers = itertools.count()
        self.running = 0
        self.is_closed = False
        self.pool: list[threading.Thread] = []

    def push(self, manager: RunsJobs, job: Job, attempt: int) -> None:
        """Let a job wait for a thread. The caller holds the lock."""
        heapq.heappush(self.waiting, (_ORDER[job.priority], next(self.numbers), manager, job, attempt))
        self.changed.notify_all()

    def next(self) -> tuple[RunsJobs, Job, int] | None:
        """Return the next job; None if the executor is closed and has no more jobs."""
        with self.changed:
            while True:
                now = time.monotonic()
                while self.delayed and self.delayed[0][0] <= now:
                    self.push(*heapq.heappop(self.delayed)[2:])
                if self.waiting:
                    _, _, manager, job, attempt = heapq.heappop(self.waiting)
                    self.running += 1
                    self.changed.notify_all()
                    return manager, job, attempt
                if self.is_closed and not self.delayed and not self.running:
                    return None
                self.changed.wait(self.delayed[0][0] - now if self.delayed else None)


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
        self._processes = {os.getpid(): _Process()}

    @property
    def _process(self) -> _Process:
        """The jobs and threads of this process. After a fork there are none, because the parent runs its jobs."""
        process = os.getpid()
        return self._processes.get(process) or self._processes.setdefault(process, _Process())

    def submit(self, manager: RunsJobs, job: Job) -> None:
        """Take a job. Waits while ``max_waiting`` jobs wait, except on the threads of the executor.

        Raises:
            InvalidValueError: The executor is closed.
        """
        process = self._process
        with process.changed:
            is_own = threading.current_thread() in process.pool
            while not is_own and not process.is_closed and len(process.waiting) >= self.max_waiting:
                process.changed.wait()
            if process.is_closed and not is_own:
                raise InvalidValueError(f"{type(self).__name__} is closed; make a new one")
            # The job may wait for long, so it reads its activities when it runs: one may have been removed by then.
            process.push(manager, replace(job, loaded=None), 1)
            while len(process.pool) < self.threads:
                thread = threading.Thread(target=self._run, args=(process,), name="feedstore-fanout", daemon=True)
                thread.start()
                process.pool.append(thread)

    def _run(self, process: _Process) -> None:
        while (found := process.next()) is not None:
            manager, job, attempt = found
            started, outcome = time.time(), JobOutcome.DONE
            try:
                again, error = attempt_job(manager, job, partial(self.submit, manager))
                if error is not None:
                    outcome = self._fail(process, manager, again, attempt, error)
            finally:
                with process.changed:
                    process.running -= 1
                    process.changed.notify_all()
            report_job(manager, job, outcome, started)

    def _fail(self, process: _Process, manager: RunsJobs, job: Job, attempt: int, error: Exception) -> JobOutcome:
        delay, outcome = self.retries.delay_after(attempt), JobOutcome.RETRIED
        if delay is None:
            try:
                manager.dead_letters.add(job.to_dict(), error, attempt)
            except Exception as problem:  # noqa: BLE001 an error would end the thread, and leave the other jobs waiting
                if process.is_closed or not isinstance(problem, StorageError):
                    _logger.error(
                        "the job %s failed, and cannot be stored as a dead letter: %s", job.to_dict(), problem
                    )
                    return JobOutcome.DEAD
                delay, outcome = max(1.0, self.retries.seconds), JobOutcome.RELEASED
            else:
                return JobOutcome.DEAD
        with process.changed:
            due = time.monotonic() + delay
            heapq.heappush(process.delayed, (due, next(process.numbers), manager, job, attempt + 1))
        return outcome

    def wait(self) -> None:
        """Wait until all jobs are done."""
        process = self._process
        with process.changed:
            while process.waiting or process.delayed or process.running:
                process.changed.wait()

    def close(self) -> None:
        """Run the jobs that wait, and end the threads. A second call does nothing."""
        process = self._process
        with process.changed:
            process.is_closed = True
            process.changed.notify_all()
            pool = list(process.pool)
        for thread in pool:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

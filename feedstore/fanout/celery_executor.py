"""The executor that carries jobs as Celery tasks: ``pip install "feedstore[celery]"``."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import Any

from feedstore.errors import (
    FeedstoreError,
    InvalidTypeError,
    InvalidValueError,
    JobCrashedError,
    MissingDriverError,
    StorageTimeoutError,
    StorageUnavailableError,
)
from feedstore.fanout.dead_letters import Retries
from feedstore.fanout.executors import Executor, JobOutcome, RunsJobs, attempt_job, report_job
from feedstore.fanout.jobs import FanoutPriority, Job
from feedstore.shown import shown
from feedstore.storage.checks import check_key

try:
    from celery import Celery
except ImportError as error:
    raise MissingDriverError('celery is not installed; pip install "feedstore[celery]"') from error

_logger = logging.getLogger("feedstore.fanout")
_LONGEST_DELAY = 600.0


class CeleryExecutor(Executor):
    """Sends each job as one JSON message to a queue of Celery, which its priority selects.

    The workers are Celery's: ``celery -A myapp worker -Q feedstore-high,feedstore-normal,feedstore-low``. A task is
    acknowledged after it has run (``acks_late``), so a job of a worker that dies runs again. A job that fails runs
    again after a delay, and becomes a dead letter after the last attempt. If the store is unavailable, it runs again
    until the store returns. A job that kills the process of its worker five times becomes a dead letter.

    Args:
        app: the application's Celery app, whose workers import the module that makes the managers.
        queue: the first part of the names of the queues.
        retries: the attempts of a job that fails.
    """

    may_repeat = True

    def __init__(self, app: Celery, *, queue: str = "feedstore", retries: Retries | None = None) -> None:
        if not isinstance(app, Celery):
            raise InvalidTypeError(f"app must be a Celery app, not {shown(app)}")
        self.app = app
        self.queue = check_key(queue, "queue")
        self.retries = retries or Retries()
        self.managers: dict[str, RunsJobs] = {}

        def run_job(task: Any, fields: Any) -> None:
            """Run one job."""
            self._run(task, fields)

        self.task = app.task(
            run_job,
            name=f"{queue}.run_job",
            bind=True,
            acks_late=True,
            reject_on_worker_lost=True,
            ignore_result=True,
            max_retries=None,
            serializer="json",
        )

    def attach(self, manager: RunsJobs) -> None:
        """Register a manager, whose jobs the task runs."""
        other = self.managers.setdefault(manager.name, manager)
        if other is not manager:
            raise InvalidValueError(f"the executor has another manager {shown(manager.name)}; pass another name=")

    def queue_of(self, priority: FanoutPriority) -> str:
        """Return the name of the queue of a priority."""
        return f"{self.queue}-{priority}"

    def submit(self, manager: RunsJobs, job: Job) -> None:
        """Send the message of a job."""
        self.task.apply_async(args=[job.to_dict()], queue=self.queue_of(job.priority))

    def _run(self, task: Any, fields: Any) -> None:
        """Run one job, in a worker of Celery."""
        started, attempt = time.time(), task.request.retries + 1
        job: Job | None = None
        outcome, delay = JobOutcome.DONE, None
        try:
            job = Job.from_dict(fields)
            manager = self._manager_of(job)
        except FeedstoreError as error:
            outcome, delay = self._fail(job, fields, error, attempt)
        else:
            is_redelivered = bool((task.request.delivery_info or {}).get("redelivered"))
            again, failure = attempt_job(manager, job, partial(self.submit, manager), is_redelivered)
            fields = again.to_dict()
            if failure is not None:
                outcome, delay = self._fail(job, fields, failure, attempt)
        if job is not None and job.manager in self.managers:
            report_job(self.managers[job.manager], job, outcome, started)
        if delay is not None:
            raise task.retry(args=[fields], countdown=delay)

    def _manager_of(self, job: Job) -> RunsJobs:
        if job.manager not in self.managers:
            raise InvalidValueError(
                f"this worker has no manager {shown(job.manager)}; let it import the module that makes the manager"
            )
        return self.managers[job.manager]

    def _fail(self, job: Job | None, fields: Any, error: Exception, attempt: int) -> tuple[JobOutcome, float | None]:
        """Return the outcome of a job that has failed, and the delay before its next attempt."""
        manager = None if job is None else self.managers.get(job.manager)
        if manager is None:
            manager = next(iter(self.managers.values()), None)
        is_final = job is None or isinstance(error, JobCrashedError)
        delay = None if is_final else self.retries.delay_after(attempt)
        if delay is not None:
            return JobOutcome.RETRIED, delay
        is_away = isinstance(error, (StorageUnavailableError, StorageTimeoutError))
        try:
            if manager is not None and not is_away:
                manager.dead_letters.add(fields, error, attempt)
                return JobOutcome.DEAD, None
        except FeedstoreError as problem:
            _logger.warning("a dead letter cannot be stored now, so its job runs again: %s", problem)
        return JobOutcome.RELEASED, min(_LONGEST_DELAY, max(1.0, self.retries.seconds))

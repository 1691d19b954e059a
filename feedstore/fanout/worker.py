"""The worker, which receives the jobs of a queue executor and runs them."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from feedstore.errors import (
    FeedstoreError,
    InvalidTypeError,
    InvalidValueError,
    JobCrashedError,
    NoMessagesException,
    StorageError,
    StorageTimeoutError,
    StorageUnavailableError,
    StoredDataError,
)
from feedstore.fanout.dead_letters import Retries
from feedstore.fanout.executors import JobOutcome, attempt_job, report_job
from feedstore.fanout.jobs import FanoutPriority, Job
from feedstore.fanout.manager_core import ManagerCore
from feedstore.fanout.queue_executor import QueueExecutor
from feedstore.shown import shown
from feedstore.storage import QueueStorage
from feedstore.storage.checks import check_limit
from feedstore.storage.notify.registry import Kind
from feedstore.storage.notify.subscription import Notifier

_logger = logging.getLogger("feedstore.fanout")
_POLL_SECONDS = 0.5
_MOST_HELD = 1000
_LOW_FIRST_EVERY = 8


@dataclass(slots=True)
class _Delivery:
    """A message that this worker has received and not acknowledged."""

    priority: FanoutPriority
    receipt: str
    message: Any
    attempt: int = 1
    started: float = field(default_factory=time.time)


class Worker:
    """Runs the jobs of managers that share a queue executor, on several threads.

    Jobs of a higher priority run first, but every eighth turn begins with the low priority, so that it never starves.
    Jobs of the low priority leave one thread free, so that a small fan-out does not wait for a large one. A job that
    fails runs again after a delay, and becomes a dead letter after the last attempt. If the store is unavailable, the
    job stays in its queue. A job that kills the process of its worker five times becomes a dead letter, too.

    Args:
        managers: the managers; each job runs in the manager that it names.
        concurrency: the number of threads.
        retries: the attempts of a job that fails. Their delays must end within half of the visibility timeout.
    """

    def __init__(self, *managers: ManagerCore, concurrency: int = 4, retries: Retries | None = None) -> None:
        if not managers or not all(isinstance(one, ManagerCore) for one in managers):
            raise InvalidTypeError(f"pass one or more feed managers, not {shown(managers)}")
        executors = {id(one.executor): one.executor for one in managers}
        executor = managers[0].executor
        if len(executors) > 1 or not isinstance(executor, QueueExecutor):
            raise InvalidValueError("the managers of a worker must share one QueueExecutor; pass it as their executor")
        self.executor = executor
        self.managers = {one.name: one for one in managers}
        if len(self.managers) < len(managers):
            raise InvalidValueError("two managers have the same name; pass each another name=")
        self.concurrency = check_limit("concurrency", concurrency)
        self.retries = retries or Retries()
        if self.retries.seconds * 2 > executor.visibility_timeout:
            raise InvalidValueError(
                f"the delays of the attempts take {self.retries.seconds:g} seconds, more than half of the visibility "
                f"timeout of {executor.visibility_timeout:g}; pass fewer attempts, a shorter first_delay or a longer "
                "visibility_timeout"
            )
        self.outcomes: Counter[JobOutcome] = Counter()
        self._woken = threading.Event()
        self._lock = threading.Lock()
        self._running: Counter[FanoutPriority] = Counter()
        self._held: list[tuple[float, int, _Delivery]] = []
        self._numbers = itertools.count()
        self._turn = 0
        self._stopping = False

    def stop(self) -> None:
        """Let :meth:`run` return after the running jobs. A signal handler may call it."""
        self._stopping = True

    def run(self, *, until_empty: bool = False) -> None:
        """Receive and run jobs until :meth:`stop`.

        Args:
            until_empty: whether to return when no job waits or runs, in this worker or in another one.
        """
        woken = self._woken
        notifier = Notifier(self.executor.backend.session)
        subscription = notifier.subscribe_kind(Kind.QUEUE, lambda keys: woken.set(), woken.set)
        with subscription, ThreadPoolExecutor(self.concurrency, thread_name_prefix="feedstore-worker") as pool:
            subscription.add([queue.name for queue in self.executor.queues.values()])
            while not self._stopping:
                woken.clear()
                found = list(self._due()) or self._received()
                for delivery in found:
                    pool.submit(self._run, delivery)
                if found:
                    continue
                if until_empty and self._is_idle():
                    return
                woken.wait(_POLL_SECONDS)

    def _is_idle(self) -> bool:
        with self._lock:
            if self._held or self._running.total():
                return False
        return not any(self.executor.counts().values())

    def _due(self) -> Iterator[_Delivery]:
        """Yield the held jobs whose delay has ended, as far as threads are free, and count them as running."""
        with self._lock:
            while self._held and self._held[0][0] <= time.monotonic() and self._running.total() < self.concurrency:
                _, _, delivery = heapq.heappop(self._held)
                self._running[delivery.priority] += 1
                yield delivery

    def _received(self) -> list[_Delivery]:
        """Receive as many jobs as threads are free, and count them as running."""
        if self._free(FanoutPriority.HIGH) <= 0:
            return []
        self._turn += 1
        order = list(FanoutPriority)
        if self._turn % _LOW_FIRST_EVERY == 0:
            order.reverse()
        found: list[_Delivery] = []
        for priority in order:
            limit = self._free(priority)
            if limit > 0:
                some = self._receive(priority, limit)
                found += some
                with self._lock:
                    self._running[priority] += len(some)
        return found

    def _free(self, priority: FanoutPriority) -> int:
        with self._lock:
            free = self.concurrency - self._running.total()
            if priority is FanoutPriority.LOW and self.concurrency > 1:
                free = min(free, self.concurrency - 1 - self._running[priority])
            return free

    def _receive(self, priority: FanoutPriority, limit: int) -> list[_Delivery]:
        queue = self.executor.queues[priority]
        try:
            received = queue.receive_many(limit, on_damaged=partial(self._put_aside, queue))
        except NoMessagesException:
            return []
        except StoredDataError as error:
            _logger.error("%s", error)
            return []
        except (StorageUnavailableError, StorageTimeoutError) as error:
            _logger.warning("the queue cannot be read, and is tried again: %s", error)
            return []
        return [_Delivery(priority, receipt, message) for receipt, message in received]

    def _put_aside(self, queue: QueueStorage, receipt: str, data: Any, error: StoredDataError) -> None:
        """Keep a damaged message as a dead letter, which the queue would deliver again without end."""
        manager = next(iter(self.managers.values()))
        try:
            manager.dead_letters.add(data.hex() if isinstance(data, bytes) else shown(data), error, 1)
            queue.ack(receipt)
        except StorageError as problem:
            _logger.warning("a damaged message stays in its queue, because the store failed: %s", problem)
            return
        with self._lock:
            self.outcomes[JobOutcome.DEAD] += 1

    def _run(self, delivery: _Delivery) -> None:
        """Run one job on a thread of the pool."""
        try:
            outcome = self._attempt(delivery)
            with self._lock:
                self.outcomes[outcome] += 1
        except Exception as error:  # noqa: BLE001 the thread must go on to the next job
            # The queue delivers the job again after its visibility timeout.
            _logger.warning("the end of a job could not be stored, so it runs again: %s", error)
        finally:
            with self._lock:
                self._running[delivery.priority] -= 1
            self._woken.set()

    def _attempt(self, delivery: _Delivery) -> JobOutcome:
        delivery.started = time.time()
        job: Job | None = None
        try:
            job, manager = self._parsed(delivery.message)
        except FeedstoreError as error:
            outcome = self._fail(delivery, None, error)
        else:
            queue = self.executor.queues[delivery.priority]
            is_redelivered = queue.delivery_count(delivery.receipt) > 1
            again, failure = attempt_job(manager, job, partial(self.executor.submit, manager), is_redelivered)
            delivery.message = again.to_dict()
            outcome = JobOutcome.DONE if failure is None else self._fail(delivery, job, failure)
        if outcome is JobOutcome.DONE or outcome is JobOutcome.DEAD:
            self.executor.queues[delivery.priority].ack(delivery.receipt)
        if job is not None:
            report_job(self.managers[job.manager], job, outcome, delivery.started)
        return outcome

    def _parsed(self, message: Any) -> tuple[Job, ManagerCore]:
        job = Job.from_dict(message)
        manager = self.managers.get(job.manager)
        if manager is None:
            raise InvalidValueError(f"this worker has no manager {shown(job.manager)}; pass it to the worker")
        return job, manager

    def _fail(self, delivery: _Delivery, job: Job | None, error: Exception) -> JobOutcome:
        """Decide the future of a job that has failed, or of a message that is no job of these managers."""
        is_final = job is None or isinstance(error, JobCrashedError)
        delay = None if is_final else self.retries.delay_after(delivery.attempt)
        if delay is None and isinstance(error, (StorageUnavailableError, StorageTimeoutError)):
            _logger.warning("a job stays in its queue, because the store failed: %s", error)
            return JobOutcome.RELEASED
        if delay is None:
            manager = next(iter(self.managers.values())) if job is None else self.managers[job.manager]
            manager.dead_letters.add(delivery.message, error, delivery.attempt)
            return JobOutcome.DEAD
        if not isinstance(error, FeedstoreError):
            _logger.warning("a job failed, and runs again in %g seconds", delay, exc_info=error)
        delivery.attempt += 1
        with self._lock:
            if len(self._held) >= _MOST_HELD:
                return JobOutcome.RELEASED
            heapq.heappush(self._held, (time.monotonic() + delay, next(self._numbers), delivery))
        return JobOutcome.RETRIED

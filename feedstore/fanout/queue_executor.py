"""The executor that carries jobs in the queues of a backend, for workers in other processes."""

from __future__ import annotations

from feedstore.fanout.executors import Executor, RunsJobs
from feedstore.fanout.jobs import FanoutPriority, Job
from feedstore.storage import Backend, QueueStorage
from feedstore.storage.backend import checked_backend
from feedstore.storage.checks import check_key
from feedstore.storage.queue import MAX_LENGTH


class QueueExecutor(Executor):
    """Pushes jobs to three queues of a backend, one for each priority; :class:`Worker` receives them.

    A job survives the end of the process that pushed it and of the worker that received it. It may run twice, which
    changes nothing.

    Args:
        backend: the backend of the queues, which may be another one than that of the feeds.
        name: the first part of the names of the queues.
        visibility_timeout: the seconds after which the job of a worker that died runs again. A job that takes longer
            runs twice.
        max_length: the most jobs of each queue. At that number a publisher's call raises
            :class:`~feedstore.errors.QueueFull`, after the activity was stored; repeat the call later.
    """

    may_repeat = True

    def __init__(
        self,
        backend: Backend,
        name: str = "fanout",
        *,
        visibility_timeout: float = 120.0,
        max_length: int = MAX_LENGTH,
    ) -> None:
        self.backend = checked_backend(backend)
        self.name = check_key(name, "name")
        options = {"visibility_timeout": visibility_timeout, "max_length": max_length}
        self.queues: dict[FanoutPriority, QueueStorage] = {
            priority: self.backend.queue(f"{name}-{priority}", **options) for priority in FanoutPriority
        }
        self.visibility_timeout = self.queues[FanoutPriority.NORMAL].visibility_timeout

    def submit(self, manager: RunsJobs, job: Job) -> None:
        """Push a job to the queue of its priority. One round trip."""
        self.queues[job.priority].push(job.to_dict())

    def counts(self) -> dict[FanoutPriority, int]:
        """Return the numbers of jobs that wait or run. One round trip for each queue."""
        return {priority: queue.count() for priority, queue in self.queues.items()}

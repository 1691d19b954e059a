"""Executors, which decide when and on which thread the jobs of a manager run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Protocol

from feedstore.fanout.jobs import Job

Submit = Callable[[Job], None]
"""A function that takes a job for later."""


class RunsJobs(Protocol):
    """A manager, as executors see it."""

    def run_job(self, job: Job, submit: Submit) -> None:
        """Run one job, and submit the jobs of its following pages."""


class Executor(ABC):
    """A carrier of jobs."""

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

"""A manager whose jobs fail on request, and metrics that keep the reports of jobs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from feedstore.fanout import FeedManager, Job, Retries
from feedstore.metrics import Metrics
from feedstore.testing.manager_suite import START

NO_DELAY = Retries(attempts=3, first_delay=0)


class Reports(Metrics):
    """Keeps the reports of jobs."""

    def __init__(self) -> None:
        self.jobs: list[tuple[str, str, str]] = []

    def on_job(self, operation: str, priority: str, outcome: str, lag: float, seconds: float) -> None:
        assert lag >= 0
        assert seconds >= 0
        self.jobs.append((operation, priority, outcome))


class Unlucky(FeedManager):
    """Its jobs fail on request."""

    fanout_chunk_size = 2
    failure: Callable[[Job], BaseException | None] = staticmethod(lambda job: None)

    def run_job(self, job: Job, submit: Callable[[Job], None]) -> None:
        error = self.failure(job)
        if error is not None:
            raise error
        super().run_job(job, submit)


def import_followers(manager: FeedManager, count: int, followed: str = "ann") -> None:
    manager._graph.import_follows(
        [(f"user:{number}", followed, START + timedelta(minutes=number)) for number in range(count)]
    )

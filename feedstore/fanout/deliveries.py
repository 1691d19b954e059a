"""The work of jobs: deliveries to the feeds of readers, and their removal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from feedstore.errors import InvalidValueError
from feedstore.fanout.jobs import FanoutPriority, Job, JobOperation
from feedstore.fanout.relations import Relations
from feedstore.feeds import UserId
from feedstore.shown import shown
from feedstore.storage.bounds import Filter


class Deliveries(Relations):
    """The part of a manager that runs jobs."""

    def run_job(self, job: Job, submit: Callable[[Job], None]) -> None:
        """Run one job; executors call it.

        The job of the next page of followers is submitted before this page is delivered, so that workers
        deliver the pages of one fan-out in parallel. Its priority is low, so that small fan-outs do not wait for it.

        Args:
            job: the job.
            submit: a function that takes the job of the next page.
        """
        if job.manager != self.name:
            raise InvalidValueError(f"the job belongs to the manager {shown(job.manager)}, and this is {self}")
        if job.operation is JobOperation.COPY:
            self._copy(job.users[0], job.targets, job.copy_limit)
        elif job.operation is JobOperation.PURGE:
            self._purge(job.users[0], job.targets)
        else:
            self._run_page(job, submit)

    def _run_page(self, job: Job, submit: Callable[[Job], None]) -> None:
        readers, following = self._readers(job)
        if following is not None:
            self._continue(job, following, submit)
        elif job.step and self.executor.may_repeat:
            self._progress.delete(job.id)
        if not readers:
            return
        if job.operation is JobOperation.ADD:
            self._add(job, readers)
        elif job.operation is JobOperation.REMOVE:
            self._remove(job, readers)
        else:
            self._refresh(job, readers)

    def _continue(self, job: Job, following: str, submit: Callable[[Job], None]) -> None:
        """Submit the job of the next page, unless an earlier run of this job has done so.

        Without the record of the pages that were submitted, each job that runs twice would double the jobs of all
        pages after it. If a process dies between the two writes, the next page alone runs twice.
        """
        step = job.step + 1
        if self.executor.may_repeat and self._progress.get(job.id, 0) >= step:
            return
        submit(job.next_page(following, FanoutPriority.LOW))
        if self.executor.may_repeat:
            self._progress.upsert(job.id, step)

    def _readers(self, job: Job) -> tuple[list[UserId], str | None]:
        """Return the users whose feeds the job changes, and the cursor of the next page of followers."""
        readers: list[UserId] = list(job.users)
        following = None
        if job.followers_of is not None:
            graph = self._graph
            page = graph.followers(job.followers_of, self._page_size(job), job.after, kind=graph.kinds[0])
            readers += [one.name for one in page.items]
            following = page.next_cursor
        if job.skipped:
            readers = [one for one in readers if str(one) not in job.skipped]
        return readers, following

    def _loaded(self, job: Job) -> Sequence[Any]:
        """Return the stored activities of a job; one that was removed since is left out."""
        return self.activities.get_many(job.activities) if job.loaded is None else job.loaded

    def _add(self, job: Job, readers: list[UserId]) -> None:
        activities = self._loaded(job)
        if job.actor is not None:
            blockers = self.blockers_among(job.actor, readers)
            readers = [one for one in readers if str(one) not in blockers]
        if activities and readers:
            for name in job.feeds:
                self.feeds.class_of(name).add_to_feeds(self.backend, readers, activities)

    def _remove(self, job: Job, readers: list[UserId]) -> None:
        for user in job.unless_following:
            others = self.followers_among(user, readers)
            readers = [one for one in readers if str(one) not in others]
        if readers:
            for name in job.feeds:
                self.feeds.class_of(name).remove_from_feeds(self.backend, readers, job.activities)

    def _refresh(self, job: Job, readers: list[UserId]) -> None:
        """Write activities again to those feeds that hold them."""
        for activity in self._loaded(job):
            for name in job.feeds:
                feed_class = self.feeds.class_of(name)
                feeds = {feed.key: feed for feed in (feed_class(one, self.backend) for one in readers)}
                within: Filter = {"activity_id__gte": activity, "activity_id__lte": activity}
                slices = feed_class._timelines_of(self.backend).get_many_slices(feeds, 0, 1, within)
                holders = [feeds[key].user_id for key, found in slices.items() if found]
                if holders:
                    feed_class.add_to_feeds(self.backend, holders, [activity])

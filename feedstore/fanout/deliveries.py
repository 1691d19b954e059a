"""The work of jobs: deliveries to the feeds of readers, and their removal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from feedstore.errors import InvalidValueError
from feedstore.fanout.jobs import FanoutPriority, Job, JobOperation
from feedstore.fanout.reading import Reading
from feedstore.feeds import UserId
from feedstore.shown import shown
from feedstore.storage.bounds import Filter


class Deliveries(Reading):
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
        elif job.operation is JobOperation.SETTLE:
            self._settle(job, submit)
        else:
            self._run_page(job, submit)

    def _run_page(self, job: Job, submit: Callable[[Job], None]) -> None:
        readers, following = self._readers(job)
        if following is not None:
            self._continue(job, following, submit)
        else:
            self._forget_progress(job)
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

        Without the record of the pages that were submitted, each job that a queue delivers twice would double the jobs
        of all pages after it. If a process dies between the two writes, the next page alone runs twice. A job that runs
        again after the last page has ended submits the pages after it once more.
        """
        step = job.step + 1
        if job.alone:
            return
        if self.executor.may_repeat and self._progress.get(job.id, 0) >= step:
            return
        submit(job.next_page(following, FanoutPriority.LOW))
        if self.executor.may_repeat:
            self._progress.upsert(job.id, step)

    def _forget_progress(self, job: Job) -> None:
        """Remove the record of the submitted pages of a fan-out after its last page."""
        if job.step and self.executor.may_repeat:
            self._progress.delete(job.id)

    def _readers(self, job: Job) -> tuple[list[UserId], str | None]:
        """Return the users whose feeds the job changes, and the cursor of the next page of followers."""
        readers: list[UserId] = list(job.users)
        following = None
        if job.followers_of is not None:
            graph = self._graph
            kind = graph.kinds[0]
            names, following = graph.follower_names(job.followers_of, self._page_size(job), job.after, kind=kind)
            readers += names
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
            self._add_to_readers(job.feeds, readers, activities, job.users)

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

    def _settle(self, job: Job, submit: Callable[[Job], None]) -> None:
        """Deliver a producer's activities to one page of followers; the last page ends the settlement.

        The pages follow one another, so that the last one ends after all others.
        """
        modes, user = self.push_pull.modes, job.targets[0]
        if modes is None:
            raise InvalidValueError(
                f"{self} has no policy, so it cannot run the settlement of {shown(user)}; pass the policy of the "
                "process that submitted it"
            )
        if modes.state(user).change != job.id:
            return
        names = self.push_pull.pulled_feeds
        newest = self._newest_of([user], self._settled_length())
        if job.followers_of is None:
            rest = iter([one for some in self.get_user_follower_ids(user).values() for one in some])
            while readers := list(islice(rest, self._page_size(job))):
                self._deliver_to(readers, names, newest, user)
            modes.finish(user, job.id)
            return
        found, following = self._readers(job)
        self._deliver_to(found, names, newest, user)
        if following is not None:
            self._continue(job, following, submit)
            return
        modes.finish(user, job.id)
        self._forget_progress(job)

    def _deliver_to(self, readers: Sequence[UserId], names: Sequence[str], newest: Sequence[Any], user: str) -> None:
        """Deliver activities of a user feed to readers, without those whose actor a reader has blocked."""
        actors = {str(one.actor) for one in newest} - {user}
        groups: dict[frozenset[str], list[UserId]] = {}
        for reader, blocked in self._blocked_by(readers, actors).items():
            groups.setdefault(blocked, []).append(reader)
        for blocked, some in groups.items():
            self._add_to_readers(names, some, [one for one in newest if str(one.actor) not in blocked])

    def _blocked_by(self, readers: Sequence[UserId], actors: set[str]) -> dict[UserId, frozenset[str]]:
        """Return which actors each reader has blocked. One round trip for each reader, if there are actors."""
        if self.graph is not None:
            graph = self.graph if actors else None
            return {
                one: frozenset() if graph is None else frozenset(map(str, graph.blocked_among(one, actors)))
                for one in readers
            }
        blockers = {actor: self.blockers_among(actor, readers) for actor in actors}
        return {one: frozenset(actor for actor in actors if str(one) in blockers[actor]) for one in readers}

    def _add_to_readers(
        self, names: Sequence[str], readers: Sequence[UserId], activities: Sequence[Any], direct: Sequence[str] = ()
    ) -> None:
        """Add activities to the feeds of readers, those of inactive ones left out unless they are ``direct``."""
        active: set[str] | None = None
        for name in names:
            receivers = readers
            if self.push_pull.leaves_out(name):
                active = self.push_pull.active(readers).union(direct) if active is None else active
                receivers = [one for one in readers if str(one) in active]
            if receivers:
                self.feeds.class_of(name).add_to_feeds(self.backend, receivers, activities)

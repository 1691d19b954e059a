"""The parts of a manager that all its operations share: feed classes, followers, records and the executor."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any, ClassVar

from feedstore.activity import Activity
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.fanout.dead_letters import DeadLetters
from feedstore.fanout.executors import Executor, InlineExecutor
from feedstore.fanout.feed_classes import FeedClass, FeedClasses, HomeFeed, UserFeed
from feedstore.fanout.follow_graph import FollowGraph
from feedstore.fanout.jobs import FanoutPriority, Job, JobOperation, as_priority, new_job_id
from feedstore.fanout.merged_feed import MergedFeed
from feedstore.fanout.policy import DeliveryPolicy
from feedstore.fanout.producer_modes import DeliveryMode, ModeState
from feedstore.fanout.publications import Publications
from feedstore.fanout.push_pull import PushPull
from feedstore.feeds import BaseFeed, UserId
from feedstore.feeds.key_format import user_text, user_texts
from feedstore.forks import unlocked_property
from feedstore.shown import shown
from feedstore.storage import ActivityStorage, Backend, Batch
from feedstore.storage.backend import checked_backend
from feedstore.storage.checks import check_key, check_limit

Followers = Mapping[FanoutPriority | None, Iterable[UserId]]
"""The followers of a user by the priority of their deliveries."""
FollowerSource = Callable[[UserId], "Followers | Iterable[UserId]"]
"""A function of the application that returns the followers of a user."""
ReaderFeed = BaseFeed[Any] | MergedFeed
"""A feed as a manager returns it to a reader."""


class ManagerCore(ABC):
    """The configuration of a manager, and the sources of its readers."""

    feed_classes: ClassVar[Mapping[str, FeedClass]] = {"normal": HomeFeed}
    """The classes of the feeds to which the activities of followed users go, by name."""
    user_feed_class: FeedClass = UserFeed
    """The class of the feed of a user's own activities."""
    target_feed_classes: ClassVar[Mapping[str, FeedClass]] = {}
    """The classes of further feeds, such as notifications, to which activities go by ``to=`` alone, by name."""
    fanout_chunk_size: int = 1000
    """The number of followers that one job delivers to."""
    follow_activity_limit: int = 5000
    """The number of activities that a follow copies by default."""
    include_actor: bool = False
    """Whether activities also go to the feeds of the user who publishes them."""
    index_objects: bool = False
    """Whether the manager keeps the index that :meth:`~feedstore.fanout.FeedManager.remove_object` needs."""

    def __init__(
        self,
        backend: Backend,
        *,
        graph: FollowGraph | FollowerSource | None = None,
        executor: Executor | None = None,
        policy: DeliveryPolicy | None = None,
        name: str = "fanout",
        **options: Any,
    ) -> None:
        self.backend = checked_backend(backend)
        for option, value in options.items():
            if option not in _OPTIONS:
                raise InvalidTypeError(
                    f"a manager has no option {shown(option)}; the options are {', '.join(_OPTIONS)}"
                )
            setattr(self, option, value)
        self.name = check_key(name, "name")
        self.executor = InlineExecutor() if executor is None else executor
        if not isinstance(self.executor, Executor):
            raise InvalidTypeError(f"executor must be an Executor, not {shown(executor)}")
        check_limit("fanout_chunk_size", self.fanout_chunk_size)
        check_limit("follow_activity_limit", self.follow_activity_limit)
        self.feeds = FeedClasses(self.feed_classes, self.user_feed_class, self.target_feed_classes)
        self.publications = Publications(self.backend, name, self.index_objects)
        self.dead_letters = DeadLetters(self.backend, name)
        # The number of the last page that was submitted of each fan-out, by the id of its jobs.
        self._progress = self.backend.kv_storage(f"{name}-progress")
        self.push_pull = PushPull(policy, self.backend, name, self.feeds)
        self._own_source = self._source_of(graph)
        self.graph = graph if isinstance(graph, FollowGraph) else None
        overrides = type(self).get_user_follower_ids is not ManagerCore.get_user_follower_ids
        if self.graph is None and self._own_source is None and not overrides:
            self.graph = FollowGraph(self.backend)
        self._reads_pages = self.graph is not None and not overrides
        if self.push_pull.visits is not None and not self._reads_pages:
            raise InvalidValueError(
                "inactive_after needs graph=FollowGraph(backend), because a delivery must know the direct receivers of "
                "an activity; pass a policy without it"
            )
        self.executor.attach(self)

    @staticmethod
    def _source_of(graph: Any) -> FollowerSource | None:
        if graph is None or isinstance(graph, FollowGraph):
            return None
        if not callable(graph):
            raise InvalidTypeError(
                f"graph must be a FollowGraph or a function that returns the followers of a user, not {shown(graph)}"
            )
        source: FollowerSource = graph
        return source

    @unlocked_property
    def activities(self) -> ActivityStorage[Any]:
        """The storage of the activities that all feeds of the manager refer to."""
        user = self.feeds.user
        return self.backend.activity_storage(activity_class=user.activity_class, name=user.activity_name)

    def _stored_feeds(self, user_id: UserId) -> dict[str, BaseFeed[Any]]:
        """Return the feeds to which the activities of followed users are pushed, by the names of their classes."""
        return {name: one(user_id, self.backend) for name, one in self.feeds.followers.items()}

    def get_feed(self, name: str, user_id: UserId) -> BaseFeed[Any]:
        """Return the feed of a user by the name of its class: of feeds, of target feeds, or ``"user"``."""
        return self.feeds.class_of(name)(user_id, self.backend)

    def get_user_feed(self, user_id: UserId) -> BaseFeed[Any]:
        """Return the feed of a user's own activities."""
        return self.feeds.user(user_id, self.backend)

    def get_user_follower_ids(self, user_id: UserId) -> Followers:
        """Return the followers of a user by priority; override it if the application has its own follows.

        By default they come from the follow graph, with normal priority.
        """
        if self._own_source is not None:
            found = self._own_source(user_id)
            return found if isinstance(found, Mapping) else {FanoutPriority.NORMAL: found}
        return {FanoutPriority.NORMAL: self._graph.all_followers(user_id, kind=self._graph.kinds[0])}

    def get_user_followed_ids(self, user_id: UserId) -> Iterable[UserId]:
        """Return everything that a user follows; override it if the application has its own follows.

        Rebuilds of feeds need it.
        """
        return self._graph.all_following(user_id, kind=self._graph.kinds[0])

    def count_followers(self, user_id: UserId) -> int:
        """Return the number of followers of a user; override it if the application can count them faster.

        Policies need it. Without a follow graph it reads all followers.
        """
        if self._reads_pages:
            return self._graph.counts(user_id, kind=self._graph.kinds[0]).followers
        return sum(sum(1 for _ in some) for some in self.get_user_follower_ids(user_id).values())

    def following_among(self, user_id: UserId, names: Iterable[UserId]) -> set[str]:
        """Return those of some users that a user follows, as strs.

        It is empty without a follow graph; override it if the application has its own follows.
        """
        if self.graph is None:
            return set()
        return {str(one) for one in self.graph.following_among(user_id, names, kind=self.graph.kinds[0])}

    def followers_among(self, user_id: UserId, names: Iterable[UserId]) -> set[str]:
        """Return those of some users that follow a user, as strs; see :meth:`following_among`."""
        if self.graph is None:
            return set()
        return {str(one) for one in self.graph.followers_among(user_id, names, kind=self.graph.kinds[0])}

    def blockers_among(self, user_id: UserId, names: Iterable[UserId]) -> set[str]:
        """Return those of some users that have blocked a user, as strs; see :meth:`following_among`."""
        return set() if self.graph is None else {str(one) for one in self.graph.blockers_among(user_id, names)}

    @property
    def _graph(self) -> FollowGraph:
        if self.graph is None:
            raise InvalidTypeError(
                f"{type(self).__name__} has no follow graph, because the application supplies the followers; call the "
                "application's own functions, or pass graph=FollowGraph(backend)"
            )
        return self.graph

    @property
    def delivers_in_place(self) -> bool:
        """Whether a fan-out consists of the writes to the feeds of all followers, in the call itself.

        It does with an :class:`InlineExecutor` and without a policy. :mod:`feedstore.ingest` then writes in bulk.
        """
        return isinstance(self.executor, InlineExecutor) and self.push_pull.modes is None

    def batch_for(self, feed: FeedClass, batch: Batch) -> Batch | None:
        """Return the batch, or None if the store cannot add to the feeds of a class in a batch."""
        is_plain = feed.max_per_group is None and not feed.companions
        return batch if is_plain or self.backend.abilities.atomic_deliveries else None

    def add_to_own_feeds(self, by_user: Mapping[UserId, Sequence[Activity]], batch: Batch) -> None:
        """Add activities to the feeds of the users who published them, in a batch if the store can."""
        own = self.feeds.user
        own.add_to_each_feed(self.backend, by_user, is_fan_out=False, batch_interface=self.batch_for(own, batch))

    def _job(self, operation: JobOperation, **fields: Any) -> Job:
        return Job(operation=operation, manager=self.name, created_at=time.time(), **fields)

    def _submit(self, job: Job) -> None:
        self.executor.submit(self, job)

    def replay(self, key: str) -> bool:
        """Submit the job of a dead letter again, and remove the letter; return whether it existed.

        If the job fails again before the removal, its new letter stays. On a store without conditional batches, such as
        Cassandra, the removal may remove the new letter. Of concurrent calls for one letter each may submit the job,
        which changes feeds once.

        Raises:
            InvalidTypeError, InvalidValueError: The letter holds no job of this release.
        """
        letter = self.dead_letters.get(key)
        if letter is None:
            return False
        self._submit(Job.from_dict(letter.job))
        self.dead_letters.remove_unchanged(letter)
        return True

    def _fan_out(
        self,
        operation: JobOperation,
        user_id: UserId,
        activities: Iterable[Activity | int],
        followers: Followers | None = None,
        **fields: Any,
    ) -> None:
        """Submit the jobs that change the feeds of the followers of a user, and of the ``users`` in the fields.

        ``followers`` are those of the application's function, if the caller has called it.
        """
        given = tuple(activities)
        ids = tuple(self.activities.activities_to_ids(given))
        loaded = given if all(isinstance(one, Activity) for one in given) else None
        parts: dict[str, Any] = {"activities": ids, "loaded": loaded, "feeds": self.feeds.names, **fields}
        if operation is JobOperation.ADD:
            pushed = self._pushed_feeds(user_id, parts["feeds"])
            if pushed != parts["feeds"]:
                if parts.get("users"):
                    self._submit(self._job(operation, **parts))
                parts |= {"feeds": pushed, "users": ()}
        if not parts["feeds"]:
            return
        if self._reads_pages:
            self._submit(self._job(operation, followers_of=user_text(user_id), **parts))
            return
        job = self._job(operation, **parts)
        waiting = job.users
        groups = self.get_user_follower_ids(user_id) if followers is None else followers
        for priority, ids_of_group in groups.items():
            for some in _chunks(chain(waiting, ids_of_group), self._page_size(job)):
                users = tuple(user_texts(some))
                self._submit(replace(job, id=new_job_id(), users=users, priority=as_priority(priority)))
            waiting = ()
        if waiting:
            self._submit(job)

    def _pushed_feeds(self, user_id: UserId, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the feed classes to which a new activity of a user feed is pushed, as the policy decides."""
        user = user_text(user_id)
        state, has_changed = self.push_pull.state_after_publishing(user, lambda: self.count_followers(user_id))
        if has_changed and state.mode is DeliveryMode.SETTLE:
            self._submit_settlement(user, state)
        return self.push_pull.pushed_feeds(state.mode, names)

    def _submit_settlement(self, user: str, state: ModeState) -> bool:
        """Submit the job that ends a settlement; return whether it can end."""
        if self.push_pull.settles:
            followers_of = user if self._reads_pages else None
            job = self._job(JobOperation.SETTLE, id=state.change, targets=(user,), followers_of=followers_of)
            self._submit(replace(job, priority=FanoutPriority.LOW))
        return self.push_pull.settles

    def _settled_length(self) -> int:
        """Return the number of newest activities of a producer that a settlement delivers."""
        # A job from before a change of the feed classes may find none that pulls.
        classes = [self.feeds.followers[name] for name in self.push_pull.pulled_feeds]
        return max(map(self._rebuilt_length, classes), default=1)

    def _rebuilt_length(self, feed: FeedClass | BaseFeed[Any]) -> int:
        """Return the number of newest activities that fill a feed, and let its trim set the floor if there are more."""
        return (feed.max_length or 0) + self.backend.abilities.fan_out_excess + 1

    def _page_size(self, job: Job) -> int:
        """Return the number of readers of one job, which is smaller if the job holds many activities."""
        count = self._settled_length() if job.operation is JobOperation.SETTLE else len(job.activities)
        return max(1, min(self.fanout_chunk_size, _MOST_DELIVERIES // max(1, count)))

    @abstractmethod
    def run_job(self, job: Job, submit: Callable[[Job], None]) -> None:
        """Run one job, and submit the job of its next page of followers; executors call it."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.backend!r}, name={shown(self.name)})"


_MOST_DELIVERIES = 10_000
_OPTIONS = (
    "feed_classes",
    "user_feed_class",
    "target_feed_classes",
    "fanout_chunk_size",
    "follow_activity_limit",
    "include_actor",
    "index_objects",
)


def _chunks(names: Iterable[UserId], size: int) -> Iterator[tuple[UserId, ...]]:
    rest = iter(names)
    while some := tuple(islice(rest, size)):
        yield some

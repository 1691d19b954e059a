"""Feed managers: refusals, the application's own followers, and jobs as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any

import pytest

from feedstore import Activity, connect
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.fanout import FanoutPriority, FeedManager, FollowGraph, HomeFeed, Job, JobOperation, Target, UserFeed
from feedstore.fanout.executors import Executor, RunsJobs
from feedstore.fanout.jobs import as_priority
from feedstore.fanout.manager_core import Followers
from feedstore.feeds import Feed, UserId
from feedstore.storage import Backend
from feedstore.testing.manager_suite import SocialManager, home, post
from feedstore.testing.recording import RecordingMetrics


class Recorded(Executor):
    """Keeps jobs without running them."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def submit(self, manager: RunsJobs, job: Job) -> None:
        self.jobs.append(job)


class OtherActivities(Feed):
    key_format = "other:{user_id}"
    activity_name = "others"


class SameKeys(Feed):
    key_format = "home:{user_id}"


@pytest.fixture
def backend() -> Iterator[Backend]:
    with connect("memory://") as backend:
        yield backend


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"feed_classes": {}}, "feed_classes is empty"),
        ({"feed_classes": [HomeFeed]}, "must be a mapping"),
        ({"feed_classes": {"Normal feed": HomeFeed}}, "has the name 'Normal feed'"),
        ({"feed_classes": {"user": HomeFeed}}, "has the name 'user'"),
        ({"feed_classes": {"normal": "home"}}, "subclasses of feedstore.feeds.Feed"),
        ({"feed_classes": {"normal": HomeFeed, "other": SameKeys}}, "have the same keys"),
        ({"feed_classes": {"normal": OtherActivities}}, "reads other activities"),
        ({"target_feed_classes": {"normal": OtherActivities}}, "is in both"),
        ({"fanout_chunk_size": 0}, "fanout_chunk_size is 0"),
        ({"follow_activity_limit": "many"}, "follow_activity_limit must be an int"),
        ({"graph": "ann"}, "graph must be a FollowGraph or a function"),
        ({"executor": "celery"}, "executor must be an Executor"),
        ({"name": ""}, "the name is empty"),
        ({"chunk_size": 5}, "no option 'chunk_size'; the options are feed_classes"),
    ],
)
def test_a_manager_checks_its_configuration(backend: Backend, options: dict[str, Any], message: str) -> None:
    with pytest.raises((InvalidTypeError, InvalidValueError), match=message):
        FeedManager(backend, **options)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda manager: manager.add_user_activity("ann", post(1), to="mentions:bob"), "pass a list"),
        (lambda manager: manager.add_user_activity("ann", post(1), to=["mail:bob"]), "names no feed class"),
        (lambda manager: manager.add_user_activity("ann", post(1), to=["bob"]), "a target is 'name:user'"),
        (lambda manager: manager.add_user_activity("ann", post(1), to=[("mentions", "")]), "must not be empty"),
        (lambda manager: manager.add_user_activity("ann", 7), "pass an Activity, not 7"),
        (lambda manager: manager.add_user_activity(None, post(1)), "user_id must be a str"),
        (lambda manager: manager.batch_import("bob", [post(1)]), "not one of 'bob'"),
        (lambda manager: manager.update_user_activities({"id": 1}), "not the mapping"),
        (lambda manager: manager.update_activity_to_targets("ann", post(1), new_targets=[]), "is not stored"),
        (lambda manager: manager.follow_user("bob", "ann", copy_limit=-1), "copy_limit is -1"),
        (lambda manager: manager.follow_user("bob", None), "must be a str"),
        (lambda manager: manager.get_feed("mail", "bob"), "'mail' names no feed class; the names are user, normal"),
        (lambda manager: FeedManager(manager.backend).remove_object("photo:1"), "index_objects = True"),
        (lambda manager: FeedManager(manager.backend, graph=followers_of).block_user("a", "b"), "no follow graph"),
        (
            lambda manager: manager.run_job(Job(operation=JobOperation.ADD, manager="x"), print),
            "belongs to the manager",
        ),
    ],
)
def test_a_manager_refuses_arguments(backend: Backend, call: Callable[[Any], Any], message: str) -> None:
    manager = SocialManager(backend)
    with pytest.raises((InvalidTypeError, InvalidValueError), match=message):
        call(manager)
    assert list(backend.activity_storage().iterate()) == []
    assert manager._graph.counts("ann").followers == 0


@pytest.mark.parametrize(
    ("changes", "unset", "message"),
    [
        ({"": 1}, [], "a path is one or more keys"),
        ({"title.x": 1}, [], "leads through 'title', which is no dict"),
        ([1], [], "set must be a mapping"),
        ({}, ["a..b"], "a path is one or more keys"),
    ],
)
def test_a_partial_update_checks_its_paths(backend: Backend, changes: Any, unset: Any, message: str) -> None:
    manager, deed = FeedManager(backend), post(1, extra_context={"title": "x"})
    manager.add_user_activity("ann", deed)
    with pytest.raises((InvalidTypeError, InvalidValueError), match=message):
        manager.activity_partial_update(deed, set=changes, unset=unset)
    assert manager.activities.get(deed) == deed


class OwnFollowers(FeedManager):
    """An application that overrides the function of stream_framework's managers."""

    def get_user_follower_ids(self, user_id: UserId) -> Followers:
        assert user_id == 42
        return {None: [1, 2, 3], FanoutPriority.HIGH: [4], FanoutPriority.LOW: iter([5, 6])}


def followers_of(user_id: UserId) -> list[UserId]:
    return [1, 2, 3, 4, 5, 6] if user_id == 42 else []


@pytest.mark.parametrize("is_function", [False, True])
def test_an_application_supplies_the_followers(backend: Backend, is_function: bool) -> None:
    executor = Recorded()
    options: dict[str, Any] = {"fanout_chunk_size": 2, "executor": executor, "include_actor": True}
    manager = FeedManager(backend, graph=followers_of, **options) if is_function else OwnFollowers(backend, **options)
    deed = post(1, 42)
    manager.add_user_activity(42, deed)
    chunks = [(one.users, one.priority) for one in executor.jobs]
    normal, high, low = FanoutPriority.NORMAL, FanoutPriority.HIGH, FanoutPriority.LOW
    if is_function:
        assert chunks == [(("42", "1"), normal), (("2", "3"), normal), (("4", "5"), normal), (("6",), normal)]
    else:
        assert chunks == [(("42", "1"), normal), (("2", "3"), normal), (("4",), high), (("5", "6"), low)]
    for job in executor.jobs:
        manager.run_job(job, executor.jobs.append)
    assert [manager.get_feeds(user)["normal"].count() for user in range(1, 8)] == [1] * 6 + [0]
    assert manager.follow_user(7, 42) is True
    assert home(manager, "7") == [deed]
    assert manager.unfollow_user(7, 42) is True
    assert home(manager, "7") == []


def test_a_removed_activity_is_not_delivered_later(backend: Backend) -> None:
    executor = Recorded()
    manager = SocialManager(backend, executor=executor)
    manager.follow_user("bob", "ann")
    deed = post(1)
    manager.add_user_activity("ann", deed)
    manager.remove_user_activity("ann", deed)
    for job in executor.jobs:
        manager.run_job(Job.from_dict(job.to_dict()), executor.jobs.append)
    assert home(manager, "bob") == []
    assert manager.get_feeds("bob")["normal"].count() == 0


def test_each_published_activity_is_counted_once() -> None:
    metrics = RecordingMetrics()
    with connect("memory://", metrics=metrics) as backend:
        manager = FeedManager(backend)
        manager.add_user_activity("ann", post(1))
        manager.batch_import("ann", [post(2), post(3)], chunk_size=1)
        manager.batch_import("ann", [post(4)], fanout=False)
        manager.remove_user_activity("ann", post(4))
    assert [metrics.calls.count(("feed", one)) for one in ("published", "removed")] == [4, 1]


def test_an_interrupted_like_is_completed_by_the_next(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = SocialManager(backend)
    manager.follow_user("bob", "ann")
    first, second = (post(7, verb="like", foreign_id=number) for number in (1, 2))
    for step, winner in (("claim", second), ("_publish", first)):
        with monkeypatch.context() as patch:
            patch.setattr(manager.publications if step == "claim" else manager, step, interrupted)
            with pytest.raises(KeyboardInterrupt):
                manager.add_user_activity("ann", first, unique=True)
        assert manager.add_user_activity("ann", second, unique=True) is (winner == second)
        assert home(manager, "bob") == [winner]
        assert manager.retract("ann", "like", "photo:7") is True
    manager.add_user_activity("ann", first, unique=True)
    with monkeypatch.context() as patch:
        patch.setattr(manager, "_forget", interrupted)
        with pytest.raises(KeyboardInterrupt):
            manager.retract("ann", "like", "photo:7")
    assert manager.add_user_activity("ann", second, unique=True) is True
    assert home(manager, "bob") == [second]


def test_the_completion_of_an_interrupted_like_uses_the_arguments_of_its_call(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = SocialManager(backend)
    manager.follow_user("eve", "group:1")
    first, second = (post(7, verb="like", foreign_id=number) for number in (1, 2))
    options: dict[str, Any] = {"to": ["user:group:1", "mentions:cem"], "to_followers": True, "include_actor": True}
    with monkeypatch.context() as patch:
        patch.setattr(manager, "_publish", interrupted)
        with pytest.raises(KeyboardInterrupt):
            manager.add_user_activity("ann", first, unique=True, **options)
    assert manager.add_user_activity("ann", second, unique=True) is False
    assert home(manager, "ann") == home(manager, "eve") == [first]
    assert [one.activities for one in manager.get_feed("mentions", "cem")[:9]] == [(first,)]
    assert manager.retract("ann", "like", "photo:7") is True
    assert (home(manager, "ann"), home(manager, "eve")) == ([], [])


def test_a_like_that_was_trimmed_from_the_own_feed_is_not_published_again(backend: Backend) -> None:
    class Short(Feed):
        key_format = "short:{user_id}"
        max_length = 2

    executor = Recorded()
    manager = FeedManager(backend, executor=executor, user_feed_class=Short)
    like, again = (post(1, verb="like", foreign_id=number) for number in (1, 2))
    assert manager.add_user_activity("ann", like, unique=True) is True
    manager.batch_import("ann", [post(number) for number in range(2, 9)], fanout=False)
    manager.get_user_feed("ann").trim()
    assert manager.get_user_feed("ann").contains(like) is False
    assert manager.add_user_activity("ann", again, unique=True) is False
    assert [one.activities for one in executor.jobs] == [(like.id,)]


def test_a_call_that_finds_another_like_removes_no_published_one(backend: Backend) -> None:
    manager = FeedManager(backend)
    manager.follow_user("bob", "ann")
    first, second = (post(7, verb="like", foreign_id=number) for number in (1, 2))
    manager.add_user_activity("ann", first)
    assert [manager.add_user_activity("ann", one, unique=True) for one in (second, first)] == [True, False]
    assert {one.id for one in home(manager, "bob")} == {first.id, second.id}


@pytest.mark.parametrize("kind", ["graph", "function", "jobs"])
@pytest.mark.parametrize("include_actor", [False, True])
def test_one_call_for_many_activities_makes_the_feeds_of_a_call_for_each(
    kind: str, include_actor: bool, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feedstore.fanout.publishing.LARGE_FAN_OUT", 4)
    monkeypatch.setattr("feedstore.fanout.bulk.LARGE_FAN_OUT", 4)
    # A function of the application receives the actors as they are, of which some are ints.
    users = [number if number % 2 else str(number) for number in range(7)]
    followers = {user: [f"reader:{one}" for one in range(number)] for number, user in enumerate(users)}
    deeds = [post(number, users[number % 7]) for number in range(30)]
    stored = []
    for name in ("each", "many"):
        other = backend.with_namespace(name)
        graph: Any = None if kind == "graph" else followers.__getitem__
        manager = FeedManager(other, graph=graph, include_actor=include_actor)
        if kind == "graph":
            pairs = ((reader, user, None) for user, readers in followers.items() for reader in readers)
            manager._graph.import_follows(pairs)
        executor = Recorded()
        if kind == "jobs":
            manager = FeedManager(other, graph=graph, include_actor=include_actor, executor=executor)
        if name == "each":
            for deed in deeds:
                manager.add_user_activity(deed.actor, deed)
        else:
            assert manager.add_user_activities(deeds, chunk_size=11) == 30
        for job in executor.jobs:
            assert job.priority == FanoutPriority.NORMAL
            manager.run_job(job, partial(executor.submit, manager))
        timelines = other.timeline_storage()
        keys = [key for key in timelines.keys() if key.startswith(("home:", "user:"))]  # noqa: SIM118
        stored.append(timelines.get_many_slices(keys, 0, None))
    assert stored[0] == stored[1]
    assert ("home:0" in stored[0]) is include_actor


def test_one_call_for_many_activities_reports_own_feeds_and_asks_for_followers_once(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feedstore.fanout.publishing.LARGE_FAN_OUT", 4)
    asked: list[UserId] = []

    def followers(user: UserId) -> Followers:
        asked.append(user)
        readers = (f"{user}{number}" for number in range({"few": 4, "many": 9}[str(user)]))
        return {FanoutPriority.HIGH: islice(readers, 3), FanoutPriority.LOW: readers}

    backend.session.metrics = metrics = RecordingMetrics()
    FeedManager(backend, graph=followers).add_user_activities([post(1, "few"), post(2, "many"), post(3, "many")])
    assert asked == ["few", "many"]
    own = [("feed", "write", UserFeed, 1), ("feed", "write", UserFeed, 2)]
    assert [one for one in metrics.calls if UserFeed in one] == own
    keys = [f"home:few{number}" for number in range(4)] + [f"home:many{number}" for number in range(9)]
    assert [backend.timeline_storage().count(key) for key in keys] == [1] * 4 + [2] * 9


@pytest.mark.parametrize("method", ["on_update_feed", "add_many"])
def test_a_feed_class_that_sees_its_adds_receives_objects_from_a_follow(method: str, backend: Backend) -> None:
    seen: list[int] = []

    def see(feed: HomeFeed, entries: Iterable[Any], *arguments: Any, **options: Any) -> Any:
        seen.extend(one.serialization_id for one in entries)
        return getattr(HomeFeed, method)(feed, entries, *arguments, **options)

    manager = FeedManager(backend, feed_classes={"normal": type("SeeingFeed", (HomeFeed,), {method: see})})
    manager.add_user_activity("ann", post(1))
    manager.follow_user("bob", "ann")
    assert seen == [post(1).serialization_id]
    assert home(manager, "bob") == [post(1)]


def test_a_single_activity_is_no_list_of_activities(backend: Backend) -> None:
    manager = FeedManager(backend)
    with pytest.raises(InvalidTypeError, match="pass a list or another iterable"):
        manager.add_user_activities(post(1))  # type: ignore[arg-type]
    with pytest.raises(InvalidTypeError, match="pass an Activity"):
        manager.add_user_activities(["ann"])  # type: ignore[list-item]


def interrupted(*arguments: Any) -> Any:
    raise KeyboardInterrupt


def test_jobs_are_json(backend: Backend) -> None:
    executor = Recorded()
    manager = SocialManager(backend, executor=executor)
    targets: list[Target] = ["user:group:1"]
    manager.add_user_activity("ann", post(1), to=targets, to_followers=True)
    manager.follow_many_users("bob", ["ann"], copy_limit=3)
    manager.unfollow_many_users("bob", ["ann"])
    assert [one.operation for one in executor.jobs] == ["add", "add", "copy", "purge"]
    for job in executor.jobs:
        assert Job.from_dict(json.loads(json.dumps(job.to_dict()))) == job
    assert executor.jobs[2].to_dict() == {
        "version": 1,
        "operation": "copy",
        "manager": "fanout",
        "id": executor.jobs[2].id,
        "priority": "normal",
        "created_at": executor.jobs[2].created_at,
        "users": ["bob"],
        "targets": ["ann"],
        "copy_limit": 3,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "has the version 2, and this release of feedstore runs jobs up to version 1"),
        ({"version": "1"}, "has the version '1'"),
        ({"operation": "dance"}, "has the operation 'dance'; pass one of add"),
        ({"priority": "highest"}, "has the priority 'highest'"),
        ({"users": "bob"}, "the field users of a job must be a list of strs"),
        ({"activities": [7]}, "the field activities of a job"),
        ({"step": "1"}, "the field step of a job has the wrong type"),
        ({"color": 1}, "the unknown field 'color'"),
        ({"id": None}, "the field id of a job"),
        ({"id": ""}, "the id is empty"),
        ({"id": "x" * 2000}, "the id .* has 2000 bytes"),
        ({"manager": "\ud800"}, "the manager .* holds a lone surrogate"),
        ({"version": True}, "has the version True"),
        ({"version": 10**5000}, "has the version <int of"),
        ({"step": -1}, "the field step of a job is -1"),
        ({"created_at": float("nan")}, "the field created_at of a job is nan"),
        ({"created_at": 10**400}, "the field created_at of a job is <int of"),
        ({"operation": ["add"]}, "has the operation"),
        ({"operation": "copy", "users": []}, "has no users, which a copy needs"),
        ({"operation": "settle"}, "has no targets, which a settle needs"),
    ],
)
def test_a_malformed_job_is_refused(change: dict[str, Any], message: str) -> None:
    fields = {**Job(operation=JobOperation.ADD, manager="fanout").to_dict(), **change}
    with pytest.raises((InvalidTypeError, InvalidValueError), match=message):
        Job.from_dict(fields)
    with pytest.raises(InvalidValueError, match="lacks the field operation"):
        Job.from_dict({"version": 1})
    with pytest.raises(InvalidTypeError, match="a job must be a mapping"):
        Job.from_dict(change.get("version"))


def test_priorities_by_their_names() -> None:
    assert [as_priority(one) for one in (None, "HIGH", FanoutPriority.LOW)] == ["normal", "high", "low"]
    with pytest.raises(InvalidValueError, match="the priorities are high, normal, low and None"):
        as_priority("urgent")


def test_a_graph_is_shared(backend: Backend) -> None:
    graph = FollowGraph(backend, kinds=("watch",))
    manager = FeedManager(backend, graph=graph, user_feed_class=UserFeed)
    manager.follow_user("bob", "ann")
    assert graph.is_following("bob", "ann", kind="watch") is True
    assert graph.followers_among("ann", ["bob", "eve"], kind="watch") == {"bob"}
    deed = Activity("ann", "post")
    manager.add_user_activity("ann", deed)
    assert home(manager, "bob") == [deed]

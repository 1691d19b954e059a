"""Follow graphs: accepted rows, and refusals."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest

from feedstore import connect
from feedstore.backends.memory.session import MemorySession
from feedstore.errors import InputError, InvalidValueError
from feedstore.fanout import Executor, FeedManager, FollowGraph, HomeFeed, Job
from feedstore.fanout.executors import RunsJobs
from feedstore.feeds import AggregatedFeed
from feedstore.ingest import (
    Checkpoints,
    InputFollowers,
    Loader,
    Problems,
    import_follows,
    read_follow_pairs,
    read_follows,
)
from feedstore.storage import Backend
from ingest.inputs import FOLLOWS_HEADER, compressed, csv_text, ndjson_text, new_loader, source
from ingest.stored import stored_in


def test_an_actor_is_read_by_its_followers() -> None:
    graph = read_follows(source(FOLLOWS_HEADER + "bob,ann,\neve,ann,2026-01-31T08:39:59Z\nann,eve,\n"), Problems())
    assert graph("ann") == ("bob", "eve")
    assert graph("eve") == ("ann",)
    assert graph("bob") == ()
    assert (graph.edges, graph.readers, graph.followees, graph.repeated) == (3, 3, {"ann", "eve"}, 0)


@pytest.mark.parametrize(
    "text",
    [
        "follower,followee\nbob,ann\n",
        "source,target\nbob,ann\n",
        "target,source\nann,bob\n",
        "time,followee,follower\n,ann,bob\n",
        '{"follower":"bob","followee":"ann"}\n',
        '{"source":"bob","target":"ann"}\n',
        "Source;Target\nbob;ann\n",
        "Followee\tfollower\ttime\nann\tbob\t2026-05-01\n",
        '{"time":null,"followee":"ann","follower":"bob"}\n',
    ],
)
def test_spellings_of_one_edge(text: str) -> None:
    assert read_follows(source(compressed(text)), Problems())("ann") == ("bob",)


def test_a_pair_that_comes_twice_is_one_edge() -> None:
    graph = InputFollowers([("bob", "ann"), ("bob", "ann"), ("eve", "ann")])
    assert (graph.edges, graph.repeated) == (2, 1)
    assert graph("ann") == ("bob", "eve")


def test_actors_with_the_same_followers_share_them() -> None:
    graph = InputFollowers([("bob", "ann"), ("eve", "ann"), ("eve", "cem"), ("bob", "cem")])
    assert graph("ann") is graph("cem")


def test_users_may_be_numbers() -> None:
    graph = read_follows(source(ndjson_text([{"follower": 2, "followee": 1}])), Problems())
    assert graph(1) == graph("1") == ("2",)


def test_an_empty_graph_has_no_follower() -> None:
    assert read_follows(source(FOLLOWS_HEADER), Problems()).edges == InputFollowers().edges == 0


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("bob", "the row has too few fields: 1 instead of 3"),
        (",ann,", "follower is empty"),
        ("bob,,", "followee is empty"),
        ("bob,ann,yesterday", "cannot be read; write it as in"),
        (f"{'x' * 1020},ann,", "the follower's key"),
    ],
)
def test_a_wrong_row_is_refused_with_its_line(row: str, reason: str) -> None:
    text = FOLLOWS_HEADER + f"bob,ann,\n{row}\neve,ann,\n"
    with pytest.raises(InputError, match=reason) as caught:
        read_follows(source(text), Problems())
    assert (caught.value.path, caught.value.line) == ("<stdin>", 3)
    problems = Problems("skip")
    assert read_follows(source(text), problems)("ann") == ("bob", "eve")
    assert problems.count == 1


def test_users_of_other_types_are_refused() -> None:
    with pytest.raises(InputError, match="followee must be a str or an int, not True of type bool"):
        read_follows(source('{"follower":"bob","followee":true}'), Problems())


@pytest.mark.parametrize("text", ["", "follower\n", "follower,followee,source\n", csv_text([])])
def test_a_wrong_header_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        read_follows(source(text), Problems("skip"))


FOLLOWS = (
    FOLLOWS_HEADER + "bob,ann,2026-01-01T00:00:00Z\neve,ann,\nbob,cem,\neve,cem,\n,ann,\nann,eve,never\nann,zoe,\n"
)
ACTORS = ("ann", "cem", "eve")


def rows(count: int = 9) -> str:
    """Activities of three actors, one a second."""
    return csv_text([(n, f"2026-05-01T12:00:{n:02}Z", ACTORS[n % 3], "like", n, "", "") for n in range(count)])


def test_a_stored_graph_delivers_as_the_one_in_memory() -> None:
    problems = Problems("skip")
    with connect("memory://") as backend:
        new_loader(backend, read_follows(source(FOLLOWS), Problems("skip"))).load(source(rows()))
        expected = replace(stored_in(backend), checkpoints=[])
    with connect("memory://") as backend:
        graph = FollowGraph(backend)
        counts = import_follows(graph, source(FOLLOWS), problems)
        assert (counts.edges, counts.new, counts.readers, counts.followees) == (5, 5, 3, {"ann", "cem", "zoe"})
        assert import_follows(graph, source(FOLLOWS), Problems("skip")).new == 0
        assert [error.line for error in problems.first] == [6, 7]
        assert graph.followers("ann").items[-1].since == datetime(2026, 1, 1, tzinfo=timezone.utc)
        assert new_loader(backend).load(source(rows())).deliveries == 12
        assert replace(stored_in(backend), checkpoints=[]) == expected
        # A run without a file of follows finds them, as any other manager does.
        manager = FeedManager(backend)
        assert manager.get_feeds("bob")["normal"].count() == 6
        assert [one.actor for one in manager.get_user_feed("cem")[:9]] == ["cem"] * 3


@pytest.mark.parametrize("actor_too", [False, True])
def test_a_follower_may_receive_the_activities_from_the_follow_on(actor_too: bool) -> None:
    text = FOLLOWS_HEADER + "bob,ann,2026-05-01T12:00:03Z\neve,ann,2026-05-01T12:00:02.5Z\nbob,cem,2027-01-01\n"
    with connect("memory://") as backend:
        manager = FeedManager(backend, include_actor=actor_too)
        assert manager.graph is not None
        import_follows(manager.graph, source(text), Problems())
        summary = Loader(manager, from_follow=True, chunk_rows=4).load(source(rows()))
        found = {
            name: [one.foreign_id for one in manager.get_feeds(name)["normal"][:9]] for name in ("bob", "eve", "ann")
        }
    assert found == {"bob": ["6", "3"], "eve": ["6", "3"], "ann": ["6", "3", "0"] if actor_too else []} | (
        {"eve": ["8", "6", "5", "3", "2"]} if actor_too else {}
    )
    assert summary.deliveries == summary.planned_deliveries == 4 + 9 * actor_too


def test_without_the_times_of_follows_none_is_the_first() -> None:
    with connect("memory://") as backend, pytest.raises(InvalidValueError, match="from_follow needs a manager with a"):
        Loader(FeedManager(backend, graph=InputFollowers()), from_follow=True)


class Grouped(AggregatedFeed):
    """A second feed of each reader."""

    key_format = "grouped:{user_id}"


def test_all_feeds_of_a_manager_are_filled(backend: Backend) -> None:
    classes = {"normal": HomeFeed, "grouped": Grouped}
    manager = FeedManager(backend, feed_classes=classes, graph=InputFollowers([("bob", "ann"), ("7", "ann")]))
    summary = Loader(manager, chunk_rows=5).load(source(rows()))
    feeds = manager.get_feeds(7)
    assert [one.foreign_id for one in feeds["normal"][:9]] == ["6", "3", "0"]
    assert [(one.activity_count, one.verb) for one in feeds["grouped"][:9]] == [(3, "like")]
    assert (summary.activities, summary.deliveries, summary.planned_deliveries) == (9, 6, 6)


def test_a_checkpoint_follows_the_feeds_that_its_batch_does_not_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemorySession, "abilities", replace(MemorySession.abilities, atomic_deliveries=False))
    classes = {"normal": HomeFeed, "grouped": Grouped}
    with connect("memory://") as backend:
        manager = FeedManager(backend, feed_classes=classes, graph=InputFollowers([("bob", "ann")]))
        with monkeypatch.context() as patch:
            patch.setattr(Grouped, "add_to_each_feed", lambda *_, **options: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                Loader(manager).load(source(rows()))
        assert list(Checkpoints(backend)) == []
        summary = Loader(manager).load(source(rows()), resume=True)
        assert [one.activity_count for one in manager.get_feeds("bob")["grouped"][:9]] == [3]
        assert (summary.activities, summary.deliveries) == (0, 0)


class Elsewhere(Executor):
    """An executor that keeps the jobs for later."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def submit(self, manager: RunsJobs, job: Job) -> None:
        """Keep a job."""
        self.jobs.append(Job.from_dict(job.to_dict()))


def test_the_jobs_of_another_executor_deliver() -> None:
    with connect("memory://") as backend:
        executor = Elsewhere()
        manager = FeedManager(backend, executor=executor)
        assert manager.graph is not None
        import_follows(manager.graph, source(FOLLOWS), Problems("skip"))
        assert Loader(manager).load(source(rows())).planned_deliveries == 12
        home = manager.get_feeds("bob")["normal"]
        assert (home.count(), manager.get_user_feed("ann").count()) == (0, 3)
        for job in executor.jobs:
            manager.run_job(job, executor.jobs.append)
        assert home.count() == 6


def test_a_wrong_pair_is_refused_with_its_line() -> None:
    with pytest.raises(InputError, match="follower is empty") as caught:
        list(read_follow_pairs(source(FOLLOWS_HEADER + "bob,ann,\n,ann,\n"), Problems()))
    assert caught.value.line == 3

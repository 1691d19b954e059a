"""The contract of follow graphs: both directions agree, also after an interruption."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from feedstore.errors import BlockedError
from feedstore.fanout import Counts, FollowGraph
from feedstore.feeds import UserId
from feedstore.storage import Backend
from feedstore.testing.suite import Suite

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
_THREADS = 4
_ROUNDS = 5


class Interrupted(Exception):
    """The end of a process in the middle of a call."""


@contextmanager
def before_write(graph: FollowGraph, number: int, action: Callable[[], Any]) -> Iterator[list[str]]:
    """Call ``action`` before the write of a number that the graph sends to its store; yield the names of the writes.

    An action that raises :class:`Interrupted` stands for the end of the process. Each row of an import is a write.
    In a batch that is not atomic the rows are sent one by one, because such a batch may end after any of its writes.
    """
    edges: Any = graph._edges
    sent: list[str] = []
    originals = {}

    def counting(owner: Any, name: str) -> Callable[..., Any]:
        write = getattr(owner, name)
        originals[(owner, name)] = write

        def send(*arguments: Any, **options: Any) -> Any:
            if name == "upsert" and not edges.is_atomic:
                options.pop("batch_interface", None)
            if name == "upsert" or options.get("batch_interface") is None:
                sent.append(name)
                if len(sent) == number + 1:
                    action()
            return write(*arguments, **options)

        return send

    for owner, names in (
        (edges, ["_commit"]),
        (edges.rows, ["insert", "replace", "upsert"]),
        (edges.timelines, ["add_to_each", "remove_from_many"]),
    ):
        for name in names:
            setattr(owner, name, counting(owner, name))
    try:
        yield sent
    finally:
        for owner, name in originals:
            delattr(owner, name)


def end_of_process() -> None:
    """End the process, as far as the graph can know."""
    raise Interrupted


def assert_consistent(graph: FollowGraph, follower: str, followed: str, kind: str = "follow") -> bool:
    """Assert that all reads agree on a follow, each list holds it once at most; return whether it exists."""
    exists = graph.is_following(follower, followed, kind=kind)
    assert [one.name for one in graph.following(follower, kind=kind)].count(followed) == int(exists)
    assert [one.name for one in graph.followers(followed, kind=kind)].count(follower) == int(exists)
    return exists


class FollowGraphSuite(Suite):
    """Follow graphs."""

    @pytest.fixture
    def graph(self, backend: Backend) -> FollowGraph:
        """A graph with two kinds of follows."""
        return FollowGraph(backend, kinds=("follow", "watch"))

    def test_follows_are_kept_once(self, graph: FollowGraph) -> None:
        """Graph: follow and unfollow return whether they changed anything; a repeated one keeps its time."""
        assert graph.follow("bob", "ann", since=START) is True
        assert graph.follow("bob", "ann") is False
        assert graph.is_following("bob", "ann") is True
        assert graph.is_following("ann", "bob") is False
        assert graph.following("bob").items[0].since == START
        assert graph.counts("bob") == Counts(1, 0)
        assert graph.counts("ann") == Counts(0, 1)
        assert graph.unfollow("bob", "ann") is True
        assert graph.unfollow("bob", "ann") is False
        assert assert_consistent(graph, "bob", "ann") is False
        assert graph.counts("ann") == graph.counts("bob") == Counts(0, 0)
        assert graph.follow("bob", "ann") is True
        assert assert_consistent(graph, "bob", "ann") is True

    def test_lists_are_paged_newest_first(self, graph: FollowGraph) -> None:
        """Graph: names of all types come back as they were passed, in the order of their times."""
        names: list[UserId] = ["ann", 7, UUID(int=5), "photo:7", "{x}", "a" * 500]
        for index, name in enumerate(names):
            graph.follow("bob", name, since=START + timedelta(minutes=index % 5))
        times = {str(name): START + timedelta(minutes=index % 5) for index, name in enumerate(names)}
        found, cursor = [], None
        while True:
            page = graph.following("bob", 2, cursor)
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
        assert page.complete
        assert {type(one.name) for one in found} == {str, int, UUID}
        assert sorted(str(one.name) for one in found) == sorted(map(str, names))
        assert [one.since for one in found] == sorted(times.values(), reverse=True)
        assert all(one.since == times[str(one.name)] for one in found)
        assert list(graph.all_following("bob")) == [one.name for one in found]
        assert list(graph.all_followers("photo:7")) == ["bob"]
        for index, name in enumerate(names):
            graph.follow(name, "eve", since=START + timedelta(minutes=index))
        followers, cursor = graph.follower_names("eve", 4)
        assert (len(followers), cursor is None) == (4, False)
        more, cursor = graph.follower_names("eve", 4, cursor)
        assert ([*followers, *more], cursor) == (names[::-1], None)
        some = graph.few_followers(["eve", "photo:7", "zoe"], len(names))
        assert some == {"eve": names[::-1], "photo:7": ["bob"], "zoe": []}
        assert graph.few_followers(["eve", "photo:7"], len(names) - 1) == {"eve": None, "photo:7": ["bob"]}
        assert graph.following_among("bob", ["ann", "7", "eve", "{x}"]) == {"ann", "7", "{x}"}

    def test_kinds_lie_side_by_side(self, graph: FollowGraph) -> None:
        """Graph: a watch is no follow."""
        assert graph.follow("bob", "repo:1", kind="watch") is True
        assert graph.is_following("bob", "repo:1") is False
        assert graph.follow_many("bob", ["repo:1", "repo:2", "repo:1"]) == 2
        assert graph.unfollow("bob", "repo:1") is True
        assert assert_consistent(graph, "bob", "repo:1", "watch") is True
        assert graph.follow_many("bob", ["repo:1", "repo:2"]) == 1
        assert graph.unfollow_many("bob", ["repo:1", "repo:2", "repo:3"]) == 2
        assert graph.counts("bob") == Counts(0, 0)

    def test_a_block_ends_follows_and_refuses_new_ones(self, graph: FollowGraph) -> None:
        """Graph: in both directions and of every kind; a mute changes no follow."""
        graph.follow("bob", "ann")
        graph.follow("ann", "bob", kind="watch")
        assert graph.mute("ann", "bob") is True
        assert (graph.is_muted("ann", "bob"), graph.is_following("bob", "ann")) == (True, True)
        assert graph.block("ann", "bob") is True
        assert graph.block("ann", "bob") is False
        for follower, followed in (("bob", "ann"), ("ann", "bob")):
            for kind in graph.kinds:
                assert assert_consistent(graph, follower, followed, kind) is False
                with pytest.raises(BlockedError, match="'ann' has blocked 'bob'"):
                    graph.follow(follower, followed, kind=kind)
        with pytest.raises(BlockedError):
            graph.follow_many("bob", ["eve", "ann"])
        assert (graph.is_blocked("ann", "bob"), graph.is_blocked("bob", "ann")) == (True, False)
        assert [one.name for one in (*graph.blocked("ann"), *graph.muted("ann"))] == ["bob", "bob"]
        assert (graph.may_have_blocked("ann"), graph.may_have_blocked("bob")) == (True, False)
        assert graph.unblock("ann", "bob") is True
        assert graph.may_have_blocked("ann") is False
        assert graph.unmute("ann", "bob") is True
        assert graph.follow("bob", "ann") is True

    def test_an_import_is_repeatable(self, graph: FollowGraph) -> None:
        """Graph: it adds new pairs alone, and both directions agree."""
        graph.follow("user:0", "ann", since=START + timedelta(days=9))
        pairs = [(f"user:{index % 600}", "ann", START + timedelta(seconds=index % 600)) for index in range(700)]
        assert graph.import_follows(iter(pairs)) == 599
        assert graph.import_follows(pairs) == 0
        assert graph.counts("ann") == Counts(0, 600)
        names = list(graph.all_followers("ann"))
        assert names[:2] == ["user:0", "user:599"]
        assert len(set(names)) == 600
        assert assert_consistent(graph, "user:599", "ann")

    def test_an_import_without_times_keeps_the_order_of_its_pairs(self, graph: FollowGraph) -> None:
        """Graph: later pairs of an import are newer follows."""
        graph.import_follows((f"user:{number}", "ann") for number in range(520))
        assert list(graph.all_followers("ann")) == [f"user:{number}" for number in reversed(range(520))]

    @pytest.mark.parametrize("operation", ["follow", "unfollow", "block", "import_follows"])
    def test_directions_agree_after_an_interruption(self, backend: Backend, operation: str) -> None:
        """Graph: wherever a process dies, both lists and the item agree; the call can be repeated."""
        for number in range(10):
            graph = FollowGraph(backend, name=f"graph-{operation}-{number}")
            other = FollowGraph(backend, name=f"graph-{operation}-{number}")
            if operation in ("unfollow", "block"):
                graph.follow("bob", "ann")
            pairs = [("bob", "ann", START), ("eve", "ann", START), ("bob", "cem", START)]
            is_import = operation == "import_follows"
            arguments: Any = (pairs,) if is_import else ("bob", "ann")
            is_interrupted = False
            with before_write(graph, number, end_of_process):
                try:
                    getattr(graph, operation)(*arguments)
                except Interrupted:
                    is_interrupted = True
            found = [assert_consistent(other, *pair[:2]) for pair in pairs]
            if is_import and other._edges.is_atomic:
                assert len(set(found)) == 1
            getattr(other, operation)(*arguments)
            exists = int(is_import or operation == "follow")
            assert [assert_consistent(other, *pair[:2]) for pair in pairs] == [exists, is_import, is_import]
            for user in ("bob", "ann"):
                other.repair(user)
            expected = 2 if is_import else exists
            assert (other.counts("bob"), other.counts("ann")) == (Counts(expected, 0), Counts(0, expected))
            if not is_interrupted:
                # An import ends in the middle of its rows at the least.
                assert number >= (3 if is_import else 1)
                return
        raise AssertionError("the operation sends too many writes")

    def test_threads_agree(self, backend: Backend) -> None:
        """Graph: of callers that change one pair at the same time, each change is made by one."""
        changes: list[int] = []

        def run(number: int) -> None:
            graph = FollowGraph(backend)
            for _ in range(_ROUNDS):
                changes.append(graph.follow("bob", "ann"))
                changes.append(-graph.unfollow("bob", "ann"))

        threads = [threading.Thread(target=run, args=(number,)) for number in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        graph = FollowGraph(backend)
        exists = assert_consistent(graph, "bob", "ann")
        assert len(changes) == 2 * _THREADS * _ROUNDS
        if backend.abilities.conditional_writes:
            assert sum(changes) == exists
        for user in ("bob", "ann"):
            graph.repair(user)
        assert (graph.counts("bob"), graph.counts("ann")) == (Counts(exists, 0), Counts(0, exists))

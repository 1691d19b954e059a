"""Follow graphs: every interleaving of two calls, random calls against a model, and refusals."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from enum import Enum
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedstore import connect
from feedstore.errors import BlockedError, InvalidTypeError, InvalidValueError, StoredDataError
from feedstore.fanout import Counts, Follow, FollowGraph
from feedstore.fanout.edges import Edge, FollowSerializer, names_of, token_of
from feedstore.storage import Backend, EntryColumns
from feedstore.testing.follow_graph_suite import Interrupted, assert_consistent, before_write, end_of_process
from patched_calls import list_round_trips

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
PAIR = ("bob", "ann")
USERS = ("ann", "bob", "ann:x", "7")


@pytest.fixture
def backend() -> Iterator[Backend]:
    with connect("memory://") as backend:
        yield backend


def new_graph(backend: Backend, is_atomic: bool, name: str = "graph") -> FollowGraph:
    """A graph that writes in one of the two ways; the store of this test allows both."""
    graph = FollowGraph(backend, kinds=("follow", "watch"), name=name)
    graph._edges.is_atomic = is_atomic
    return graph


def call(graph: FollowGraph, operation: str) -> Any:
    if operation == "repair":
        return [graph.repair(user) for user in PAIR]
    if operation == "import_follows":
        return bool(graph.import_follows([(*PAIR, START)]))
    try:
        return getattr(graph, operation)(*PAIR)
    except BlockedError:
        return False


@pytest.mark.parametrize("is_atomic", [True, False], ids=["atomic", "in order"])
@pytest.mark.parametrize("first", ["follow", "unfollow", "block", "repair", "import_follows"])
def test_a_call_in_the_middle_of_another(backend: Backend, first: str, is_atomic: bool) -> None:
    seconds = ["repair"] if first == "import_follows" else ["follow", "unfollow", "block", "repair"]
    for second, is_there, number in product(seconds, [True, False], range(6)):
        name = f"{second}-{is_there}-{number}"
        graph, other = (new_graph(backend, is_atomic, name) for _ in range(2))
        if is_there:
            graph.follow(*PAIR)
        outcomes: list[Any] = []

        def interrupt(other: FollowGraph = other, second: str = second, outcomes: list[Any] = outcomes) -> None:
            outcomes.append(call(other, second))

        with before_write(graph, number, interrupt):
            outcome = call(graph, first)
        exists = assert_consistent(graph, *PAIR)
        if graph.is_blocked(*PAIR):
            assert not exists, name
        changed = {"follow": 1, "unfollow": -1, "block": 0, "repair": 0, "import_follows": 1}
        if outcomes and "block" not in (first, second):
            both = ((first, outcome), (second, outcomes[0]))
            assert is_there + sum(changed[one] * (result is True) for one, result in both) == exists, name
        # No process died, so there is nothing to repair.
        assert (graph.counts("bob"), graph.counts("ann")) == (Counts(exists, 0), Counts(0, exists)), name


@pytest.mark.parametrize("is_removed", [True, False], ids=["removed before", "new"])
@pytest.mark.parametrize(("outer", "inner"), [("repair", "import_follows"), ("import_follows", "repair")])
def test_a_repeated_import_beside_a_repair(backend: Backend, outer: str, inner: str, is_removed: bool) -> None:
    for number in range(7):
        graph, other = (new_graph(backend, False, f"{number}") for _ in range(2))
        if is_removed:
            graph.follow(*PAIR)
            graph.unfollow(*PAIR)
        # An import dies after its entries, which have the same ids as those of the repeated import.
        with before_write(graph, 1, end_of_process), pytest.raises(Interrupted):
            call(graph, "import_follows")
        with before_write(graph, number, lambda other=other: call(other, inner)) as sent:  # type: ignore[misc]
            call(graph, outer)
        if len(sent) <= number:
            call(graph, inner)
        assert assert_consistent(graph, *PAIR), number
        assert (graph.counts("bob"), graph.counts("ann")) == (Counts(1, 0), Counts(0, 1)), number


def test_a_refused_follow_removes_no_later_one(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, other = (new_graph(backend, False) for _ in range(2))
    read, reads = graph._edges.read, []

    def slow_read(edges: Any) -> dict[str, Any]:
        reads.append(edges)
        if len(reads) == 1:
            return read(edges)
        # The second read, of the blocks, is answered before the block ends.
        other.block("ann", "bob")
        answer = read(edges)
        other.unblock("ann", "bob")
        assert other.follow(*PAIR) is True
        return answer

    monkeypatch.setattr(graph._edges, "read", slow_read)
    with pytest.raises(BlockedError):
        graph.follow(*PAIR)
    assert assert_consistent(other, *PAIR)


def test_a_block_ends_the_kinds_of_its_graph(backend: Backend) -> None:
    graph, other = FollowGraph(backend), FollowGraph(backend, kinds=("follow", "watch"))
    other.follow(*PAIR)
    other.follow(*PAIR, kind="watch")
    graph.block("ann", "bob")
    assert (other.is_following(*PAIR), other.is_following(*PAIR, kind="watch")) == (False, True)
    with pytest.raises(BlockedError):
        other.follow("ann", "bob", kind="watch")


@pytest.mark.parametrize("is_atomic", [True, False], ids=["atomic", "in order"])
def test_the_round_trips_of_the_costs_table(backend: Backend, monkeypatch: pytest.MonkeyPatch, is_atomic: bool) -> None:
    graph = new_graph(backend, is_atomic)
    calls = (
        (graph._edges.rows, ("get", "fetch_many", "insert", "replace", "upsert")),
        (graph._edges.timelines, ("get_page", "count", "add_to_each", "remove_from_many")),
    )
    made = list_round_trips(monkeypatch, backend, calls)
    pairs = [(f"user:{number}", "cem") for number in range(500)]
    for name, call, atomic, in_order in (
        ("follow, new", lambda: graph.follow(*PAIR), 1, 4),
        ("follow, existing", lambda: graph.follow(*PAIR), 2, 1),
        ("is_following", lambda: graph.is_following(*PAIR), 1, 1),
        ("following_among", lambda: graph.following_among("bob", USERS), 1, 1),
        ("a page", lambda: graph.following("bob"), 1, 2),
        ("counts", lambda: graph.counts("bob"), 2, 2),
        ("unfollow, existing", lambda: graph.unfollow(*PAIR), 2, 3),
        ("unfollow, absent", lambda: graph.unfollow(*PAIR), 1, 1),
        ("block", lambda: graph.block("ann", "bob"), 2, 7),
        ("import_follows", lambda: graph.import_follows(pairs), 2, 4),
    ):
        made.clear()
        call()
        assert len(made) == (atomic if is_atomic else in_order), (name, made)


calls = st.lists(
    st.tuples(
        st.sampled_from(["follow", "unfollow", "block", "unblock", "mute", "unmute"]),
        st.sampled_from(USERS),
        st.sampled_from(USERS),
        st.sampled_from(["follow", "watch"]),
        st.integers(0, 3),
    ),
    max_size=25,
)


@given(calls, st.booleans())
def test_random_calls_agree_with_a_model(made: list[tuple[str, str, str, str, int]], is_atomic: bool) -> None:
    with connect("memory://") as backend:
        graph = new_graph(backend, is_atomic)
        model: dict[tuple[str, str, str], datetime] = {}
        for operation, one, other, kind, minutes in made:
            _call_both(graph, model, operation, one, other, kind, START + timedelta(minutes=minutes))
        for user, kind in product(USERS, ("follow", "watch")):
            followed = {other: since for (one, other, of), since in model.items() if (one, of) == (user, kind)}
            followers = {one: since for (one, other, of), since in model.items() if (other, of) == (user, kind)}
            for page, expected in (
                (graph.following(user, kind=kind), followed),
                (graph.followers(user, kind=kind), followers),
            ):
                assert {one.name: one.since for one in page} == expected
                assert [one.since for one in page] == sorted(expected.values(), reverse=True)
            assert graph.counts(user, kind=kind) == Counts(len(followed), len(followers))
            for other in USERS:
                assert graph.is_following(user, other, kind=kind) is ((user, other, kind) in model)
        for user in USERS:
            assert {one.name for one in graph.blocked(user)} == {b for a, b, of in model if (a, of) == (user, "block")}
            assert {one.name for one in graph.muted(user)} == {b for a, b, of in model if (a, of) == (user, "mute")}


def _call_both(
    graph: FollowGraph, model: dict[Any, datetime], operation: str, one: str, other: str, kind: str, since: datetime
) -> None:
    """Make a call on the graph and the model, and compare the results."""
    if operation == "block" and one == other:
        return
    of = {"follow": kind, "unfollow": kind}.get(operation, operation.removeprefix("un"))
    edge, is_new = (one, other, of), (one, other, of) not in model
    if operation == "follow":
        if is_new and ((one, other, "block") in model or (other, one, "block") in model):
            with pytest.raises(BlockedError):
                graph.follow(one, other, kind=kind)
            return
        assert graph.follow(one, other, kind=kind, since=since) is is_new
        model.setdefault(edge, since)
    elif operation == "unfollow":
        assert graph.unfollow(one, other, kind=kind) is (model.pop(edge, None) is not None)
    elif operation in ("block", "mute"):
        ended = [(a, b, kind) for a, b in ((one, other), (other, one)) for kind in graph.kinds]
        found = [model.pop(each, None) for each in ended] if operation == "block" else []
        assert getattr(graph, operation)(one, other) is (is_new or any(found))
        model.setdefault(edge, since)
    else:
        assert getattr(graph, operation)(one, other) is (model.pop(edge, None) is not None)


def test_names_never_share_a_list() -> None:
    names = ["a", "a:b", "a%3Ab", "{a}", "~a", "%7Ea", "A", "a" * 199, "a" * 200, "a" * 201, "ä" * 101, "7 ", "", "\0"]
    tokens = [token_of(name) for name in names]
    assert len(set(tokens)) == len(names)
    assert not any(set(token) & set(":{}") for token in tokens)
    assert max(len(token.encode()) for token in tokens) <= 200
    assert token_of(7) == token_of("7")
    assert token_of(UUID(int=7)) == token_of(str(UUID(int=7)))


def test_the_stored_form_stays() -> None:
    edge = Edge("bob", "photo:7", "follow")
    assert edge.row_key == "{bob}:follow:photo%3A7"
    assert edge.following_key == "{bob}:following:follow"
    assert edge.followers_key == "{photo%3A7}:followers:follow"
    assert f"{edge.mark(START, 0):032x}" == "019b76daa8007000a79fb99b165d4de3"
    serializer = FollowSerializer()
    for name, stored in (("bob", "51a3626f62"), (7, "5107"), (UUID(int=1), "51d805" + "00" * 15 + "01")):
        assert serializer.dumps(Follow(name, 5)).hex() == stored
        assert serializer.loads(bytes.fromhex(stored), 5) == Follow(name, 5)
    with pytest.raises(StoredDataError, match="0x51"):
        serializer.loads(b"\x11", 5)
    with pytest.raises(InvalidTypeError, match="follow graph"):
        serializer.dumps("bob")
    for damaged in (b"\x11", b"", b"\x51", b"\x51\xc0\x51\x01", b"\x51\xa9bob"):
        with pytest.raises(StoredDataError):
            names_of(EntryColumns([7, 6], [b"\x51\x05", damaged], None), 2)


def test_a_follow_has_a_form_for_json(backend: Backend) -> None:
    graph = FollowGraph(backend)
    graph.follow("bob", UUID(int=1), since=START)
    assert graph.following("bob").to_dict() == {
        "items": [{"name": str(UUID(int=1)), "since": "2026-01-01T00:00:00+00:00"}],
        "next_cursor": None,
        "complete": True,
        "floor": None,
    }


def test_a_member_of_an_enumeration_is_the_user_of_its_value(backend: Backend) -> None:
    class Number(int, Enum):
        SEVEN = 7

    class Name(str, Enum):  # noqa: UP042 - str of a member is not its value
        ANN = "ann"

    graph = FollowGraph(backend)
    graph.follow(Number.SEVEN, Name.ANN)
    graph.follow(10**900, "ann")
    assert graph.is_following("7", "ann")
    assert list(graph.all_followers(Name.ANN)) == [10**900, 7]
    assert list(graph.all_following(Number.SEVEN)) == ["ann"]


def test_bad_arguments_are_refused(backend: Backend) -> None:
    graph = FollowGraph(backend)
    with pytest.raises(InvalidValueError, match="no kind 'watch'; its kinds are follow"):
        graph.follow("bob", "ann", kind="watch")
    for wrong in ("", "\ud800", 10**5000, -(10**5000)):
        with pytest.raises(InvalidValueError, match="followed user"):
            graph.follow("bob", wrong)
    refused: tuple[Any, ...] = (None, 1.5, True, b"ann", ["ann"])
    for user in refused:
        with pytest.raises(InvalidTypeError, match="follower"):
            graph.is_following(user, "ann")
    with pytest.raises(InvalidTypeError, match="pass a list"):
        graph.follow_many("bob", "ann")
    with pytest.raises(InvalidValueError, match="timezone"):
        graph.follow("bob", "ann", since=START.replace(tzinfo=None))
    with pytest.raises(InvalidValueError, match="itself"):
        graph.block(7, "7")
    pairs: tuple[Any, ...] = ("ab", ("a",), ("a", "b", START, 1))
    for pair in pairs:
        with pytest.raises(InvalidTypeError, match="a pair is"):
            graph.import_follows([pair])
    for kinds in ([], ["block"], ["Follow"], ["a:b"], [1], [""]):
        with pytest.raises(InvalidValueError, match="kind"):
            FollowGraph(backend, kinds=kinds)  # type: ignore[arg-type]
    with pytest.raises(InvalidValueError, match="limit"):
        graph.followers("ann", 0)

"""Follow graphs: accepted rows, and refusals."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from feedstore import connect
from feedstore.errors import InputError
from feedstore.fanout import FollowGraph
from feedstore.ingest import InputGraph, Loader, Problems, read_follow_pairs, read_follows
from ingest.inputs import FOLLOWS_HEADER, compressed, csv_text, ndjson_text, source
from ingest.stored import stored_in


def test_an_actor_is_read_by_its_followers() -> None:
    graph = read_follows(source(FOLLOWS_HEADER + "bob,ann,\neve,ann,2026-01-31T08:39:59Z\nann,eve,\n"), Problems())
    assert graph.readers_of("ann") == ("feed:bob", "feed:eve")
    assert graph.readers_of("eve") == ("feed:ann",)
    assert graph.readers_of("bob") == ()
    assert (graph.edges, graph.readers, graph.followees, graph.repeated) == (3, 3, 2, 0)
    assert "ann" in graph
    assert "bob" not in graph


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
    assert read_follows(source(compressed(text)), Problems()).readers_of("ann") == ("feed:bob",)


def test_a_pair_that_comes_twice_is_one_edge() -> None:
    graph = InputGraph([("bob", "ann"), ("bob", "ann"), ("eve", "ann")])
    assert (graph.edges, graph.repeated) == (2, 1)
    assert graph.readers_of("ann") == ("feed:bob", "feed:eve")


def test_actors_with_the_same_followers_share_them() -> None:
    graph = InputGraph([("bob", "ann"), ("eve", "ann"), ("eve", "cem"), ("bob", "cem")])
    assert graph.readers_of("ann") is graph.readers_of("cem")


def test_users_may_be_numbers() -> None:
    graph = read_follows(source(ndjson_text([{"follower": 2, "followee": 1}])), Problems())
    assert graph.readers_of(1) == graph.readers_of("1") == ("feed:2",)


def test_an_empty_graph_has_no_follower() -> None:
    assert read_follows(source(FOLLOWS_HEADER), Problems()).edges == InputGraph().edges == 0


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
    assert read_follows(source(text), problems).readers_of("ann") == ("feed:bob", "feed:eve")
    assert problems.count == 1


def test_users_of_other_types_are_refused() -> None:
    with pytest.raises(InputError, match="followee must be a str or an int, not True of type bool"):
        read_follows(source('{"follower":"bob","followee":true}'), Problems())


@pytest.mark.parametrize("text", ["", "follower\n", "follower,followee,source\n", csv_text([])])
def test_a_wrong_header_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        read_follows(source(text), Problems("skip"))


def test_a_stored_graph_delivers_as_the_one_in_memory() -> None:
    text = (
        FOLLOWS_HEADER + "bob,ann,2026-01-01T00:00:00Z\neve,ann,\nbob,cem,\neve,cem,\n,ann,\nann,eve,never\nann,zoe,\n"
    )
    rows = csv_text(
        [(n, f"2026-05-01T12:00:{n:02}Z", "anncemeve"[n % 3 * 3 :][:3], "like", n, "", "") for n in range(9)]
    )
    problems = Problems("skip")
    with connect("memory://") as backend:
        Loader(backend, read_follows(source(text), Problems("skip"))).load(source(rows))
        expected = stored_in(backend)
    with connect("memory://") as backend:
        graph = FollowGraph(backend)
        assert graph.import_follows(read_follow_pairs(source(text), problems)) == 5
        assert [error.line for error in problems.first] == [6, 7]
        assert graph.followers("ann").items[-1].since == datetime(2026, 1, 1, tzinfo=timezone.utc)
        loader = Loader(backend, graph)
        assert loader.load(source(rows)).deliveries == 12
        assert loader.idle_followees == 0
        assert loader.follows.readers_of("ann") is loader.follows.readers_of("cem")
        assert stored_in(backend) == expected


def test_a_wrong_pair_is_refused_with_its_line() -> None:
    with pytest.raises(InputError, match="follower is empty") as caught:
        list(read_follow_pairs(source(FOLLOWS_HEADER + "bob,ann,\n,ann,\n"), Problems()))
    assert caught.value.line == 3

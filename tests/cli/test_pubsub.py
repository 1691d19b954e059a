"""``feedstore pubsub``."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.running import CommandLine, run_in_terminal

# The application of the tests: its cache reads a server in memory.
APPLICATION = """
from feedstore import connect
from feedstore.pubsub import PubsubCache
from feedstore.pubsub.memory_service import MemoryPubsubServer

def parse(item, service, node):
    if item.id == "i2" and node == "hard":
        raise ValueError("unreadable")
    return {{"title": item.payload.decode(), "number": int(item.id[1:])}}

def cache():
    service = MemoryPubsubServer("pubsub.example").service("ann")
    for node in ("blog", "hard"):
        for number in (1, 2, 3):
            service.publish(node, b"item %d" % number, item_id=f"i{{number}}")
    cache = PubsubCache(service, connect({url!r}))
    cache.register_analyser("all", "blog", node="blog", to_sync=True, parser=parse)
    cache.register_analyser("hard", "blog", node="hard", to_sync=True, parser=parse)
    return cache
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a store, with an application that has a cache on it."""
    url = f"sqlite:///{tmp_path / 'cache.db'}"
    monkeypatch.setenv("FEEDSTORE_URL", url)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"application_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(APPLICATION.format(url=url), encoding="utf-8")
    return f"{name}:cache"


def test_a_node_from_its_synchronisation_to_its_removal(feedstore: CommandLine, store: str) -> None:
    assert feedstore("pubsub", "sync", store, "blog").out == "blog is completed\n"
    node = feedstore("pubsub", "nodes", "--json").json[0]
    assert (node["account"], node["service"], node["name"], node["sync_state"], node["type"]) == (
        *("ann", "pubsub.example", "blog", "completed", "blog"),
    )
    assert "pubsub.example  blog  blog  completed" in feedstore("pubsub", "nodes").out
    get = ("pubsub", "get", "ann", "pubsub.example", "blog")
    assert feedstore(*get, "--payload").out == "item 1\nitem 2\nitem 3\n"
    assert [one["item_id"] for one in feedstore(*get, "--after", "i1", "--json").json["items"]] == ["i2", "i3"]
    assert [one["item_id"] for one in feedstore(*get, "--id", "i3", "--json").json["items"]] == ["i3"]
    assert feedstore(*get, "--after", "none").status == 3
    assert feedstore(*get, "--id", "i1", "--after", "i1").status == 2
    assert feedstore("pubsub", "get", "bob", "pubsub.example", "blog").status == 3
    assert feedstore("pubsub", "purge", "--node", "blog", "--created-before", "now", "--force").out == (
        "removed 3 items\n"
    )
    assert feedstore(*get, "--json").json == {"items": []}
    assert feedstore("pubsub", "sync", store, "blog", "--resync", "--json").json["sync_state"] == "completed"
    assert len(feedstore(*get, "--json").json["items"]) == 3
    assert feedstore("pubsub", "reset", "--account", "bob", "--force", "--json").json == {"removed": 0}
    assert feedstore("pubsub", "reset", "--force").out == "removed 1 node\n"
    assert feedstore("pubsub", "nodes", "--json").json == []


def test_searches(feedstore: CommandLine, store: str) -> None:
    feedstore("pubsub", "sync", store, "blog")

    def found(*arguments: str) -> list[str]:
        return [one["item_id"] for one in feedstore("pubsub", "search", *arguments, "--json").json["items"]]

    assert found() == found("item") == ["i1", "i2", "i3"]
    assert found("--where", "number", ">=", "2", "--order-by", "path:number:desc") == ["i3", "i2"]
    assert found("--where", "title", "like", "%1") == ["i1"]
    assert found("--where", "number", "<", "TP(1h ago)", "--limit", "1") == ["i1"]
    assert found("--type", "-") == found("--account", "bob") == []
    assert found("--type", "blog", "--type", "-", "--index", "2") == ["i3"]
    page = feedstore("pubsub", "search", "--limit", "2", "--json").json
    assert found("--limit", "2", "--cursor", page["next_cursor"]) == ["i3"]
    result = feedstore("pubsub", "search", "-k", "title", "--limit", "1")
    assert result.out.splitlines()[0].endswith('blog  i1  {"title": "item 1"}')
    for wrong in (
        ["--where", "number", "about", "2"],
        ["--where", "9" * 5000, "==", "2"],
        ["--where", "number", "==", "[" * 100_000],
        ["--order-by", "rank"],
        ['"open'],
        ["--created-before", "soon"],
    ):
        assert feedstore("pubsub", "search", *wrong).status == 2, wrong


def test_failures(feedstore: CommandLine, store: str) -> None:
    result = feedstore("pubsub", "sync", store, "absent")
    assert (result.status, result.out) == (
        1,
        "absent is error: the server pubsub.example has no node 'absent'\n",
    )
    feedstore("pubsub", "sync", store, "hard")
    result = feedstore("pubsub", "reparse", store, "--node", "hard")
    assert (result.status, result.out) == (1, "parsed 2 items; 0 without a parser\n")
    assert "hard i2: ValueError: 'unreadable'" in result.err
    nothing = feedstore("pubsub", "reparse", store, "--node", "blog", "--json").json
    assert nothing == {"parsed": 0, "unparsed": 0, "failed": []}
    assert "no PubsubCache" in feedstore("pubsub", "sync", "json:__name__", "blog").err
    refused = feedstore("pubsub", "nodes", "--store", "memory://")
    assert (refused.status, "connect to SQLite or PostgreSQL" in refused.err) == (1, True)


@pytest.mark.parametrize(("answer", "status"), [("y", 0), ("n", 1)])
def test_removing_asks_on_a_terminal(feedstore: CommandLine, store: str, answer: str, status: int) -> None:
    feedstore("pubsub", "sync", store, "blog")
    ended, screen = run_in_terminal("pubsub", "purge", given=f"{answer}\n")
    assert (ended, "Remove all cached items in the namespace default of sqlite:///" in screen) == (status, True)
    without = feedstore("pubsub", "reset")
    assert (without.status, "pubsub reset asks" in without.err, "pass --force" in without.err) == (2, True, True)

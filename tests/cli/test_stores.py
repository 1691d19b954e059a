"""The commands on every kind of store that a URL leads to."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from redis import Redis, RedisCluster

from cli.conftest import FOLLOWS
from cli.running import CommandLine, Result
from feedstore import connect
from ingest.inputs import csv_text
from stores import STORES, fresh_namespace

ROWS = [
    (number, f"2026-05-01T12:00:{number:02}Z", "ann" if number % 2 else "cem", "like", f"photo:{number}", "", "")
    for number in range(20)
]
INGEST = ("ingest", "activities.csv", "--follows", "follows.csv", "--max-length", "8", "--chunk-size", "6")

READING = (["stats"], ["timeline", "home:bob"], ["activity", "0" * 32])

pytestmark = pytest.mark.parametrize("backend_kind", [kind for kind in STORES if kind != "memory"])


class StoreCommand:
    """The command line on one namespace of one store."""

    def __init__(self, feedstore: CommandLine, url: str) -> None:
        self.namespace = fresh_namespace()
        self.url = url
        self._feedstore = feedstore

    def __call__(self, *arguments: str) -> Result:
        """Run a command that must succeed."""
        result = self.result(*arguments)
        assert (result.status, result.err) == (0, "")
        return result

    def result(self, *arguments: str) -> Result:
        """Run a command that may fail."""
        return self._feedstore(*arguments, "--store", self.url, "--namespace", self.namespace)

    def json(self, *arguments: str) -> Any:
        """Run a command for programs."""
        return self(*arguments, "--json").json


@pytest.fixture
def command(feedstore: CommandLine, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoreCommand:
    """The command line on a fresh namespace of the store, beside an input."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "activities.csv").write_text(csv_text(ROWS))
    (tmp_path / "follows.csv").write_text(FOLLOWS)
    return StoreCommand(feedstore, store_url)


def test_ingesting_and_reading_page_by_page(command: StoreCommand) -> None:
    report = command.json(*INGEST)
    assert (report["rows"], report["skipped"], report["error"]) == (20, 0, None)
    assert report["planned_deliveries"] == 30
    first = command.json("timeline", "home:bob", "--limit", "5")
    second = command.json("timeline", "home:bob", "--limit", "5", "--cursor", first["next_cursor"])
    objects = [entry["object"] for entry in first["items"] + second["items"]]
    assert objects[:8] == [f"photo:{number}" for number in range(19, 11, -1)]
    activity = command.json("activity", first["items"][0]["id"])
    assert (activity["actor"], activity["object"]) == ("ann", "photo:19")


def test_resuming_behind_what_is_stored(command: StoreCommand, tmp_path: Path) -> None:
    (tmp_path / "activities.csv").write_text(csv_text(ROWS[:12]))
    assert command.json(*INGEST)["rows"] == 12
    (tmp_path / "activities.csv").write_text(csv_text(ROWS))
    report = command.json(*INGEST, "--resume")
    assert (report["resumed_rows"], report["rows"]) == (12, 8)
    with connect(command.url, namespace=command.namespace) as backend:
        assert len(list(backend.activity_storage().iterate())) == 20


def test_trimming_and_counting(command: StoreCommand) -> None:
    command(*INGEST)
    command("trim", "home:eve", "user:ann", "--length", "3")
    found = command.json("stats")
    assert found["activities"]["count"] == 20
    assert found["timelines"]["user:"] == {"timelines": 2, "entries": 13, "longest": 10, "longest_key": "user:cem"}
    assert found["timelines"]["home:"]["timelines"] == 2
    assert [(one["rows"], one["finished"]) for one in found["ingested"]] == [(20, True)]
    page = command.json("timeline", "home:eve", "--limit", "9")
    assert [entry["object"] for entry in page["items"]] == ["photo:19", "photo:17", "photo:15"]
    assert page["complete"] is False


def test_reading_an_empty_namespace_writes_nothing(command: StoreCommand, backend_kind: str) -> None:
    with connect(command.url, namespace=fresh_namespace()) as other:
        # Makes the tables, where there are any.
        assert other.timeline_storage().count("home:bob") == 0
    assert [command.result(*arguments).status for arguments in READING] == [0, 3, 3]
    if backend_kind.startswith("redis"):
        first_node = command.url.replace("+cluster", "").partition(",")[0]
        with closing((Redis if backend_kind == "redis" else RedisCluster).from_url(first_node)) as client:
            assert client.keys(f"*{command.namespace}*") == []

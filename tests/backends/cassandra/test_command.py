"""The command line does the same on Cassandra as on SQLite."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.conftest import FOLLOWS, ROWS
from cli.running import CommandLine, run_process
from ingest.inputs import csv_text
from stores import fresh_namespace


@pytest.fixture
def feedstore(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """The command line."""
    return CommandLine(capsys)


@pytest.fixture
def namespace(cassandra_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A namespace of the store that FEEDSTORE_URL names, and inputs in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEEDSTORE_URL", cassandra_url)
    (tmp_path / "activities.csv").write_text(csv_text(ROWS))
    (tmp_path / "follows.csv").write_text(FOLLOWS)
    return fresh_namespace()


def test_ingesting_showing_counting_and_trimming(feedstore: CommandLine, namespace: str) -> None:
    space = ("--namespace", namespace)
    report = feedstore("ingest", "activities.csv", "--follows", "follows.csv", "--json", *space).json
    assert [report[name] for name in ("rows", "activities", "deliveries", "error")] == [3, 3, 5, None]
    page = feedstore("timeline", "home:bob", "--json", *space)
    assert page.status == 0
    activities = page.json["items"]
    assert [activity["actor"] for activity in activities] == ["ann", "cem", "ann"]
    assert feedstore("activity", activities[0]["id"], "--json", *space).json["actor"] == activities[0]["actor"]
    stats = feedstore("stats", *space)
    assert (stats.status, stats.err) == (0, "")
    assert stats.out.splitlines()[2].startswith("3 activities")
    trimmed = feedstore("trim", "--all", "--yes", "--length", "1", *space)
    assert trimmed.out == "4 timelines were trimmed; this store does not count removed entries\n"
    report = feedstore("trim", "--all", "--yes", "--length", "1", "--json", *space).json
    assert report == {"timelines": 4, "trimmed": None, "removed": None}
    page = feedstore("timeline", "home:bob", *space)
    assert "the end of the kept entries: older ones were trimmed" in page.out
    assert feedstore("timeline", "home:zoe", *space).status == 3


def test_an_ingestion_is_resumed(feedstore: CommandLine, namespace: str) -> None:
    arguments = ("ingest", "activities.csv", "--follows", "follows.csv", "--resume", "--json", "--namespace", namespace)
    assert feedstore(*arguments).json["rows"] == 3
    again = feedstore(*arguments).json
    assert (again["resumed_rows"], again["rows"]) == (3, 0)


def test_a_store_that_cannot_be_reached_is_one_line_without_its_password() -> None:
    result = run_process("stats", "--store", "cassandra://user:secret@127.0.0.1:1/feeds?retry_seconds=0")
    assert result.status == 1
    assert result.err.startswith("feedstore: error: cassandra://127.0.0.1:1/feeds: ")
    assert "secret" not in result.out + result.err
    assert "Traceback" not in result.err

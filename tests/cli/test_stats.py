"""``feedstore stats`` and ``feedstore trim``."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.running import CommandLine, run_in_terminal


def test_statistics_for_people(feedstore: CommandLine, filled: Path) -> None:
    result = feedstore("stats")
    assert (result.status, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0].endswith("feeds.db, namespace default")
    assert lines[2] == "3 activities, 2026-05-01 12:00:00 to 2026-05-01 12:10:00 (UTC)"
    assert [line.split() for line in lines[4:7]] == [
        ["timelines", "count", "entries", "longest", "which"],
        ["user:…", "users'", "own", "2", "3", "2", "user:ann"],
        ["home:…", "home", "feeds", "2", "5", "3", "home:bob"],
    ]
    assert lines[9].split()[-4:] == [str(filled / "activities.csv"), "3", "0", "all"]


def test_statistics_for_programs(feedstore: CommandLine, filled: Path) -> None:
    found = feedstore("stats", "--json").json
    assert found == {
        "store": f"sqlite:///{filled / 'feeds.db'}",
        "namespace": "default",
        "activities": {"count": 3, "first": "2026-05-01T12:00:00+00:00", "last": "2026-05-01T12:10:00+00:00"},
        "timelines": {
            "user:": {"timelines": 2, "entries": 3, "longest": 2, "longest_key": "user:ann"},
            "home:": {"timelines": 2, "entries": 5, "longest": 3, "longest_key": "home:bob"},
            "other": {"timelines": 0, "entries": 0, "longest": 0, "longest_key": None},
        },
        "ingested": [{"source": str(filled / "activities.csv"), "rows": 3, "skipped": 0, "finished": True}],
    }


def test_statistics_of_an_empty_store(feedstore: CommandLine, folder: Path) -> None:
    feedstore("db", "upgrade")
    assert feedstore("stats").out.splitlines()[2:] == ["0 activities"]


def test_the_timelines_that_are_named_are_trimmed_or_all(feedstore: CommandLine, filled: Path) -> None:
    result = feedstore("trim", "--length", "2", "home:bob", "home:zoe", "home:bob")
    assert result.out == "removed 1 entry from 1 of 2 timelines\n"
    assert feedstore("trim", "--all", "--yes", "--length", "1", "--json").json == {
        "timelines": 4,
        "trimmed": 3,
        "removed": 3,
    }
    assert feedstore("trim", "--all", "--yes", "--length", "1", "--json").json == {
        "timelines": 4,
        "trimmed": 0,
        "removed": 0,
    }
    found = feedstore("stats", "--json").json
    assert found["activities"]["count"] == 3
    assert [kind["longest"] for kind in found["timelines"].values()] == [1, 1, 0]


@pytest.mark.parametrize(
    ("answer", "status", "left"), [("y", 0, 1), ("YES", 0, 1), ("n", 1, 3), ("", 1, 3), ("\x04", 1, 3)]
)
def test_trimming_everything_asks_on_a_terminal(
    feedstore: CommandLine, filled: Path, answer: str, status: int, left: int
) -> None:
    given = answer if answer == "\x04" else answer + "\n"
    ended, screen = run_in_terminal("trim", "--all", "--length", "1", given=given)
    assert ended == status
    assert "Keep only the newest 1 entry of every timeline in the namespace default of sqlite:///" in screen
    assert feedstore("stats", "--json").json["timelines"]["home:"]["longest"] == left


def test_trimming_everything_without_a_terminal_needs_a_yes(feedstore: CommandLine, filled: Path) -> None:
    result = feedstore("trim", "--all", "--length", "1")
    assert (result.status, result.out) == (2, "")
    assert "there is no terminal to ask on; pass --yes" in result.err
    assert "pass either timelines to trim or --all" in feedstore("trim", "--all", "home:bob", "--length", "1").err

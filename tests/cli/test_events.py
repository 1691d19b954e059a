"""``feedstore events``."""

from __future__ import annotations

import gzip
import json
import os
import signal
from pathlib import Path

import pytest

from cli.running import CommandLine, start
from feedstore.events import connect_events
from logs.test_theia import new_table
from polling import poll_until

# A shell that starts the tests in the background makes all their processes ignore Ctrl-C.
INTERRUPTIBLE = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"

LOG = """\
2026-11-29 08:00:00 INFO started
2026-11-29 08:10:00 ERROR disk full
2026-11-29 09:00:00 INFO stopped\x1b[0m
"""


@pytest.fixture
def logs(folder: Path, feedstore: CommandLine) -> Path:
    """A folder with a log that is imported."""
    (folder / "app.log").write_text(LOG)
    assert feedstore("events", "import", "app.log", "--tag", "app").out == "stored 3 events of 1 file\n"
    return folder


def test_events_are_searched_and_printed(logs: Path, feedstore: CommandLine) -> None:
    def contents(*arguments: str) -> list[str]:
        result = feedstore("events", "search", "--format", "{content}", *arguments)
        assert result.status == 0, result.err
        return [line.split(" ", 2)[2] for line in result.out.splitlines()]

    assert contents() == ["INFO started", "ERROR disk full", "INFO stopped\\x1b[0m"]
    assert contents("--desc", "--limit", "1") == ["INFO stopped\\x1b[0m"]
    assert contents("--from", "2026-11-29T08:10", "--to", "2026-11-29T08:10:00Z") == ["ERROR disk full"]
    assert contents("--match", "INFO|disk", "--tag", "app", "--to", "2026-11-29T08:30") == contents()[:2]
    assert contents("--tag", "other") == contents("--from", "2027-01-01") == []
    line = feedstore("events", "search", "--limit", "1").out
    assert line == "2026-11-29T08:00:00Z  app.log  2026-11-29 08:00:00 INFO started\n"
    form = "{timestamp:.1f} {tags:>5}|"
    assert feedstore("events", "search", "--limit", "1", "--format", form).out == "1795939200.0   app|\n"
    (document,) = map(json.loads, feedstore("events", "search", "--match", "disk", "--json").out.splitlines())
    assert document["tags"] == ["app"]
    assert document["timestamp"] == 1795939800.0


def test_events_are_written_in_theia_s_format_and_read_again(logs: Path) -> None:
    process = start("events", "search", "--format", "theia")
    out, _ = process.communicate(timeout=60)
    (logs / "0-99").write_text(out)
    assert out.startswith("event: ")
    again = start("events", "import", "0-99", "--format", "theia", "--namespace", "again", "--json")
    assert json.loads(again.communicate(timeout=60)[0]) == {
        "files": 1,
        "events": 3,
        "malformed": 0,
        "continued": 0,
    }


def test_imports_are_continued_and_read_theia_s_table(logs: Path, feedstore: CommandLine) -> None:
    with open("app.log", "a", encoding="utf-8") as log:
        log.write("2026-11-29 10:00:00 INFO started again\n")
    assert feedstore("events", "import", "app.log", "--tag", "app", "--resume").out == (
        "stored 1 event of 1 file\n1 file continued where an earlier import had stopped\n"
    )
    row = ("1", 1.5, "a,b", "s", "text", None)
    path = new_table(logs / "theia.db", [row])
    for argument in ("theia.db", f"sqlite:///{path}"):
        result = feedstore("events", "import", "--format", "theia", argument, "--tag", "old")
        assert (result.status, result.out) == (0, "stored 1 event of 1 file\n")
    assert feedstore("events", "search", "--tag", "old", "--format", "{id} {tags} {content}").out == "1 a,b,old text\n"
    refused = feedstore("events", "import", "--format", "theia", "app.log")
    assert refused.status == 2
    assert "'app.log' is no data file of theia" in refused.err


def test_stats_and_prune(logs: Path, feedstore: CommandLine) -> None:
    found = feedstore("events", "stats", "--json").json
    assert (found["events"], found["tags"], found["sources"]) == (3, {"app": 3}, {"app.log": 3})
    assert [one["events"] for one in found["histogram"] if one["events"]] == [1, 1, 1]
    assert (found["first"], found["last"]) == ("2026-11-29T08:00:00Z", "2026-11-29T09:00:00Z")
    assert "█" in feedstore("events", "stats").out
    (logs / "old.log").write_text("0001-01-01 00:00:05 x\n9999-12-31 00:00:00 x\n")
    feedstore("events", "import", "old.log", "--namespace", "old")
    found = feedstore("events", "stats", "--namespace", "old", "--json").json
    assert found["first"] == "0001-01-01T00:00:05Z"
    assert len(found["histogram"]) <= 26
    assert feedstore("events", "stats", "--tag", "none").out.endswith("\n0 events\n")
    assert feedstore("events", "prune", "--before", "2026-11-29T08:30", "--keep-tag", "x").out == "deleted 2 events\n"
    assert feedstore("events", "prune", "--before", "2027-01-01", "--tag", "x", "--json").json == {"deleted": 0}
    assert feedstore("events", "stats", "--json").json["events"] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["search", "--from", "tomorrow"],
        ["search", "--match", "("],
        ["search", "--format", "{nothing}"],
        ["search", "--format", "{tags:d}"],
        ["search", "--format", "{content.nothing}"],
        ["search", "--follow", "--desc"],
        ["import", "app.log", "--format", "theia"],
        ["import", "cut.gz"],
        ["import", "app.log", "--timezone", "Mars/Olympus"],
        ["import", "app.log", "--encoding", "utf-16"],
        ["import", "absent.log"],
        ["prune", "--before", "x"],
    ],
)
def test_wrong_arguments_are_one_line_of_error(logs: Path, feedstore: CommandLine, arguments: list[str]) -> None:
    (logs / "cut.gz").write_bytes(gzip.compress(LOG.encode())[:-9])
    result = feedstore("events", *arguments)
    assert result.status != 0
    assert result.err.startswith("feedstore: error: ")
    assert result.err.count("\n") == 1


def test_watching_and_following_in_two_processes(folder: Path, feedstore: CommandLine) -> None:
    path = folder / "live.log"
    watching = start("events", "watch", "live.log", "--tag", "live")
    assert watching.stderr is not None
    assert watching.stderr.readline() == "watching live.log\n"
    following = None
    try:
        path.write_text("2026-11-29 08:00:00 first\n")
        url = os.environ["FEEDSTORE_URL"]
        with connect_events(url) as store:
            poll_until(lambda: store.count() == 1, 30, "the first line")
            following = start(
                "events", "search", "--follow", "--format", "{content}", "--tag", "live", setup=INTERRUPTIBLE
            )
            assert following.stdout is not None
            assert following.stdout.readline() == "2026-11-29 08:00:00 first\n"
            with path.open("a") as file:
                file.write("2026-11-29 07:00:00 late\n")
            assert following.stdout.readline() == "2026-11-29 07:00:00 late\n"
        watching.send_signal(signal.SIGTERM)
        assert watching.wait(30) == 0
        following.send_signal(signal.SIGINT)
        assert following.wait(30) != 0
    finally:
        for process in filter(None, (watching, following)):
            process.kill()
            process.communicate()

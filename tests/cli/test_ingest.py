"""``feedstore ingest``: inputs, options, reports."""

from __future__ import annotations

import gc
import gzip
from pathlib import Path

import pytest

from cli.conftest import FOLLOWS, ROWS
from cli.running import CommandLine, run_process
from ingest.inputs import HEADER, csv_text

WRONG = "9,2026-05-01T12:00:00,ann,like,photo:9,,\n"


def test_the_report_for_people(feedstore: CommandLine, folder: Path) -> None:
    result = feedstore("ingest", "activities.csv", "--follows", "follows.csv")
    assert (result.status, result.err) == (0, "")
    *lines, time = result.out.splitlines()
    assert lines == [
        "rows        3",
        "activities  3 new, 0 stored before",
        "deliveries  5 new, 0 made before",
        "follows     4 edges, 4 of them new, from 3 readers to 3 users, 1 of them without an activity in these rows",
        "skipped     0",
    ]
    assert time.startswith("time        ")
    assert time.endswith("deliveries/s")


def test_the_report_for_programs(feedstore: CommandLine, folder: Path) -> None:
    result = feedstore("ingest", "activities.csv", "--follows", "follows.csv", "--json")
    report = result.json
    assert report.pop("seconds") >= 0
    assert report.pop("rows_per_second") > 0
    assert report.pop("deliveries_per_second") > 0
    assert report == {
        "dry_run": False,
        "rows": 3,
        "resumed_rows": 0,
        "activities": 3,
        "repeated_activities": 0,
        "deliveries": 5,
        "repeated_deliveries": 0,
        "planned_deliveries": 5,
        "skipped": 0,
        "idle_followees": 1,
        "problems": [],
        "problems_not_listed": 0,
        "error": None,
    }


def test_several_files_are_ingested_in_turn_and_resumed(feedstore: CommandLine, filled: Path) -> None:
    (filled / "more.csv.gz").write_bytes(gzip.compress((HEADER + WRONG.replace("00,", "00Z,", 1)).encode()))
    files = ("activities.csv", "more.csv.gz")
    report = feedstore("ingest", *files, "--follows", "follows.csv", "--resume", "--json").json
    assert (report["resumed_rows"], report["rows"], report["activities"]) == (3, 1, 1)
    result = feedstore("ingest", *files, "--follows", "follows.csv", "--resume")
    assert result.out.startswith("rows        0, after 4 that earlier runs stored\n")


def test_standard_input_and_a_compressed_file_of_follows(folder: Path) -> None:
    (folder / "follows.csv").write_bytes(gzip.compress(FOLLOWS.encode()))
    result = run_process("ingest", "-", "--follows", "follows.csv", "--json", given=csv_text(ROWS))
    assert (result.status, result.json["deliveries"]) == (0, 5)


def test_a_dry_run_writes_nothing(feedstore: CommandLine, folder: Path) -> None:
    result = feedstore("ingest", "activities.csv", "--follows", "follows.csv", "--dry-run")
    assert result.status == 0
    assert "deliveries  5 to be made\n" in result.out
    assert result.out.endswith("written     nothing: this was a dry run\n")
    report = feedstore("ingest", "activities.csv", "--dry-run", "--json").json
    assert (report["rows"], report["planned_deliveries"], report["dry_run"]) == (3, 0, True)
    assert "activities" not in report
    assert not (folder / "feeds.db").exists()


def test_a_dry_run_needs_no_store(feedstore: CommandLine, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEEDSTORE_URL")
    assert feedstore("ingest", "activities.csv", "--dry-run").status == 0


def test_a_wrong_row_is_one_error_with_file_and_line(feedstore: CommandLine, folder: Path) -> None:
    path = folder / "activities.csv"
    path.write_text(csv_text(ROWS) + WRONG)
    result = feedstore("ingest", "activities.csv")
    assert result.status == 1
    assert result.err == (
        "feedstore: error: activities.csv:5: the time '2026-05-01T12:00:00' has no offset from UTC; "
        "end it with Z or an offset such as +02:00\n"
    )
    assert result.out.startswith("done before the error:\nrows        3\n")
    assert result.out.endswith("--on-error skip passes over rows that are wrong\n")
    path.write_text(csv_text(ROWS) + WRONG.replace("00,", "00Z,", 1))
    report = feedstore("ingest", "activities.csv", "--resume", "--json").json
    assert (report["resumed_rows"], report["rows"], report["error"]) == (3, 1, None)


def test_a_wrong_row_for_programs(feedstore: CommandLine, folder: Path) -> None:
    (folder / "activities.csv").write_text(csv_text(ROWS) + WRONG)
    result = feedstore("ingest", "activities.csv", "--json")
    assert result.status == 1
    assert result.json["rows"] == 3
    assert result.json["error"].startswith("activities.csv:5: the time")


def test_skipped_rows_are_listed(feedstore: CommandLine, folder: Path) -> None:
    (folder / "activities.csv").write_text(csv_text(ROWS) + "cut\x1b[31m,\n" * 25)
    result = feedstore("ingest", "activities.csv", "--on-error", "skip")
    assert result.status == 0
    assert "rows        3\n" in result.out
    assert "skipped     25\n" in result.out
    lines = result.err.splitlines()
    assert lines[0] == "skipped activities.csv:5: the row has too few fields: 2 instead of 7"
    assert (len(lines), lines[-1]) == (21, "skipped 5 more")
    report = feedstore("ingest", "activities.csv", "--on-error", "skip", "--json").json
    assert (len(report["problems"]), report["problems_not_listed"], report["skipped"]) == (20, 5, 25)
    assert report["problems"][0]["line"] == 5


@pytest.mark.parametrize("name", ["activities.csv", "follows.csv"])
def test_an_input_that_is_missing(feedstore: CommandLine, folder: Path, name: str) -> None:
    (folder / name).unlink()
    result = feedstore("ingest", "activities.csv", "--follows", "follows.csv")
    assert result.status == 1
    assert result.err == f"feedstore: error: {name}: the file cannot be read: No such file or directory\n"
    assert result.out == "no activity was stored\n"


def test_follows_are_stored_unless_they_stay_in_memory(feedstore: CommandLine, folder: Path) -> None:
    memory = ("--follows", "follows.csv", "--follows-in-memory")
    assert "follows     4 edges from 3 readers" in feedstore("ingest", "activities.csv", *memory).out
    assert feedstore("ingest", "activities.csv", "--resume").err == (
        "feedstore: error: the ingestion of activities.csv began with followers in memory; resume it with the same, "
        "or start over without resuming\n"
    )
    other = ("--namespace", "other")
    assert feedstore("ingest", "activities.csv", *other, "--json").json["deliveries"] == 0
    assert feedstore("ingest", "activities.csv", *other, "--follows", "follows.csv", "--json").json["deliveries"] == 5
    assert feedstore("ingest", "activities.csv", *other, "--json").json["planned_deliveries"] == 5


def test_followers_receive_the_activities_from_the_follow_on(feedstore: CommandLine, folder: Path) -> None:
    (folder / "follows.csv").write_text("follower,followee,time\nbob,ann,2026-05-01T12:01:00Z\neve,ann,2025-01-01\n")
    options = ("--follows", "follows.csv", "--from-follow")
    assert feedstore("ingest", "activities.csv", *options, "--dry-run", "--json").json["planned_deliveries"] == 3
    assert feedstore("ingest", "activities.csv", *options, "--json").json["deliveries"] == 3
    assert len(feedstore("timeline", "home:bob", "--json").json["items"]) == 1


def test_a_manager_of_the_application_is_filled(folder: Path, feedstore: CommandLine) -> None:
    (folder / "ingesting.py").write_text(
        "from feedstore import connect\n"
        "from feedstore.fanout import FeedManager, HomeFeed\n"
        "class Wall(HomeFeed):\n    key_format = 'wall:{user_id}'\n"
        "manager = FeedManager(connect('sqlite:///feeds.db'), feed_classes={'wall': Wall})\n"
        "own = FeedManager(connect('memory://'), graph=lambda user: [])\n"
    )
    options = ("--follows", "follows.csv", "--json", "--manager")
    assert run_process("ingest", "activities.csv", *options, "ingesting:manager").json["deliveries"] == 5
    assert len(feedstore("timeline", "wall:bob", "--json").json["items"]) == 3
    result = run_process("ingest", "activities.csv", *options, "ingesting:own")
    assert (result.status, "has no follow graph that could store follows" in result.err) == (2, True)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--follows-in-memory"], "--follows-in-memory needs --follows"),
        (["--follows-in-memory", "--follows", "follows.csv", "--from-follow"], "and excludes --from-follow"),
        (["--manager", "myapp:manager", "--max-length", "9"], "--manager has feeds of its own"),
        (["--manager", "myapp:manager", "--namespace", "other"], "--manager has a store of its own"),
    ],
)
def test_options_that_exclude_each_other(feedstore: CommandLine, folder: Path, options: list[str], reason: str) -> None:
    result = feedstore("ingest", "activities.csv", *options)
    assert (result.status, result.out) == (2, "")
    assert reason in result.err


def test_max_length_and_max_future(feedstore: CommandLine, folder: Path) -> None:
    feedstore("ingest", "activities.csv", "--follows", "follows.csv", "--max-length", "2")
    page = feedstore("timeline", "home:bob", "--json").json
    assert (len(page["items"]), page["complete"]) == (2, False)
    (folder / "future.csv").write_text(csv_text([(1, "2199-01-01T00:00:00Z", "ann", "like", "x", "", "")]))
    assert "ahead of the clock" in feedstore("ingest", "future.csv", "--max-future", "7d").err
    assert feedstore("ingest", "future.csv", "--max-future", "99999d").status == 0


def test_namespaces_are_apart(feedstore: CommandLine, filled: Path) -> None:
    assert feedstore("timeline", "user:ann", "--namespace", "other").status == 3
    assert feedstore("ingest", "activities.csv", "--namespace", "other").status == 0
    assert feedstore("timeline", "user:ann", "--namespace", "other").status == 0


def test_progress_in_plain_lines(folder: Path) -> None:
    always = "import feedstore.cli.progress as progress; progress._SECONDS_BETWEEN_LINES = 0.0"
    options = ("--follows", "follows.csv", "--chunk-size", "1", "--progress", "plain")
    result = run_process("ingest", "activities.csv", *options, setup=always)
    assert result.status == 0
    first, *_, last = result.err.splitlines()
    assert first.startswith("activities.csv  100%  1 rows  ")
    assert last.startswith("activities.csv  100%  3 rows  ")
    assert " deliveries/s" in last


def test_no_progress_unless_asked_for(feedstore: CommandLine, folder: Path) -> None:
    assert feedstore("ingest", "activities.csv").err == ""


@pytest.mark.parametrize("name", ["activities.csv", "absent.csv"])
def test_the_garbage_collector_has_its_thresholds_back(feedstore: CommandLine, folder: Path, name: str) -> None:
    before = gc.get_threshold()
    feedstore("ingest", name)
    assert gc.get_threshold() == before

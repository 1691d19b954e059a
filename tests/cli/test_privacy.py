"""``feedstore export``, ``feedstore erase-person`` and ``feedstore retain``."""

from __future__ import annotations

import gzip
import json
import signal
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cli.running import CommandLine, run_in_terminal, start
from feedstore import connect
from feedstore.privacy import report_digest


def test_an_export_is_ingested_again(feedstore: CommandLine, filled: Path) -> None:
    result = feedstore("export", "all.ndjson.gz")
    assert (result.status, result.out) == (0, "wrote 3 rows to all.ndjson.gz\n")
    other = f"sqlite:///{filled / 'other.db'}"
    assert feedstore("ingest", "all.ndjson.gz", "--store", other).status == 0
    with connect(other) as copy, connect(f"sqlite:///{filled / 'feeds.db'}") as backend:
        assert list(copy.activity_storage().iterate()) == list(backend.activity_storage().iterate())
    again = feedstore("export", "all.ndjson.gz")
    assert (again.status, "exists" in again.err) == (2, True)
    assert feedstore("export", "all.ndjson.gz", "--force", "--json").json["rows"] == 3
    assert "it has no checkpoint" in feedstore("export", "all.ndjson.gz", "--resume").err


def test_formats_of_an_export(feedstore: CommandLine, filled: Path) -> None:
    assert feedstore("export", "a.csv", "--timeline", "user:ann").status == 0
    assert (filled / "a.csv").read_text().splitlines()[0].startswith("id,time,actor,verb")
    assert feedstore("export", "a.as2", "--format", "as2", "--base", "https://example.org/").status == 0
    first = json.loads((filled / "a.as2").read_text().splitlines()[0])
    assert first["actor"] == "https://example.org/ann"
    options = ("--store", "sqlite:///other.db", "--base", "https://example.org/", "--json")
    assert feedstore("ingest", "a.as2", *options).json["activities"] == 3
    assert feedstore("export", "a.atom", "--format", "atom", "--timeline", "home:bob", "--limit", "2").status == 0
    assert len(ElementTree.parse(filled / "a.atom").getroot().findall("{*}entry")) == 2
    chosen = ("--format", "json-feed", "--timeline", "home:bob", "--title", "Bob")
    assert feedstore("export", "feed.json", *chosen).status == 0
    feed = json.loads((filled / "feed.json").read_text())
    assert (feed["title"], len(feed["items"])) == ("Bob", 3)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--role", "actor"), "--role belongs to --person"),
        (("--manager", "a:b"), "--manager belongs to --person"),
        (("--format", "records"), "pass --person NAME"),
        (("--format", "atom"), "pass --timeline KEY"),
        (("--person", "ann", "--resume"), "write this one again"),
        (("--person", "ann", "--manager", "no.such:thing"), "cannot be imported"),
        (("--person", "ann", "--manager", "a:b", "--store", "sqlite:///other.db"), "leave out --store"),
    ],
)
def test_options_of_an_export_that_do_not_fit(
    feedstore: CommandLine, filled: Path, options: tuple[str, ...], reason: str
) -> None:
    result = feedstore("export", "a", *options)
    assert (result.status, reason in result.err, (filled / "a").exists()) == (2, True, False)


def test_a_killed_process_continues_its_export(feedstore: CommandLine, filled: Path) -> None:
    setup = (
        "import os, signal\nfrom feedstore.export import output, sources\n"
        "sources.ROWS_AT_ONCE = 1\nwrite = output.Output.write\n"
        "def dying(self, *values):\n"
        "    os.kill(os.getpid(), signal.SIGKILL) if self.state.rows == 2 else write(self, *values)\n"
        "output.Output.write = dying"
    )
    process = start("export", "all.ndjson.gz", setup=setup)
    assert process.communicate() is not None
    assert process.returncode == -signal.SIGKILL
    result = feedstore("export", "all.ndjson.gz", "--resume")
    assert result.out == "wrote 1 row to all.ndjson.gz, after 2 of earlier runs\n"
    assert len(gzip.decompress((filled / "all.ndjson.gz").read_bytes()).splitlines()) == 3


def test_a_person_is_exported_and_erased(feedstore: CommandLine, filled: Path) -> None:
    assert feedstore("export", "ann.ndjson", "--person", "ann").status == 0
    records = [json.loads(line)["record"] for line in (filled / "ann.ndjson").read_text().splitlines()]
    assert (records.count("activity"), records.count("entry")) == (2, 2)
    assert feedstore("export", "a.csv", "--person", "ann", "--role", "actor", "--json").json["rows"] == 2
    roles = ("--role", "actor", "--role", "object")
    found = feedstore("erase-person", "ann", *roles, "--dry-run", "--json").json
    assert found == {"dry_run": True, "found": {"activity": 2, "entry": 2, "relation": 3}}
    assert "count" in feedstore("erase-person", "ann", *roles, "--dry-run").out
    refused = feedstore("erase-person", "ann", *roles)
    assert (refused.status, "pass --force" in refused.err) == (2, True)
    result = feedstore("erase-person", "ann", *roles, "--force", "--ids", "--report", "report.json")
    assert (result.status, result.err) == (0, "")
    report = json.loads((filled / "report.json").read_text())
    assert result.out.splitlines()[-2:] == ["verified: nothing remains", report["digest"]]
    assert (report["digest"], len(report["activity_ids"]["default"])) == (report_digest(report), 2)
    again = feedstore("erase-person", "ann", *roles, "--force", "--json").json
    assert (again["counts"], again["verified"]) == ({}, True)


def test_erasing_asks_on_a_terminal(feedstore: CommandLine, filled: Path) -> None:
    ended, screen = run_in_terminal("erase-person", "ann", "--role", "actor", given="y\n")
    assert (ended, "It cannot be restored" in screen) == (0, True)
    assert feedstore("export", "a.csv", "--person", "ann", "--json").json["rows"] == 0


def test_the_erasure_uses_the_managers_of_an_application(
    feedstore: CommandLine, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (filled / "shop.py").write_text(
        "from feedstore import Activity, connect\nfrom feedstore.fanout import FeedManager, UserFeed\n"
        "class Wall(UserFeed):\n    key_format = 'wall:{user_id}'\n"
        "manager = FeedManager(connect('sqlite:///shop.db'), user_feed_class=Wall)\n"
        "manager.add_user_activity('ann', Activity('ann', 'post', 'photo:7'))\n"
    )
    monkeypatch.syspath_prepend(str(filled))
    assert feedstore("export", "a", "--person", "ann", "--manager", "shop:manager").status == 0
    with connect("sqlite:///shop.db") as backend:
        assert backend.timeline_storage().count("wall:ann") == 1
    monkeypatch.delitem(__import__("sys").modules, "shop")
    (filled / "shop.py").write_text((filled / "shop.py").read_text().rpartition("manager.add")[0])
    options = ("--role", "actor", "--manager", "shop:manager", "--force", "--json")
    assert feedstore("erase-person", "ann", *options).json["counts"] == {"activities": 1, "own entries": 1}


def test_rules_of_retention(feedstore: CommandLine, filled: Path) -> None:
    (filled / "rules").write_text("# Feeds are short.\nkeep 1 entries of home:*\n")
    assert "pass --force" in feedstore("retain", "--rules", "rules").err
    dry = feedstore("retain", "--rules", "rules", "--dry-run", "--json").json
    assert dry["rules"][0]["removed"] == 3
    result = feedstore("retain", "keep 9 weeks of events", "--rules", "rules", "--force")
    assert [line.split() for line in result.out.splitlines()] == [
        ["rule", "timelines", "too", "long", "removed"],
        ["keep", "63", "days", "of", "events", "0"],
        ["keep", "1", "entries", "of", "home:*", "2", "2", "3"],
    ]
    assert feedstore("retain", "--dry-run").status == 2
    assert "is no rule of retention" in feedstore("retain", "keep all", "--dry-run").err
    (filled / "rules").write_bytes(b"\xff")
    assert "is not UTF-8" in feedstore("retain", "--rules", "rules", "--dry-run").err

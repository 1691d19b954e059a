"""``feedstore timeline`` and ``feedstore activity``."""

from __future__ import annotations

from pathlib import Path

from cli.running import CommandLine

NEWEST = "019de368-f600-7000-8752-c6a2eeb0710b"


def test_a_table_for_people(feedstore: CommandLine, filled: Path) -> None:
    result = feedstore("timeline", "home:bob")
    assert (result.status, result.err) == (0, "")
    header, *rows, blank, note = result.out.splitlines()
    assert header.split("  ")[0] == "time (UTC)"
    assert [row.split()[:5] for row in rows] == [
        ["2026-05-01", "12:10:00", "ann", "follow", "cem"],
        ["2026-05-01", "12:05:00.25", "cem", "comment", "photo:7"],
        ["2026-05-01", "12:00:00", "ann", "like", "photo:7"],
    ]
    assert rows[1].split()[5] == "album:1"
    assert {row.index("019de3") for row in rows} == {header.index("id")}
    assert (blank, note) == ("", "the end: nothing was ever trimmed from this timeline")


def test_a_page_for_programs(feedstore: CommandLine, filled: Path) -> None:
    page = feedstore("timeline", "home:bob", "--json").json
    assert (page["key"], page["next_cursor"], page["complete"], page["floor"]) == ("home:bob", None, True, None)
    assert page["items"][-1] == {
        "id": NEWEST,
        "time": "2026-05-01T12:00:00+00:00",
        "actor": "ann",
        "verb": "like",
        "object": "photo:7",
        "target": None,
        "foreign_id": "1",
        "extra_context": {},
    }


def test_a_walk_by_cursor(feedstore: CommandLine, filled: Path) -> None:
    for order in ([], ["--oldest-first"]):
        first = feedstore("timeline", "home:bob", "--limit", "2", "--json", *order).json
        second = feedstore(
            "timeline", "home:bob", "--limit", "2", "--json", "--cursor", first["next_cursor"], *order
        ).json
        whole = feedstore("timeline", "home:bob", "--json", *order).json
        assert first["items"] + second["items"] == whole["items"]
        assert (first["complete"], second["complete"], second["next_cursor"]) == (False, True, None)
    result = feedstore("timeline", "home:bob", "--limit", "2")
    assert "\nmore: --cursor " in result.out
    cursor = result.out.split()[-1]
    assert NEWEST in feedstore("timeline", "home:bob", "--cursor", cursor).out


def test_ids_alone(feedstore: CommandLine, filled: Path) -> None:
    result = feedstore("timeline", "home:eve", "--ids", "--limit", "1")
    assert len(result.out.strip()) == 36
    assert result.err.startswith("more: --cursor ")
    assert feedstore("timeline", "home:eve", "--ids", "--json").json["items"][-1] == NEWEST


def test_a_trimmed_timeline_says_so(feedstore: CommandLine, filled: Path) -> None:
    assert feedstore("trim", "home:bob", "--length", "1").status == 0
    assert feedstore("timeline", "home:bob").out.endswith("the end of the kept entries: older ones were trimmed\n")
    page = feedstore("timeline", "home:bob", "--json").json
    assert (page["complete"], len(page["floor"])) == (False, 36)
    feedstore("trim", "home:bob", "--length", "0")
    page = feedstore("timeline", "home:bob", "--json").json
    assert (page["items"], page["complete"]) == ([], False)


def test_no_such_timeline_is_status_3(feedstore: CommandLine, filled: Path) -> None:
    result = feedstore("timeline", "home:zoe")
    assert (result.status, result.out) == (3, "")
    assert result.err == "feedstore: error: no timeline 'home:zoe' in the namespace 'default'\n"


def test_an_activity_for_people_and_for_programs(feedstore: CommandLine, filled: Path) -> None:
    comment = feedstore("timeline", "user:cem", "--json").json["items"][0]
    assert feedstore("activity", comment["id"], "--json").json == comment
    assert comment["extra_context"] == {"text": "naïve ☃"}
    lines = [line.split(maxsplit=1) for line in feedstore("activity", comment["id"]).out.splitlines()]
    assert lines == [
        ["field", "value"],
        ["id", comment["id"]],
        ["time", "2026-05-01 12:05:00.25"],
        ["actor", "cem"],
        ["verb", "comment"],
        ["object", "photo:7"],
        ["target", "album:1"],
        ["foreign_id", "2"],
        ["extra_context.text", "naïve ☃"],
    ]


def test_no_such_activity_is_status_3(feedstore: CommandLine, filled: Path) -> None:
    result = feedstore("activity", "0" * 32)
    assert (result.status, result.out) == (3, "")
    assert "no activity 00000000-0000-0000-0000-000000000000" in result.err

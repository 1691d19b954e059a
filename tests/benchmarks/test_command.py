"""`python -m benchmarks`: its output, its files and its refusals."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest

from benchmarks import feeds
from benchmarks.__main__ import main
from benchmarks.ingestion import ACTIVITIES, FOLLOWS, ingest, why_unavailable
from benchmarks.memory_usage import footprints
from benchmarks.report import aligned, rounded
from benchmarks.table import LABORATORIES

OPERATIONS = "newest_25,newest_25_hydrated,count_1000"


def test_quick_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick", "--backend", "memory,sqlite", "--operation", OPERATIONS, "--repeat", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split()[:3] == ["backend", "operation", "unit/s"]
    rows = [line for line in lines if line.startswith(("memory", "sqlite"))]
    assert [row.split("  ")[0] for row in rows] == ["memory"] * 3 + ["sqlite"] * 3
    assert "newest 25, hydrated" in rows[1]
    assert rows[1].split()[-2:] in (["0.5", "met"], ["0.5", "short"])


def test_json_holds_every_figure_and_the_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    assert (
        main(["--quick", "--backend", "memory", "--operation", OPERATIONS, "--repeat", "2", "--json", str(file)]) == 0
    )
    figures = json.loads(file.read_text())
    assert [row["operation"] for row in figures["rows"]] == OPERATIONS.split(",")
    row = figures["rows"][0]
    assert (row["backend"], row["driver"], row["aim"], row["unit"]) == ("memory", "sortedcontainers", 0.5, "reads")
    comparison = row["comparison"]
    assert comparison["pairs"] == 2
    assert comparison["product_rate"] > 0
    assert comparison["ratio"]["p10"] <= comparison["ratio"]["median"] <= comparison["ratio"]["p90"]
    assert figures["machine"]["processors"] >= 1
    assert "measuring memory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backend", "oracle"], "unknown name 'oracle'; known are memory, sqlite, postgresql"),
        (["--operation", "count_1000,sing"], "unknown name 'sing'; known are activities_add_many"),
        (["--repeat", "0"], "'0' is no number of 1 or more"),
        (["--repeat", "many"], "'many' is no number of 1 or more"),
    ],
)
def test_what_it_does_not_know_is_named(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_backend_that_cannot_be_had_is_left_out_and_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in LABORATORIES.keys() - {"memory"}:
        monkeypatch.setattr(LABORATORIES[name], "why_unavailable", classmethod(lambda laboratory: "it is away"))
    main(["--quick", "--operation", "count_1000", "--repeat", "1"])
    printed = capsys.readouterr()
    assert "leaving out sqlite: it is away" in printed.err
    assert "memory" in printed.out
    assert "sqlite" not in printed.out


def test_a_backend_that_was_asked_for_and_cannot_be_had_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(LABORATORIES["postgresql"], "why_unavailable", classmethod(lambda laboratory: "it is away"))
    assert main(["--quick", "--backend", "postgresql"]) == 1
    assert "error: postgresql cannot be measured: it is away" in capsys.readouterr().err


def test_ingestion_is_measured_where_there_is_data(tmp_path: Path) -> None:
    header = "id,time,actor,verb,object,target,extra\n"
    rows = "".join(f"{number},2026-01-31T08:39:{number:02}Z,ann,like,photo:{number},,\n" for number in range(20))
    (tmp_path / ACTIVITIES).write_bytes(gzip.compress((header + rows).encode()))
    assert why_unavailable(tmp_path) == f"{tmp_path} holds no {FOLLOWS}"
    (tmp_path / FOLLOWS).write_bytes(gzip.compress(b"follower,followee,time\nbob,ann,\neve,ann,\n"))
    assert why_unavailable(tmp_path) is None
    for most_rows, activities in ((None, 20), (5, 5)):
        measured = ingest("memory", LABORATORIES["memory"](), tmp_path, most_rows)
        assert (measured.activities, measured.deliveries) == (activities, 2 * activities)
        assert measured.peak_bytes > 0


def test_bytes_are_those_of_what_is_stored() -> None:
    laboratory = LABORATORIES["memory"]()
    activity, entry, shared = footprints("memory", laboratory, 1600)
    # An id takes 44 bytes and its place in a list 8; shared between timelines, only the place.
    assert 52 <= entry.product_bytes < 60
    assert 8 <= shared.product_bytes < entry.product_bytes
    assert activity.product_bytes > 100
    assert not tracemalloc.is_tracing()


def test_a_rate_keeps_three_digits() -> None:
    assert [rounded(value) for value in (0.12345, 12.345, 999, 1234, 123456, 9876543)] == [
        "0.123",
        "12.3",
        "999",
        "1,230",
        "123,000",
        "9,880,000",
    ]


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert aligned([("a", "b"), ("long", "1")], left=1) == "a     b\nlong  1"


def test_the_feeds_are_measured_with_and_without_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    feeds.main(["--backend", "memory", "--backend", "redis", "--rounds", "1", "--feeds", "2", "--calls", "1"])
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == ["memory"] * 6 + ["redis"] * 6
    assert [row.split("  ")[-1].strip().endswith("times") for row in rows] == [True, *[False] * 5] * 2
    assert all(float(row.removesuffix(" times").split()[-1]) > 0 for row in rows)

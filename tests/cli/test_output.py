"""The output: JSON for programs, tables for people, and no control characters."""

from __future__ import annotations

import builtins
import io
import json
import sys
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedstore.cli import output
from feedstore.cli.options import masked

TIME = datetime(2026, 5, 1, 12, 0, tzinfo=timezone.utc)


class Terminal(io.StringIO):
    """A terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_json_has_a_form_for_every_value(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json(
        {"time": TIME, "bytes": b"\0\xff", "nan": float("nan"), "list": [float("inf"), (1, None)], 7: "ü"}
    )
    assert json.loads(capsys.readouterr().out) == {
        "time": "2026-05-01T12:00:00+00:00",
        "bytes": "AP8=",
        "nan": "nan",
        "list": ["inf", [1, None]],
        "7": "ü",
    }


@given(st.text())
def test_what_is_printable_commands_no_terminal(text: str) -> None:
    shown = output.printable(text)
    assert shown.replace("\u200c", "").replace("\u200d", "").isprintable()
    if text.isprintable():
        assert shown == text


def test_joiners_of_emoji_and_of_words_stay() -> None:
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert output.printable(f"{family} \u06a9\u062a\u0627\u0628\u200c\u0647\u0627 \u202e") == (
        f"{family} \u06a9\u062a\u0627\u0628\u200c\u0647\u0627 \\u202e"
    )


@given(st.lists(st.tuples(st.text("ab ", max_size=12), st.text("01-", max_size=50), st.text("z", max_size=9))))
def test_a_table_on_a_narrow_terminal_holds_every_cell_in_one_piece(rows: list[tuple[str, str, str]]) -> None:
    terminal = Terminal()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", terminal)
        patch.setenv("COLUMNS", "60")
        hide_rich(patch)
        output.print_table(("name", "hash", "kind"), rows, right=("kind",))
    lines = terminal.getvalue().splitlines()
    assert max(map(len, lines)) <= 60
    for name, value, kind in rows:
        assert all(any(cell.rstrip() in line for line in lines) for cell in (name, value, kind))


def test_columns_are_aligned_by_what_a_terminal_shows(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("name", "count"), [("漢字", 7), ("e\u0301", 1234), ("\x1b[2J", None)], right=("count",))
    assert capsys.readouterr().out.splitlines() == [
        "name     count",
        "漢字         7",
        "e\u0301         1234",
        "\\x1b[2J",
    ]


def test_rich_draws_the_table_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    output.print_table(("name", "count"), [("[bold]ann", 7)], right=("count",))
    assert "[bold]ann" in terminal.getvalue()
    assert "─" in terminal.getvalue()


def test_without_rich_a_terminal_gets_the_plain_table(monkeypatch: pytest.MonkeyPatch) -> None:
    hide_rich(monkeypatch)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    output.print_table(("name",), [("ann",)])
    assert terminal.getvalue() == "name\nann\n"


def hide_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make rich a package that is not installed."""
    real = builtins.__import__

    def without_rich(name: str, *arguments: Any, **options: Any) -> Any:
        if name.split(".")[0] == "rich":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_rich)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (TIME, "2026-05-01 12:00:00"),
        (TIME + timedelta(milliseconds=250), "2026-05-01 12:00:00.25"),
        (TIME + timedelta(microseconds=1), "2026-05-01 12:00:00.000001"),
    ],
)
def test_times_are_as_fine_as_they_are(time: datetime, expected: str) -> None:
    assert output.time_text(time) == expected


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///feeds.db", "sqlite:///feeds.db"),
        ("sqlite:////var/feeds.db?busy_timeout=5", "sqlite:////var/feeds.db?busy_timeout=5"),
        ("memory://", "memory://"),
        ("postgresql://ann@host/feeds", "postgresql://ann@host/feeds"),
        (
            "postgresql://ann:se%20cret@host:5432/feeds?sslmode=require",
            "postgresql://ann:***@host:5432/feeds?sslmode=require",
        ),
        ("postgresql://ann:p@ss@host/feeds", "postgresql://ann:***@host/feeds"),
        ("postgresql:///feeds?user=ann&password=secret&port=1", "postgresql:///feeds?user=ann&password=***&port=1"),
        ("redis://:secret@host/0", "redis://:***@host/0"),
    ],
)
def test_urls_are_shown_without_passwords(url: str, shown: str) -> None:
    assert masked(url) == shown

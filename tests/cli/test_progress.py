"""How progress is shown: bars on a terminal, lines when asked for, nothing otherwise."""

from __future__ import annotations

import io

import pytest

from cli.test_output import Terminal, hide_rich
from feedstore.cli import progress
from feedstore.ingest import Progress, Source, Summary
from ingest.inputs import source


class HalfRead(Source):
    """A source of 1,000 bytes, of which 500 were read."""

    def __init__(self) -> None:
        super().__init__("folder/activities.csv")
        self.size = 1000

    @property
    def bytes_read(self) -> int:
        """500."""
        return 500


SUMMARY = Summary(rows=1200, deliveries=36000, seconds=2)


def test_the_text_tells_rate_and_time_left() -> None:
    speed = progress.Speed()
    speed.add(10, 0)
    speed.add(12, 500)
    assert progress.progress_text(HalfRead(), SUMMARY, speed) == (
        "activities.csv   50%  1,200 rows  600 rows/s  18,000 deliveries/s  2 s left"
    )


def test_of_an_input_without_a_size_the_time_left_is_not_known() -> None:
    speed = progress.Speed()
    speed.add(10, 0)
    assert progress.progress_text(source(""), Summary(rows=3, seconds=1), speed) == "<stdin>  3 rows  3 rows/s"


def test_the_time_left_is_that_of_the_last_seconds() -> None:
    speed = progress.Speed()
    for second in range(100):
        speed.add(second, second * 10 if second < 50 else 500 + (second - 50) * 100)
    assert speed.seconds_left(1000) == pytest.approx(10)


def test_nothing_has_no_speed() -> None:
    speed = progress.Speed()
    speed.add(10, 0)
    assert speed.seconds_left(100) is None
    speed.add(11, 0)
    assert speed.seconds_left(100) is None


@pytest.mark.parametrize(("choice", "stream"), [("auto", io.StringIO()), ("none", Terminal())])
def test_nothing_is_shown_without_a_terminal_or_on_demand(choice: str, stream: io.StringIO) -> None:
    assert type(progress.new_progress(choice, stream)) is Progress


def show(shown: Progress) -> None:
    """One input, seen from start to end."""
    for hear in (shown.start, shown.advance, shown.finish):
        hear(HalfRead(), SUMMARY)


def test_rich_draws_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    monkeypatch.setenv("COLUMNS", "120")
    terminal = Terminal()
    show(progress.new_progress("auto", terminal))
    assert "activities.csv" in terminal.getvalue()
    assert "50%" in terminal.getvalue()
    assert "600 rows/s 18,000 deliveries/s" in terminal.getvalue()


def test_without_rich_one_line_takes_the_place_of_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    hide_rich(monkeypatch)
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_UPDATES", 0.0)
    terminal = Terminal()
    show(progress.new_progress("auto", terminal))
    first, second, rest = terminal.getvalue().split("\r")
    assert first.startswith("activities.csv   50%")
    assert second.startswith("activities.csv   50%")
    assert rest == "\n"


def test_lines_come_now_and_then() -> None:
    stream = io.StringIO()
    shown = progress.LineProgress(stream, 3600, "\n")
    show(shown)
    assert stream.getvalue() == ""

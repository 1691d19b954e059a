"""The display of an ingestion's progress."""

from __future__ import annotations

import argparse
import os
import time
from collections import deque
from typing import Any, TextIO

from feedstore.cli.output import printable
from feedstore.ingest import Progress, Source, Summary

AUTO = "auto"
PLAIN = "plain"
NONE = "none"
CHOICES = (AUTO, PLAIN, NONE)

_SECONDS_BETWEEN_LINES = 5.0
_SECONDS_BETWEEN_UPDATES = 0.2
_SECONDS_OF_SPEED = 10.0


def add_progress_option(parser: argparse.ArgumentParser) -> None:
    """Declare ``--progress``."""
    parser.add_argument(
        "--progress",
        choices=CHOICES,
        default=AUTO,
        help="show progress if standard error is a terminal, plain lines, or nothing (default: %(default)s)",
    )


def new_progress(choice: str, stream: TextIO) -> Progress:
    """Return the progress display for ``stream``: a bar on a terminal, lines if ``plain``, otherwise nothing."""
    if choice == PLAIN:
        return LineProgress(stream, _SECONDS_BETWEEN_LINES, "\n")
    if choice == NONE or not stream.isatty():
        return Progress()
    try:
        return BarProgress(stream)
    except ImportError:
        return LineProgress(stream, _SECONDS_BETWEEN_UPDATES, "\r")


class Speed:
    """The speed over the last ten seconds, from which the remaining time is estimated."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()

    def add(self, seconds: float, done: int) -> None:
        """Note that ``done`` bytes were done at a time."""
        self._marks.append((seconds, done))
        while seconds - self._marks[0][0] > _SECONDS_OF_SPEED and len(self._marks) > 2:
            self._marks.popleft()

    def seconds_left(self, remaining: int) -> float | None:
        """Return the seconds that the remaining bytes take at this speed; None while the speed is unknown."""
        (first_time, first_done), (last_time, last_done) = self._marks[0], self._marks[-1]
        if last_done <= first_done:
            return None
        return remaining * (last_time - first_time) / (last_done - first_done)


class LineProgress(Progress):
    """Writes a line now and then; with the ending ``\\r`` each takes the place of the last, as on a terminal."""

    def __init__(self, stream: TextIO, seconds_between: float, ending: str) -> None:
        self._stream = stream
        self._seconds_between = seconds_between
        self._ending = ending
        self._next = 0.0
        self._width = 0
        self._speed = Speed()

    def start(self, source: Source, summary: Summary) -> None:
        """Start to measure."""
        self._speed = Speed()
        self._speed.add(time.monotonic(), 0)
        self._next = time.monotonic() + self._seconds_between

    def advance(self, source: Source, summary: Summary) -> None:
        """Write a line if the last one is old enough."""
        now = time.monotonic()
        self._speed.add(now, source.bytes_read)
        if now >= self._next:
            self._next = now + self._seconds_between
            self._write(progress_text(source, summary, self._speed))

    def finish(self, source: Source, summary: Summary) -> None:
        """Write the last line, which stays."""
        if self._ending == "\r":
            self._write(progress_text(source, summary, self._speed))
            self._stream.write("\n")
            self._stream.flush()

    def _write(self, text: str) -> None:
        padding = " " * (self._width - len(text)) if self._ending == "\r" else ""
        self._width = len(text)
        self._stream.write(f"{text}{padding}{self._ending}")
        self._stream.flush()


class StepLines(LineProgress):
    """Writes lines about a run of steps of unknown number, or nothing, by the choice of ``--progress``."""

    def __init__(self, choice: str, stream: TextIO) -> None:
        is_plain = choice == PLAIN
        super().__init__(
            stream,
            _SECONDS_BETWEEN_LINES if is_plain else _SECONDS_BETWEEN_UPDATES,
            "\n" if is_plain else "\r",
        )
        self._is_shown = is_plain or (choice == AUTO and stream.isatty())

    def show(self, text: str) -> None:
        """Write a line if the last one is old enough."""
        now = time.monotonic()
        if self._is_shown and now >= self._next:
            self._next = now + self._seconds_between
            self._write(text)

    def end(self, text: str) -> None:
        """Write the last line, which stays."""
        if self._is_shown:
            self._write(text)
            if self._ending == "\r":
                self._stream.write("\n")
                self._stream.flush()


def progress_text(source: Source, summary: Summary, speed: Speed) -> str:
    """Return one line with an input's progress, its speed, and the estimated remaining time."""
    words = [printable(os.path.basename(source.name))]
    if source.size:
        words.append(f"{min(source.bytes_read / source.size, 1):4.0%}")
    words.append(f"{summary.rows:,} rows")
    words.append(f"{summary.rows_per_second:,.0f} rows/s")
    if summary.deliveries:
        words.append(f"{summary.deliveries_per_second:,.0f} deliveries/s")
    left = speed.seconds_left(source.size - source.bytes_read) if source.size else None
    if left is not None:
        words.append(f"{left:,.0f} s left")
    return "  ".join(words)


class BarProgress(Progress):
    """A bar for each input, drawn by rich. Raises ``ImportError`` if rich is not installed."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[done]}", markup=False),
            TimeRemainingColumn(),
            console=Console(file=stream),
            speed_estimate_period=_SECONDS_OF_SPEED,
        )
        self._task: Any = None

    def start(self, source: Source, summary: Summary) -> None:
        """Draw the bar of another input."""
        description = printable(os.path.basename(source.name))
        self._task = self._bars.add_task(description, total=source.size, done="")
        self._bars.start()

    def advance(self, source: Source, summary: Summary) -> None:
        """Move the bar."""
        done = f"{summary.rows_per_second:,.0f} rows/s"
        if summary.deliveries:
            done += f" {summary.deliveries_per_second:,.0f} deliveries/s"
        self._bars.update(self._task, completed=source.bytes_read, done=done)

    def finish(self, source: Source, summary: Summary) -> None:
        """Do nothing, so that the bar stays."""
        self.advance(source, summary)
        self._bars.stop()

"""Lines that are appended to log files, and the types of the fixtures that follow the files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from feedstore.events import BackendEventStore
from feedstore.logs import LogWatcher

LINE = "2026-11-29 08:00:{:02} line {}\n"


def lines(*numbers: int) -> str:
    """Lines with a time, one for each number."""
    return "".join(LINE.format(number % 60, number) for number in numbers)


def append(path: Path, text: str) -> None:
    """Append to a file."""
    with open(path, "a", encoding="utf-8", newline="") as file:
        file.write(text)


def numbers(store: BackendEventStore) -> list[int]:
    """The numbers of the stored lines, in the order of their times."""
    return [int(event.content.rpartition(" ")[2]) for event in store.search(0)]


class Watch(Protocol):
    """Type of the fixture ``watch``."""

    def __call__(self, *paths: Path, **options: Any) -> LogWatcher:
        """Make a watcher."""


@dataclass
class Clock:
    """A clock that the test moves."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now

"""What an operation is, and what several of them share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.side import Side


class Operation(ABC):
    """One row of the table: one call, repeated, on both sides.

    - ``name`` is what ``--operation`` takes, ``title`` what the table shows.
    - ``unit`` is what the rate counts, ``units`` how many of them one call does.
    - ``calls`` bounds how many calls there are, None if there is no end of them.
    """

    name: str
    title: str
    unit: str
    units: int = 1
    calls: int | None = None

    @abstractmethod
    def arguments(self, number: int) -> Any:
        """Return what call ``number`` is given, the same on both sides; made before the clock starts."""

    @abstractmethod
    def perform(self, side: Side, arguments: Any) -> Any:
        """Make one call: all that is timed."""

    @abstractmethod
    def outcome(self, side: Side, calls: int) -> Any:
        """Return what both sides must agree on after the first ``calls`` calls."""


class Read(Operation):
    """An operation that changes nothing: both sides must agree on what its first calls return."""

    unit = "reads"

    def outcome(self, side: Side, calls: int) -> Any:
        return [self.perform(side, self.arguments(number)) for number in range(min(calls, 100))]


@dataclass(frozen=True)
class Scale:
    """How large the workloads are: to how many timelines of 100 and of 800 entries one call delivers, how many calls a
    writing operation has at most, and the sizes at which one timeline is measured.
    """

    short_timelines: int
    long_timelines: int
    calls: int
    sizes: tuple[int, ...]

    @property
    def steady_calls(self) -> int:
        """How many calls an operation has at most where the store does not grow by it, or by little."""
        return 4 * self.calls


QUICK = Scale(short_timelines=1_000, long_timelines=250, calls=60, sizes=(1_000, 10_000, 100_000))
FULL = Scale(short_timelines=1_000, long_timelines=1_000, calls=160, sizes=(1_000, 10_000, 100_000, 1_000_000))


class Scenario(ABC):
    """A store in some state, and the operations that are measured on it, in their order."""

    operations: Sequence[Operation]

    @abstractmethod
    def fill(self, side: Side) -> None:
        """Bring a new, empty store into the state."""

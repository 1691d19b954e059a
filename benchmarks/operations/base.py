"""The base classes of operations and scenarios."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.side import Side


class Operation(ABC):
    """One row of the table: one call, repeated, on both sides.

    Attributes:
        name: The name for ``--operation``.
        title: The title in the table.
        unit: The unit that the rate counts.
        units: The number of units in one call.
        calls: The maximum of calls, or None for no limit.
    """

    name: str
    title: str
    unit: str
    units: int = 1
    calls: int | None = None

    @abstractmethod
    def arguments(self, number: int) -> Any:
        """Return the argument of call ``number``, the same on both sides. It is made before the timing."""

    @abstractmethod
    def perform(self, side: Side, arguments: Any) -> Any:
        """Make one call. Only this method is timed."""

    @abstractmethod
    def outcome(self, side: Side, calls: int) -> Any:
        """Return a value that must be equal on both sides after the first ``calls`` calls."""


class Read(Operation):
    """An operation that changes nothing. The results of its first calls must be equal on both sides."""

    unit = "reads"

    def outcome(self, side: Side, calls: int) -> Any:
        return [self.perform(side, self.arguments(number)) for number in range(min(calls, 100))]


@dataclass(frozen=True)
class Scale:
    """The sizes of the workloads.

    They are the numbers of timelines of 100 and of 800 entries that one call delivers to, the maximum of calls of a
    writing operation, and the lengths at which one timeline is measured.
    """

    short_timelines: int
    long_timelines: int
    calls: int
    sizes: tuple[int, ...]

    @property
    def steady_calls(self) -> int:
        """The maximum of calls of an operation that makes the store grow little or not at all."""
        return 4 * self.calls


QUICK = Scale(short_timelines=1_000, long_timelines=250, calls=60, sizes=(1_000, 10_000, 100_000))
FULL = Scale(short_timelines=1_000, long_timelines=1_000, calls=160, sizes=(1_000, 10_000, 100_000, 1_000_000))


class Scenario(ABC):
    """An initial state of a store, and the operations that are measured on it, in their order."""

    operations: Sequence[Operation]

    @abstractmethod
    def fill(self, side: Side) -> None:
        """Build the state in a new, empty store."""

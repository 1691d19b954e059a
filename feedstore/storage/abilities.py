"""What a backend can do beyond the contract that all share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class AtomicScope(StrEnum):
    """How far an atomic batch reaches."""

    BACKEND = "backend"
    """Any writes of the backend, all or nothing, and never seen half done."""
    SLOT = "slot"
    """Writes whose keys share one slot of a cluster."""
    EVENTUAL = "eventual"
    """All or nothing in the end; a reader may see some of the writes before the others."""
    NONE = "none"
    """Nothing: an atomic batch is refused."""


@dataclass(frozen=True)
class Abilities:
    """The abilities of a backend; the contract suites branch on these alone, never on a backend's type.

    - ``exact_counts``: adds, removes and trims return how many; without it they return None.
    - ``exact_fan_out_length``: after ``add_to_many(…, max_length=n)`` a timeline holds n entries at most. Without it
      at most ``fan_out_excess`` older entries more may stay until the next trim, for each process that delivers.
    - ``exact_floor``: a floor is one more than the newest entry that trimming dropped. Without it, it may be higher, up
      to the oldest entry that the trim kept.
    - ``atomic_scope``: what ``batch(atomic=True)`` may hold.
    - ``atomic_deliveries``: a delivery with ``max_per_payload`` or ``companions`` is one step for each timeline, and
      joins batches. Without it the delivery reads before it writes, so two at the same time may keep more entries of a
      payload, or add an entry to a companion that the other has added already; and batches refuse it.
    - ``conditional_writes``: key-value storages have ``insert`` and ``replace``, which change a key only if it is as
      expected.
    - ``conditional_batches``: they are preconditions of atomic batches too.
    - ``ordered_prefix_scans``: a prefix scan of a key-value storage costs what it returns.
    - ``exclusive_claims``: two consumers of a queue never have the same message within its visibility timeout. Without
      it, two that receive in the same instant may both get it; it is still received at least once.
    - ``shared_between_processes``: another process that opens the same URL sees the same data.
    """

    exact_counts: bool = True
    exact_fan_out_length: bool = True
    fan_out_excess: int = 0
    exact_floor: bool = True
    atomic_scope: AtomicScope = AtomicScope.BACKEND
    atomic_deliveries: bool = True
    conditional_writes: bool = True
    conditional_batches: bool = True
    ordered_prefix_scans: bool = True
    exclusive_claims: bool = True
    shared_between_processes: bool = True

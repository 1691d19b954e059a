"""The abilities of a backend: the rules of the contract that it keeps, and those that it relaxes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class AtomicScope(StrEnum):
    """The writes that an atomic batch may hold."""

    BACKEND = "backend"
    """Any writes of the backend. All are stored or none, and no reader sees only some of them."""
    SLOT = "slot"
    """Writes whose keys share one slot of a cluster."""
    EVENTUAL = "eventual"
    """Any writes. In the end all are stored or none, but a reader may see some of them before the others."""
    NONE = "none"
    """None: an atomic batch is refused."""


@dataclass(frozen=True)
class Abilities:
    """The abilities of a backend. The contract suites branch on them, never on a backend's type.

    Attributes:
        exact_counts: Adds, removes and trims return their counts. Without it, they return None.
        exact_fan_out_length: After ``add_to_many(…, max_length=n)`` a timeline holds n entries at most. Without it, up
            to ``fan_out_excess`` older entries in addition stay until the next trim, for each process that delivers.
        fan_out_excess: That number.
        exact_floor: A floor is one more than the newest entry that was trimmed. Without it, it may be higher, up to the
            oldest entry that the trim kept.
        atomic_scope: The writes that ``batch(atomic=True)`` may hold.
        atomic_deliveries: A delivery with ``max_per_payload`` or ``companions`` is atomic for each timeline, and can
            join batches. Without it, the delivery reads before it writes, and batches refuse it. Two concurrent
            deliveries may then keep more entries of a payload, or both add an entry to a companion.
        conditional_writes: Key-value storages have ``insert`` and ``replace``, which write only if the key's value is
            the expected one.
        conditional_batches: ``insert`` and ``replace`` can be preconditions of atomic batches.
        ordered_prefix_scans: A prefix scan of a key-value storage costs in proportion to its result.
        exclusive_claims: Two consumers of a queue never have the same message within its visibility timeout. Without
            it, two consumers that race may both receive a message. Each message is received at least once.
        shared_between_processes: Another process that opens the same URL sees the same data.
        documents: The backend has a storage of documents with full-text search.
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
    documents: bool = False

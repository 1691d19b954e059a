"""The content of a store, for comparisons with another one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from feedstore import Activity
from feedstore.ingest import Checkpoint, Checkpoints
from feedstore.storage import Backend


@dataclass(frozen=True, eq=False)
class Floor:
    """A timeline's floor and its oldest entry. An inexact floor equals every exact floor that it may stand for."""

    value: int | None
    oldest: int
    is_exact: bool

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Floor):
            return NotImplemented
        if self.is_exact == other.is_exact or self.value is None or other.value is None:
            return self.value == other.value
        exact, other_one = (self.value, other.value) if self.is_exact else (other.value, self.value)
        return exact <= other_one <= max(exact, self.oldest)


@dataclass(frozen=True)
class Stored:
    """All data in a namespace that ingestion writes."""

    activities: list[Activity]
    timelines: dict[str, list[int]]
    floors: dict[str, Floor]
    checkpoints: list[Checkpoint]


def settle(backend: Backend, max_length: int) -> None:
    """Trim readers' timelines if the backend lets older entries stay for a while."""
    timelines = backend.timeline_storage()
    if not backend.abilities.exact_fan_out_length:
        keys = timelines.keys()
        for key in [key for key in keys if key.startswith("home:")]:
            timelines.trim(key, max_length)


def stored_in(backend: Backend) -> Stored:
    """Read everything; the checkpoints are without the name of their input."""
    timelines = backend.timeline_storage()
    is_exact = backend.abilities.exact_floor
    entries = {key: timelines.get_slice(key, 0, None) for key in sorted(timelines.keys())}
    ids = {key: [entry.serialization_id for entry in found] for key, found in entries.items()}
    return Stored(
        activities=list(backend.activity_storage().iterate()),
        timelines=ids,
        floors={key: Floor(timelines.get_page(key, 1).floor, found[-1], is_exact) for key, found in ids.items()},
        checkpoints=sorted(
            (replace(checkpoint, source="") for checkpoint in Checkpoints(backend)), key=lambda one: one.position
        ),
    )

"""What a store holds, to be compared with what another one does."""

from __future__ import annotations

from dataclasses import dataclass, replace

from feedstore import Activity
from feedstore.ingest import Checkpoint, Checkpoints
from feedstore.storage import Backend


@dataclass(frozen=True)
class Stored:
    """Everything in a namespace that ingestion writes."""

    activities: list[Activity]
    timelines: dict[str, list[int]]
    floors: dict[str, int | None]
    checkpoints: list[Checkpoint]


def stored_in(backend: Backend) -> Stored:
    """Read everything; the checkpoints are without the name of their input."""
    timelines = backend.timeline_storage()
    keys = sorted(timelines.keys())
    return Stored(
        activities=list(backend.activity_storage().iterate()),
        timelines={key: [entry.serialization_id for entry in timelines.get_slice(key, 0, None)] for key in keys},
        floors={key: timelines.get_page(key, 1).floor for key in keys},
        checkpoints=sorted(
            (replace(checkpoint, source="") for checkpoint in Checkpoints(backend)), key=lambda one: one.position
        ),
    )

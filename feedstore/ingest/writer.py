"""Writing chunks into a store."""

from __future__ import annotations

from typing import NamedTuple

from feedstore.errors import AtomicityError
from feedstore.ingest.checkpoint import Checkpoint, Checkpoints
from feedstore.ingest.chunk import Chunk
from feedstore.storage import AtomicScope, Backend


class Written(NamedTuple):
    """The numbers of activities and of deliveries that a chunk added to the store.

    A backend without exact counts reports all that it received.
    """

    activities: int
    deliveries: int


class ChunkWriter:
    """Writes each chunk with its checkpoint in one atomic batch, so that a kill leaves whole chunks only.

    If no atomic batch reaches the whole backend, or if the chunk exceeds the limit of an atomic batch, the checkpoint
    follows its chunk. A kill between the two leaves a chunk, or a part of one. The resumed run writes it again, which
    changes nothing.

    An activity goes into the activity storage, to the timeline of its actor, which is kept whole, and to its
    followers' timelines, which are kept to their newest ``max_length`` entries.
    """

    def __init__(self, backend: Backend, max_length: int) -> None:
        self.checkpoints = Checkpoints(backend)
        self._backend = backend
        self._activities = backend.activity_storage()
        self._timelines = backend.timeline_storage()
        self._max_length = max_length
        self._is_atomic = backend.abilities.atomic_scope is AtomicScope.BACKEND

    def write(self, chunk: Chunk, checkpoint: Checkpoint) -> Written:
        """Write a chunk and its checkpoint."""
        if not self._is_atomic:
            return self._write(chunk, checkpoint, is_atomic=False)
        try:
            return self._write(chunk, checkpoint, is_atomic=True)
        except AtomicityError:
            return self._write(chunk, checkpoint, is_atomic=False)

    def _write(self, chunk: Chunk, checkpoint: Checkpoint, is_atomic: bool) -> Written:
        large, small = chunk.deliveries_by_size()
        timelines, max_length = self._timelines, self._max_length
        with self._backend.batch(atomic=is_atomic) as batch:
            self._activities.add_many(chunk.activities, batch_interface=batch)
            first_delivery = len(batch)
            for readers, activities in large:
                timelines.add_to_many(readers, activities, max_length=max_length, batch_interface=batch)
            timelines.add_to_each(small, max_length=max_length, batch_interface=batch)
            end_of_deliveries = len(batch)
            timelines.add_to_each(chunk.by_actor(), batch_interface=batch)
            if is_atomic:
                self.checkpoints.save(checkpoint, batch)
        if not is_atomic:
            self.checkpoints.save(checkpoint)
        new_activities = batch.results[0]
        new_deliveries = batch.results[first_delivery:end_of_deliveries]
        if new_activities is None or None in new_deliveries:
            return Written(chunk.rows, chunk.deliveries)
        return Written(new_activities, sum(new_deliveries))

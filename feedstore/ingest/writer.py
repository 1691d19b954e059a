"""Writing chunks into a store."""

from __future__ import annotations

from feedstore.errors import AtomicityError
from feedstore.ingest.checkpoint import Checkpoint, Checkpoints
from feedstore.ingest.chunk import Chunk
from feedstore.ingest.lateness import LateDeliveries
from feedstore.storage import AtomicScope, Backend


class ChunkWriter:
    """Writes each chunk with its checkpoint in one atomic batch: what a kill leaves are whole chunks.

    Where no atomic batch reaches the whole backend, or the chunk is more than one may hold, the checkpoint follows its
    chunk. A kill between the two leaves a chunk, or a part of one, that a resumed run writes again, which changes
    nothing.

    An activity goes into the activity storage, to the timeline of its actor, which is kept whole, and to its
    followers' timelines, which are kept to their newest ``max_length`` entries.
    """

    def __init__(self, backend: Backend, max_length: int) -> None:
        self.checkpoints = Checkpoints(backend)
        self._backend = backend
        self._activities = backend.activity_storage()
        self._timelines = backend.timeline_storage()
        self._late = LateDeliveries(self._timelines, max_length)
        self._max_length = max_length
        self._is_atomic = backend.abilities.atomic_scope is AtomicScope.BACKEND

    def count_too_old(self, chunk: Chunk) -> int:
        """Return how many of a chunk's deliveries will not stay; to be called once, before :meth:`write`."""
        return self._late.count(chunk)

    def write(self, chunk: Chunk, checkpoint: Checkpoint) -> tuple[int, int]:
        """Write a chunk, and return how many activities and how many deliveries were new, too old ones included.

        A backend without exact counts counts what it was sent.
        """
        if not self._is_atomic:
            return self._write(chunk, checkpoint, is_atomic=False)
        try:
            return self._write(chunk, checkpoint, is_atomic=True)
        except AtomicityError:
            return self._write(chunk, checkpoint, is_atomic=False)

    def _write(self, chunk: Chunk, checkpoint: Checkpoint, is_atomic: bool) -> tuple[int, int]:
        own, fan_out = chunk.by_actor(), chunk.by_readers()
        with self._backend.batch(atomic=is_atomic) as batch:
            self._activities.add_many(chunk.activities, batch_interface=batch)
            for readers, activities in fan_out:
                self._timelines.add_to_many(readers, activities, max_length=self._max_length, batch_interface=batch)
            for actor, activities in own.items():
                self._timelines.add_many(actor, activities, batch_interface=batch)
            if is_atomic:
                self.checkpoints.save(checkpoint, batch)
        if not is_atomic:
            self.checkpoints.save(checkpoint)
        added, *delivered = batch.results[: 1 + len(fan_out)]
        if added is None or None in delivered:
            return chunk.rows, chunk.deliveries
        return added, sum(delivered)

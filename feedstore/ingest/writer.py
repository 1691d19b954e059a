"""Writing chunks into a store."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from feedstore.errors import AtomicityError
from feedstore.fanout import FeedManager
from feedstore.fanout.bulk import FanOuts
from feedstore.fanout.feed_classes import FeedClass
from feedstore.ingest.checkpoint import Checkpoint, Checkpoints
from feedstore.ingest.chunk import Chunk
from feedstore.storage import AtomicScope, Batch


class Written(NamedTuple):
    """The numbers of activities and of deliveries that a chunk added to the store.

    A delivery to several feeds of one reader counts once. If the backend has no exact counts, or if the deliveries are
    jobs, the numbers are those of the chunk. If no feed class joins the batch, so is the number of deliveries.
    """

    activities: int
    deliveries: int


class ChunkWriter:
    """Publishes each chunk through a manager.

    If the manager delivers in place, a chunk is a few bulk writes, which are one atomic batch with the checkpoint, so
    that a kill leaves whole chunks only. If no atomic batch reaches the whole backend or one of the feeds, or if the
    chunk exceeds the limit of an atomic batch, the checkpoint follows its chunk. A kill between the two leaves a chunk,
    or a part of one. The resumed run writes it again, which changes nothing. After a chunk that was refused as an
    atomic batch, no chunk of that size or a greater one is tried as an atomic batch.

    If the manager has a policy, or an executor that runs jobs elsewhere, each actor's activities of the chunk are one
    :meth:`~feedstore.fanout.FeedManager.batch_import`.
    """

    def __init__(self, manager: FeedManager) -> None:
        self.checkpoints = Checkpoints(manager.backend)
        self._manager = manager
        self._is_atomic = manager.backend.abilities.atomic_scope is AtomicScope.BACKEND
        self._refused_size: float = inf

    def write(self, chunk: Chunk, checkpoint: Checkpoint) -> Written:
        """Write a chunk and its checkpoint."""
        if not self._manager.delivers_in_place:
            for actor, activities in chunk.by_actor().items():
                self._manager.batch_import(actor, activities)
            self.checkpoints.save(checkpoint)
            return Written(chunk.rows, chunk.deliveries)
        size = chunk.rows + chunk.deliveries
        if self._is_atomic and size < self._refused_size:
            try:
                return self._write(chunk, checkpoint, is_atomic=True)
            except AtomicityError:
                # A refused batch costs as much of the process as a sent one, so the next ones are not tried.
                self._refused_size = size
        return self._write(chunk, checkpoint, is_atomic=False)

    def _write(self, chunk: Chunk, checkpoint: Checkpoint, is_atomic: bool) -> Written:
        manager, activities, feeds = self._manager, chunk.activities, self._manager.feeds.followers.values()
        fan_outs = chunk.deliveries_by_size()
        with manager.backend.batch(atomic=is_atomic) as batch:
            manager.activities.add_many(activities, batch_interface=batch)
            manager.publications.index(activities, batch)
            manager.add_to_own_feeds(chunk.by_actor(), batch)
            first_delivery = len(batch)
            inside = [feed for feed in feeds if manager.batch_for(feed, batch) is batch]
            for feed in inside:
                self._deliver(fan_outs, feed, batch)
            end_of_deliveries = len(batch)
            is_atomic = is_atomic and len(inside) == len(feeds)
            if is_atomic:
                self.checkpoints.save(checkpoint, batch)
        for feed in feeds:
            if feed not in inside:
                self._deliver(fan_outs, feed, None)
        if not is_atomic:
            self.checkpoints.save(checkpoint)
        for _ in activities:
            manager.backend.metrics.on_activity_published()
        new_activities = batch.results[0]
        new_deliveries = batch.results[first_delivery:end_of_deliveries]
        has_counts = inside and None not in new_deliveries
        return Written(
            chunk.rows if new_activities is None else new_activities,
            sum(new_deliveries) // len(inside) if has_counts else chunk.deliveries,
        )

    def _deliver(self, fan_outs: FanOuts, feed: FeedClass, batch: Batch | None) -> None:
        """Add the activities of a chunk to the feeds of a class."""
        large, small = fan_outs
        for readers, activities in large:
            feed.add_to_feeds(self._manager.backend, readers, activities, batch_interface=batch)
        feed.add_to_each_feed(self._manager.backend, small, batch_interface=batch)

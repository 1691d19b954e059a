"""The loader, which makes stored activities and timelines of an input's rows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from feedstore.errors import InputError, InvalidTypeError, InvalidValueError
from feedstore.fanout import FeedManager
from feedstore.ingest.checkpoint import Checkpoint
from feedstore.ingest.chunk import DEFAULT_ROWS, Chunk, Readers
from feedstore.ingest.documents import read_activities
from feedstore.ingest.formats import AUTO
from feedstore.ingest.lines import Lines
from feedstore.ingest.rows import ActivityReader
from feedstore.ingest.source import Source
from feedstore.ingest.summary import Problems, Progress, Summary
from feedstore.ingest.writer import ChunkWriter
from feedstore.shown import shown
from feedstore.storage.checks import check_limit

DEFAULT_MAX_FUTURE = timedelta(days=1)


class Loader:
    """Publishes the activities of inputs through a feed manager: each goes to its actor's own feed, and to the feeds of
    its followers.

    Ids derive from the contents of the rows. If an input is ingested twice, or by two loaders concurrently, nothing is
    stored or delivered twice; only the later counts are smaller. Memory holds one chunk, and the names of the
    followers of all actors, for inputs of any size. :class:`~feedstore.ingest.writer.ChunkWriter` describes the writes.

    ``summary`` holds the counts of the run so far, also after an error. ``followed_actors`` holds the actors of the
    rows of this run that have followers.

    Args:
        manager: The manager, whose feed classes receive the activities. Its follow graph, or its function, names the
            followers.
        dry_run: Whether to read, check and count only, and to write nothing.
        from_follow: Whether a follower receives only the activities from the time of the follow on. By default an edge
            applies to old activities, too, as a follow copies them. It needs a manager with a follow graph.
        max_future: The loader refuses activities that lie further ahead of the clock, because they would stay on top
            of every timeline.
        chunk_rows: The number of rows in a chunk, which has fewer if they make very many deliveries. Each chunk is one
            atomic batch with its checkpoint. If no atomic batch reaches the whole store, the checkpoint is written
            after its chunk.
        format: The format of the inputs: ``"csv"``, ``"ndjson"``, ``"as2"`` (ActivityStreams 2.0), or ``"auto"``.
        base: The beginning of the IRIs of names in ActivityStreams documents; see
            :func:`feedstore.interchange.from_as2`.
        problems: Decides whether an error in a row stops the run or is counted.
        progress: Receives the callbacks of the run's progress.

    >>> from feedstore import connect
    >>> Loader(FeedManager(connect("memory://"))).summary.rows
    0
    """

    def __init__(
        self,
        manager: FeedManager,
        *,
        dry_run: bool = False,
        from_follow: bool = False,
        max_future: timedelta = DEFAULT_MAX_FUTURE,
        chunk_rows: int = DEFAULT_ROWS,
        format: str = AUTO,
        base: str | None = None,
        problems: Problems | None = None,
        progress: Progress | None = None,
    ) -> None:
        if not isinstance(manager, FeedManager):
            raise InvalidTypeError(f"manager must be a FeedManager, such as FeedManager(backend), not {shown(manager)}")
        self.problems = Problems() if problems is None else problems
        self.summary = Summary()
        self.followed_actors: set[str] = set()
        # A later run finds the follows of a stored graph, but not those of a function.
        self._has_follows = manager.graph is None
        self._readers = Readers(manager, from_follow)
        self._writer = None if dry_run else ChunkWriter(manager)
        self._max_future = max_future
        self._chunk_rows = check_limit("chunk_rows", chunk_rows)
        self._format = format
        self._base = base
        self._progress = Progress() if progress is None else progress

    def load(self, source: Source, resume: bool = False) -> Summary:
        """Ingest an input, and return :attr:`summary`.

        Args:
            source: The input.
            resume: Continue after the last chunk of the same input that an earlier run stored. If there was no earlier
                run, the ingestion begins at the start. If the input has grown, it continues with the new rows.

        Raises:
            InputError: A row is malformed and ``problems`` does not skip it. All rows before it are stored, and a
                resumed run begins with it. Also raised if the input has changed before the place to resume at.
            StorageError: The store failed. Whole chunks are stored.
        """
        started = time.monotonic() - self.summary.seconds
        with source.open() as lines:
            self._progress.start(source, self.summary)
            try:
                rows = read_activities(lines, self._max_future, self._format, self._base)
                checkpoint = self._begin(source, lines, resume)
                for _ in self._chunks(rows, checkpoint):
                    self.summary.seconds = time.monotonic() - started
                    self._progress.advance(source, self.summary)
            finally:
                self.summary.seconds = time.monotonic() - started
                self._progress.finish(source, self.summary)
        return self.summary

    def _begin(self, source: Source, lines: Lines, resume: bool) -> Checkpoint:
        """Return the checkpoint to start from, and skip the lines before its position."""
        found = self._writer.checkpoints.find(source.identity) if self._writer and resume else None
        if found is None:
            return Checkpoint(source.identity, lines.position(), has_follows=self._has_follows)
        if found.has_follows != self._has_follows:
            kinds = ("the stored follow graph", "followers in memory")
            raise InvalidValueError(
                f"the ingestion of {source.name} began with {kinds[found.has_follows]}; resume it with the same, or "
                "start over without resuming"
            )
        lines.skip_to(found.position)
        self.summary.resumed_rows += found.rows
        return replace(found, finished=False)

    def _chunks(self, rows: ActivityReader, checkpoint: Checkpoint) -> Iterator[None]:
        """Read and store the rows chunk by chunk, and yield after each."""
        table = rows.table
        while not checkpoint.finished:
            chunk = Chunk(self._readers, self._chunk_rows)
            skipped_before = checkpoint.skipped - self.problems.count
            try:
                is_end = self._fill(chunk, rows)
            except InputError:
                skipped = skipped_before + self.problems.count
                self._store(chunk, replace(checkpoint, position=table.position_before_last(), skipped=skipped))
                raise
            skipped = skipped_before + self.problems.count
            checkpoint = replace(checkpoint, position=table.position(), skipped=skipped, finished=is_end)
            checkpoint = self._store(chunk, checkpoint)
            yield

    def _fill(self, chunk: Chunk, rows: ActivityReader) -> bool:
        """Read rows until the chunk is full or as many rows were skipped; return whether the input has ended."""
        most_skipped = self.problems.count + self._chunk_rows
        while not chunk.is_full and self.problems.count < most_skipped:
            try:
                for activity in rows:
                    chunk.add(activity)
                    if chunk.is_full:
                        return False
                return True
            except InputError as error:
                self.problems.note(error, rows.table)
        return False

    def _store(self, chunk: Chunk, checkpoint: Checkpoint) -> Checkpoint:
        """Write a chunk with its checkpoint, add to the summary, and return the checkpoint as written."""
        summary = self.summary
        if self._writer is not None:
            checkpoint = replace(
                checkpoint,
                rows=checkpoint.rows + chunk.rows,
                deliveries=checkpoint.deliveries + chunk.deliveries,
            )
            written = self._writer.write(chunk, checkpoint)
            summary.activities += written.activities
            summary.deliveries += written.deliveries
        summary.rows += chunk.rows
        summary.planned_deliveries += chunk.deliveries
        summary.skipped = self.problems.count
        self.followed_actors.update(chunk.followed_actors)
        return checkpoint

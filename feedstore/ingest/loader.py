"""The loader: from an input's rows to stored activities and timelines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from feedstore.errors import InputError, InvalidValueError
from feedstore.ingest.checkpoint import Checkpoint
from feedstore.ingest.chunk import DEFAULT_ROWS, Chunk
from feedstore.ingest.follows import FollowGraph
from feedstore.ingest.formats import read_table
from feedstore.ingest.lines import Lines
from feedstore.ingest.rows import ACTIVITY_COLUMNS, ActivityRows
from feedstore.ingest.source import Source
from feedstore.ingest.summary import Problems, Progress, Summary
from feedstore.ingest.writer import ChunkWriter
from feedstore.storage import Backend
from feedstore.storage.bounds import check_position

DEFAULT_MAX_LENGTH = 800
DEFAULT_MAX_FUTURE = timedelta(days=1)


class Loader:
    """Stores the activities of inputs, and delivers each to its actor's timeline and to those of its followers.

    ``follows`` says who follows whom; without it the actors' own timelines are all that is written. A follower's
    timeline is kept to its newest ``max_length`` entries; an actor's own is kept whole. What lies more than
    ``max_future`` ahead of the clock is refused, for it would stay on top of every timeline. Rows go to the store in
    chunks of ``chunk_rows``, fewer where they make very many deliveries; each chunk is one atomic batch with its
    checkpoint, or comes before its checkpoint where no atomic batch reaches the whole store. Memory holds one chunk
    and the graph, however large the inputs.

    Ids derive from what the rows say, so ingesting an input again, or by two loaders at once, stores and delivers
    nothing twice; only the counts of the later one are smaller.

    With ``backend=None`` everything is read, checked and counted, and nothing is written. ``problems`` decides what an
    error in a row does; ``progress`` hears how far the run is; ``summary`` is what was done so far, after an
    error too.

    >>> from feedstore import connect
    >>> backend = connect("memory://")
    >>> Loader(backend, FollowGraph([("bob", "ann")])).summary.rows
    0
    """

    def __init__(
        self,
        backend: Backend | None,
        follows: FollowGraph | None = None,
        *,
        max_length: int = DEFAULT_MAX_LENGTH,
        max_future: timedelta = DEFAULT_MAX_FUTURE,
        chunk_rows: int = DEFAULT_ROWS,
        problems: Problems | None = None,
        progress: Progress | None = None,
    ) -> None:
        _check_at_least_one("max_length", max_length)
        _check_at_least_one("chunk_rows", chunk_rows)
        self.follows = FollowGraph() if follows is None else follows
        self.problems = Problems() if problems is None else problems
        self.summary = Summary()
        self._has_follows = follows is not None
        self._writer = None if backend is None else ChunkWriter(backend, max_length)
        self._max_future = max_future
        self._chunk_rows = chunk_rows
        self._progress = Progress() if progress is None else progress
        self._acted: set[str | int] = set()

    @property
    def idle_followees(self) -> int:
        """How many users that somebody follows have done nothing in the rows of this run: misspelt, perhaps."""
        return self.follows.followees - len(self._acted)

    def load(self, source: Source, resume: bool = False) -> Summary:
        """Ingest an input, and return :attr:`summary`.

        With ``resume`` it goes on behind the last chunk that an earlier run stored of the same input; one that was
        never begun begins, and one that has grown goes on with what is new. Raises :class:`InputError` if what lies
        before that place has changed, and, unless ``problems`` skips it, for a row that is wrong: all rows before it
        are stored then, and a resume begins with it. Errors of the store are :class:`StorageError`: whole chunks are
        stored then.
        """
        started = time.monotonic() - self.summary.seconds
        with source.open() as lines:
            self._progress.start(source, self.summary)
            try:
                rows = ActivityRows(read_table(lines, ACTIVITY_COLUMNS), self._max_future)
                checkpoint = self._begin(source, lines, resume)
                for _ in self._chunks(rows, checkpoint):
                    self.summary.seconds = time.monotonic() - started
                    self._progress.advance(source, self.summary)
            finally:
                self.summary.seconds = time.monotonic() - started
                self._progress.finish(source, self.summary)
        return self.summary

    def _begin(self, source: Source, lines: Lines, resume: bool) -> Checkpoint:
        """Return the checkpoint to go on from, with the lines taken up to its place."""
        found = self._writer.checkpoints.find(source.identity) if self._writer and resume else None
        if found is None:
            return Checkpoint(source.identity, lines.position(), has_follows=self._has_follows)
        if found.has_follows != self._has_follows:
            with_or_without = "with" if found.has_follows else "without"
            raise InvalidValueError(
                f"the ingestion of {source.name} began {with_or_without} follows; resume it {with_or_without} them, "
                "or start over without resuming"
            )
        lines.skip_to(found.position)
        self.summary.resumed_rows += found.rows
        return replace(found, finished=False)

    def _chunks(self, rows: ActivityRows, checkpoint: Checkpoint) -> Iterator[None]:
        """Read and store the rows chunk by chunk, and yield after each."""
        table = rows.table
        while not checkpoint.finished:
            chunk = Chunk(self.follows, self._chunk_rows)
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

    def _fill(self, chunk: Chunk, rows: ActivityRows) -> bool:
        """Read rows until the chunk is full or as many were passed over, and return whether the input has ended."""
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
        """Write a chunk and the checkpoint behind it, count what was new, and return the checkpoint as written."""
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
        self._acted.update(activity.actor for activity, readers in chunk if readers)
        return checkpoint


def _check_at_least_one(name: str, value: int) -> None:
    if check_position(name, value) == 0:
        raise InvalidValueError(f"{name} is 0; pass 1 or more")

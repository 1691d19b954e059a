"""The loader, which makes stored activities and timelines of an input's rows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from feedstore.errors import InputError, InvalidValueError
from feedstore.fanout import FollowGraph
from feedstore.ingest.checkpoint import Checkpoint
from feedstore.ingest.chunk import DEFAULT_ROWS, Chunk
from feedstore.ingest.follows import InputGraph, StoredReaders
from feedstore.ingest.formats import read_table
from feedstore.ingest.lines import Lines
from feedstore.ingest.rows import ACTIVITY_COLUMNS, ActivityReader
from feedstore.ingest.source import Source
from feedstore.ingest.summary import Problems, Progress, Summary
from feedstore.ingest.writer import ChunkWriter
from feedstore.storage import Backend
from feedstore.storage.checks import check_position

DEFAULT_MAX_LENGTH = 800
DEFAULT_MAX_FUTURE = timedelta(days=1)


class Loader:
    """Stores the activities of inputs, and delivers each to its actor's timeline and to those of its followers.

    Ids derive from the contents of the rows. If an input is ingested twice, or by two loaders concurrently, nothing is
    stored or delivered twice; only the later counts are smaller. Memory holds one chunk and the follow graph, for
    inputs of any size.

    ``summary`` holds the counts of the run so far, also after an error.

    Args:
        backend: The backend to write to. With None the loader reads, checks and counts, and writes nothing.
        follows: The follow graph, in memory or stored. Without it the loader writes the actors' own timelines only.
        max_length: The number of newest entries that a follower's timeline keeps. An actor's own timeline keeps all.
        max_future: The loader refuses activities that lie further ahead of the clock, because they would stay on top
            of every timeline.
        chunk_rows: The number of rows in a chunk, which has fewer if they make very many deliveries. Each chunk is one
            atomic batch with its checkpoint. If no atomic batch reaches the whole store, the checkpoint is written
            after its chunk.
        problems: Decides whether an error in a row stops the run or is counted.
        progress: Receives the callbacks of the run's progress.

    >>> from feedstore import connect
    >>> backend = connect("memory://")
    >>> Loader(backend, InputGraph([("bob", "ann")])).summary.rows
    0
    """

    def __init__(
        self,
        backend: Backend | None,
        follows: InputGraph | FollowGraph | None = None,
        *,
        max_length: int = DEFAULT_MAX_LENGTH,
        max_future: timedelta = DEFAULT_MAX_FUTURE,
        chunk_rows: int = DEFAULT_ROWS,
        problems: Problems | None = None,
        progress: Progress | None = None,
    ) -> None:
        _check_at_least_one("max_length", max_length)
        _check_at_least_one("chunk_rows", chunk_rows)
        self.follows: InputGraph | StoredReaders
        if isinstance(follows, FollowGraph):
            self.follows = StoredReaders(follows)
        else:
            self.follows = InputGraph() if follows is None else follows
        self.problems = Problems() if problems is None else problems
        self.summary = Summary()
        self._has_follows = follows is not None
        self._writer = None if backend is None else ChunkWriter(backend, max_length)
        self._max_future = max_future
        self._chunk_rows = chunk_rows
        self._progress = Progress() if progress is None else progress
        self._acted: set[str] = set()

    @property
    def idle_followees(self) -> int:
        """The number of followed users without a row in this run, whose names may be misspelt. 0 for a stored graph."""
        return max(self.follows.followees - len(self._acted), 0)

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
                rows = ActivityReader(read_table(lines, ACTIVITY_COLUMNS), self._max_future)
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
            with_or_without = "with" if found.has_follows else "without"
            raise InvalidValueError(
                f"the ingestion of {source.name} began {with_or_without} follows; resume it {with_or_without} them, "
                "or start over without resuming"
            )
        lines.skip_to(found.position)
        self.summary.resumed_rows += found.rows
        return replace(found, finished=False)

    def _chunks(self, rows: ActivityReader, checkpoint: Checkpoint) -> Iterator[None]:
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
        self._acted.update(chunk.followed_actors)
        return checkpoint


def _check_at_least_one(name: str, value: int) -> None:
    if check_position(name, value) == 0:
        raise InvalidValueError(f"{name} is 0; pass 1 or more")

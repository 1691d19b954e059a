"""Following one path, over rotation, truncation and restarts."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable
from datetime import datetime, timezone
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

from feedstore.events import BackendEventStore, Event
from feedstore.logs.reader import MOST_BYTES, LogOptions, LogReader, path_text
from feedstore.storage import KvStorage

POSITIONS = "logs"
"""The key-value storage of the positions in files: one value for each path, a marker for each folder, and imports."""
IDLE_SECONDS = 1.0
"""The time without growth after which a waiting block is an event."""
DRAIN_SECONDS = 5.0
"""The time without growth after which a file that was rotated is closed."""
PACKED = (".gz", ".xz", ".bz2", ".zst")
"""The endings of compressed files, which are never followed."""
_ROTATED = re.compile(r"(.+?)[._-]\d[\d._T:-]*")
_HEAD_BYTES = 256
_HASHED_FROM = 900
_STEP = 1 << 16

Identity = tuple[int, int]
"""The device and the inode of a file."""


def stem_of(path: Path) -> Path | None:
    """Return the path whose file a rotation has given this name; None if the name is not of that kind.

    >>> stem_of(Path("app.log.2026-11-29")), stem_of(Path("app.log"))
    (PosixPath('app.log'), None)
    """
    found = _ROTATED.fullmatch(path.name)
    return None if found is None else path.parent / found[1]


def key_of(path: str) -> str:
    """Return the key of a path's positions."""
    absolute = path_text(os.path.abspath(path)) + ("/" if path.endswith("/") else "")
    if len(absolute.encode()) <= _HASHED_FROM:
        return absolute
    return f"~{blake2b(absolute.encode(), digest_size=16).hexdigest()}"


class OpenFile:
    """An open file, the reader of its bytes, and a hash of the file's beginning."""

    def __init__(self, path: str, tail_path: str, options: LogOptions, now: float) -> None:
        # A buffer would return old bytes of a file that was truncated and written again.
        self.file: BinaryIO = open(path, "rb", buffering=0)  # noqa: SIM115 - it stays open
        self._path = tail_path
        self._options = options
        self._head_bytes = 0
        self._head = head_hash(b"")
        status = os.fstat(self.file.fileno())
        self.identity: Identity = (status.st_dev, status.st_ino)
        self.grown_at = now
        self._changed_ns = status.st_mtime_ns
        self.reader = LogReader(tail_path, options)

    @property
    def place(self) -> list[Any]:
        """The values that a restart needs: identity, last change, position, beginning and the last line's time."""
        position = self.reader.position
        return [*self.identity, self._changed_ns, position, self._head_bytes, self._head, self.reader.last_time]

    def go_to(self, position: int, last_time: float | None = None) -> None:
        """Read from a position on."""
        self.reader = LogReader(self._path, self._options, position, last_time=last_time)

    def is_rewritten(self) -> bool:
        """Return whether the file was truncated, or holds other bytes at its beginning than those that were read."""
        size = os.fstat(self.file.fileno()).st_size
        return size < self.reader.end or head_hash(self._read_head(self._head_bytes)) != self._head

    def forget_beginning(self) -> None:
        """Read from the start of a file that was written again."""
        self._head_bytes, self._head = 0, head_hash(b"")
        self.go_to(0)

    def save(self, store: BackendEventStore, now: float, is_final: bool = False) -> int:
        """Save the events that were appended. An exception leaves the position before them."""
        reader = self.reader
        position, end, last_time = reader.position, reader.end, reader.last_time
        status = os.fstat(self.file.fileno())
        reader.set_written(datetime.fromtimestamp(status.st_mtime, timezone.utc))
        try:
            count = store.save_many(reader.read(self.file, final=is_final))
            self.grown_at = self.grown_at if reader.end == end else now
            if now - self.grown_at >= IDLE_SECONDS:
                count += store.save_many(reader.end_block())
            self._extend_head()
            self._changed_ns = status.st_mtime_ns
        except BaseException:
            self.go_to(position, last_time)
            raise
        return count

    def _extend_head(self) -> None:
        size = min(_HEAD_BYTES, self.reader.position)
        if size > self._head_bytes:
            self._head_bytes, self._head = size, head_hash(self._read_head(size))

    def go_to_end(self) -> None:
        """Read from the start of the last line on, so that no line is read from its middle."""
        self.go_to(_start_of_line(self.file, os.fstat(self.file.fileno()).st_size))
        self._extend_head()

    def resume(self, place: list[Any]) -> bool:
        """Go to a stored place, and return True, if this is the file that it belongs to.

        The device is not compared, because its number may change when the machine starts again.
        """
        _, inode, _, position, head_bytes, head, last_time = place
        if self.identity[1] != inode or os.fstat(self.file.fileno()).st_size < position:
            return False
        if head_hash(self._read_head(head_bytes)) != head:
            return False
        self._head_bytes, self._head = head_bytes, head
        self.go_to(position, last_time)
        return True

    def _read_head(self, size: int) -> bytes:
        self.file.seek(0)
        return self.file.read(size) if size else b""


class Tail:
    """One path that is followed. The positions of its files are stored after their events, so no event is lost.

    After a crash, the events between the last position and the crash are saved again, with the same ids. A file that
    another one has replaced is read on until it has not grown for :data:`DRAIN_SECONDS`, because its writer may still
    have it open.

    Args:
        from_start: Whether a file that was never followed is read from its start.
        clock: A monotonic clock, in seconds.
        known: The rotated files that existed before; the others are read. None: all that exist now.
    """

    def __init__(
        self,
        store: BackendEventStore,
        positions: KvStorage,
        path: str,
        options: LogOptions,
        from_start: bool,
        clock: Callable[[], float],
        known: set[Identity] | None = None,
    ) -> None:
        self.path = path
        self._store = store
        self._positions = positions
        self._options = options
        self._clock = clock
        self._current: OpenFile | None = None
        self._draining: list[OpenFile] = []
        self._unsaved: list[Event] = []
        self._saved: list[list[Any]] | None = None
        self._known = self._rotated_identities() if known is None else known
        self._begin(from_start)

    @property
    def identities(self) -> set[Identity]:
        """The identities of the open files."""
        return {one.identity for one in self._files()}

    @property
    def is_finished(self) -> bool:
        """Whether the file is gone, together with the files that a rotation has made of it."""
        if self._files() or self._unsaved or os.path.lexists(self.path):
            return False
        return all(stem_of(path) != Path(self.path) for path in self._rotated())

    def poll(self) -> int:
        """Save the events that were appended, and return their number."""
        count = self._save_unsaved()
        self._choose_current()
        for one in self._draining[:]:
            count += one.save(self._store, self._clock())
            if self._clock() - one.grown_at >= DRAIN_SECONDS:
                count += one.save(self._store, self._clock(), is_final=True)
                one.file.close()
                self._draining.remove(one)
        if self._current is not None:
            if self._current.is_rewritten():
                self._unsaved += self._current.reader.finish()
                self._current.forget_beginning()
                count += self._save_unsaved()
            count += self._current.save(self._store, self._clock())
        self._store_places()
        return count

    def close(self) -> None:
        """Close the files."""
        for one in self._files():
            one.file.close()
        self._current, self._draining = None, []

    def finish(self) -> None:
        """Save the rest of the open files, and close them: another path stands for them from now on."""
        self._save_unsaved()
        for one in self._files():
            one.save(self._store, self._clock(), is_final=True)
        self.forget()

    def forget(self) -> None:
        """Close the files and delete their positions."""
        self.close()
        self._positions.delete(key_of(self.path))

    def _files(self) -> list[OpenFile]:
        return [*self._draining, *([self._current] if self._current else [])]

    def _save_unsaved(self) -> int:
        count = self._store.save_many(self._unsaved)
        self._unsaved = []
        return count

    def _choose_current(self) -> None:
        """Open the file at the path if it is another one than before."""
        found = _identity_of(self.path)
        if self._current is not None and self._current.identity != found:
            # The time without growth counts from the rotation on.
            self._current.grown_at = self._clock()
            self._draining.append(self._current)
            self._current = None
        if self._current is None and found is not None:
            returned = next((one for one in self._draining if one.identity == found), None)
            if returned is not None:
                self._draining.remove(returned)
            self._current = returned or self._open(self.path)
            if returned is None:
                self._drain_unknown()

    def _drain_unknown(self) -> None:
        """Open the rotated files that were created and rotated since the last file was opened, oldest first."""
        for path in self._rotated():
            if stem_of(path) == Path(self.path) and _identity_of(str(path)) not in self._known:
                self._drain(path, lambda one: True)
        self._known = self._rotated_identities()

    def _rotated_identities(self) -> set[Identity]:
        return {identity for path in self._rotated() if (identity := _identity_of(str(path))) is not None}

    def _open(self, path: str) -> OpenFile | None:
        try:
            return OpenFile(path, self.path, self._options, self._clock())
        except FileNotFoundError:
            return None

    def _begin(self, from_start: bool) -> None:
        """Open the files where an earlier process stopped, else the file at its end or its start."""
        places = self._positions.get(key_of(self.path))
        if places is not None:
            self._saved = places
            self._resume(places)
            return
        if not from_start:
            self._current = self._open(self.path)
            if self._current is not None:
                self._current.go_to_end()
        # A watcher that is killed before its first poll has followed the path too, also if there is no file yet.
        self._store_places()

    def _resume(self, places: list[list[Any]]) -> None:
        """Open the files of stored places, and the files that later rotations have made, oldest first."""
        rotated = self._rotated()
        for place in places:
            for path in (Path(self.path), *rotated):
                if self._drain(path, lambda one, place=place: one.resume(place)):  # type: ignore[misc]
                    break
        if not places or _identity_of(self.path) in self.identities:
            return
        # A file that was read already, or the copy of one, gives the same ids again.
        since = max(changed_ns for _, _, changed_ns, *_ in places)
        for path in rotated:
            if stem_of(path) == Path(self.path) and path.stat().st_mtime_ns >= since:
                self._drain(path, lambda one: True)

    def _drain(self, path: Path, is_wanted: Callable[[OpenFile], bool]) -> bool:
        """Open a file to read the rest of it, if it is wanted and not open yet; return whether it was."""
        try:
            one = self._open(str(path))
        except OSError:
            # A file that this process may not read is none that an earlier one has read.
            return False
        if one is None:
            return False
        if one.identity in self.identities or not is_wanted(one):
            one.file.close()
            return False
        self._draining.append(one)
        return True

    def _rotated(self) -> list[Path]:
        """Return the files whose names begin with this one's, in the order of their last changes."""
        path = Path(self.path)
        found = [each for each in path.parent.glob(f"{glob.escape(path.name)}[._-]*") if each.suffix not in PACKED]
        return sorted((each for each in found if each.is_file()), key=lambda each: each.stat().st_mtime_ns)

    def _store_places(self) -> None:
        places = [one.place for one in self._files()]
        # Without a file the last places stay, because a restart finds by them the files that were rotated since.
        if places != self._saved and (places or self._saved is None):
            self._positions.upsert(key_of(self.path), places)
            self._saved = places


def _identity_of(path: str) -> Identity | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def head_hash(data: bytes) -> str:
    """Return the hash by which the beginning of a file is recognized."""
    return blake2b(data, digest_size=8).hexdigest()


def _start_of_line(file: BinaryIO, position: int) -> int:
    """Return the start of the line that contains a position, or the position itself if the line is too long."""
    start = position
    while start > 0 and position - start < MOST_BYTES:
        step = min(_STEP, start)
        file.seek(start - step)
        found = file.read(step).rfind(b"\n")
        if found >= 0:
            return start - step + found + 1
        start -= step
    return 0 if start == 0 else position

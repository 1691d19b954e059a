"""Following log files as they grow, over rotation, truncation and restarts."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from feedstore.errors import MissingDriverError
from feedstore.events import BackendEventStore
from feedstore.logs.reader import LogOptions, LogReader
from feedstore.storage import KvStorage

POSITIONS = "logs"
"""The key-value storage of the positions, one for each path."""
_IDLE_SECONDS = 1.0
_HASHED_FROM = 900
_CHANGES = ("created", "modified", "moved", "deleted", "closed")


class Tail:
    """One file that is followed. Its position is stored after its events, so no event is lost.

    After a crash, the events between the last position and the crash are saved again, with the same ids.

    Args:
        from_start: Whether a file that was never followed is read from its start.
    """

    def __init__(
        self, store: BackendEventStore, positions: KvStorage, path: str, options: LogOptions, from_start: bool
    ) -> None:
        self.path = path
        self._store = store
        self._positions = positions
        self._options = options
        self._file: BinaryIO | None = None
        self._inode = 0
        self._reader = LogReader(path, options)
        self._saved: list[int] | None = None
        self._begin(from_start)

    def poll(self, is_idle: bool = False) -> int:
        """Save the events that were appended, and return their number. ``is_idle`` ends a waiting block."""
        count = 0
        while True:
            if self._file is None and not self._open():
                return count
            current = self._stat()
            is_replaced = current is None or current.st_ino != self._inode
            is_truncated = not is_replaced and current is not None and current.st_size < self._reader.end
            if is_truncated:
                self._close()
                continue
            count += self._save(final=is_replaced, is_idle=is_idle)
            if not is_replaced:
                return count
            self._close()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self, from_start: bool) -> None:
        """Open the file where an earlier process stopped, else at its end or its start."""
        stored = self._positions.get(_key_of(self.path))
        if stored is not None:
            inode, position = stored
            path = self._find(inode)
            if path is not None and os.stat(path).st_size >= position:
                self._open(path, position)
            return
        current = self._stat()
        if current is not None and not from_start:
            self._open(position=current.st_size)
            self._store_position()

    def _find(self, inode: int) -> str | None:
        """Return the path of the file with an inode: the path itself, or its name after a rotation."""
        folder = Path(self.path).parent
        candidates = [Path(self.path), *sorted(folder.glob(f"{Path(self.path).name}*"))]
        return next((str(one) for one in candidates if one.is_file() and one.stat().st_ino == inode), None)

    def _open(self, path: str | None = None, position: int = 0) -> bool:
        try:
            self._file = open(self.path if path is None else path, "rb")  # noqa: SIM115 - it stays open
        except FileNotFoundError:
            return False
        status = os.fstat(self._file.fileno())
        self._inode = status.st_ino
        self._reader = LogReader(self.path, self._options, _start_of_line(self._file, position))
        return True

    def _close(self) -> None:
        """Forget the file, after a rotation or a truncation."""
        self.close()
        self._reader = LogReader(self.path, self._options)

    def _stat(self) -> os.stat_result | None:
        try:
            return os.stat(self.path)
        except FileNotFoundError:
            return None

    def _save(self, final: bool, is_idle: bool) -> int:
        if self._file is None:
            return 0
        before = self._reader.position
        count = self._store.save_many(self._reader.read(self._file, final=final))
        if is_idle:
            count += self._store.save_many(self._reader.end_block())
        if self._reader.position != before or self._saved is None:
            self._store_position()
        return count

    def _store_position(self) -> None:
        place = [self._inode, self._reader.position]
        if place != self._saved:
            self._positions.upsert(_key_of(self.path), place)
            self._saved = place


class LogWatcher:
    """Follows files, and the files in folders, until it is stopped.

    watchdog's observer wakes it when a folder changes. It also polls once a second, because network file systems report
    no changes.

    Args:
        store: The store that the events are saved in.
        paths: Files and folders. A file that does not exist is read from its start once it is created.
        options: How lines become events.
        from_start: Whether files that exist, and were never followed, are read from their start.
    """

    def __init__(
        self, store: BackendEventStore, paths: Iterable[str], options: LogOptions, *, from_start: bool = False
    ) -> None:
        self._store = store
        self._positions = store.backend.kv_storage(POSITIONS)
        self._options = options
        self._changed = threading.Event()
        self._stopped = False
        self._folders: list[Path] = []
        self._tails: dict[str, Tail] = {}
        for path in paths:
            if Path(path).is_dir():
                self._folders.append(Path(path))
            else:
                self._add(path, from_start)
        self._add_files_of_folders(from_start)

    def run(self) -> None:
        """Follow until :meth:`stop` is called, in this thread."""
        observer = self._start_observer()
        try:
            while not self._stopped:
                is_changed = self._changed.wait(_IDLE_SECONDS)
                self._changed.clear()
                self.poll(is_idle=not is_changed)
        finally:
            observer.stop()
            observer.join()

    def stop(self) -> None:
        """Let :meth:`run` return, from any thread or a signal handler."""
        self._stopped = True
        self._changed.set()

    def close(self) -> None:
        """Close the files. A second call does nothing."""
        for tail in self._tails.values():
            tail.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def poll(self, is_idle: bool = False) -> int:
        """Save the events that were appended since the last call, and return their number."""
        self._add_files_of_folders(from_start=True)
        return sum(tail.poll(is_idle) for tail in self._tails.values())

    def _add_files_of_folders(self, from_start: bool) -> None:
        for folder in self._folders:
            for path in sorted(folder.iterdir()):
                if path.is_file() and not self._is_rotated(path):
                    self._add(str(path), from_start)

    def _is_rotated(self, path: Path) -> bool:
        """Return whether a file is a followed one under the name that a rotation gave it, or is compressed."""
        name = path.name
        stem = name.rstrip("0123456789").rstrip(".-")
        return path.suffix in (".gz", ".xz", ".bz2", ".zst") or (stem != name and (path.parent / stem).exists())

    def _add(self, path: str, from_start: bool) -> None:
        if path not in self._tails:
            self._tails[path] = Tail(self._store, self._positions, path, self._options, from_start)

    def _start_observer(self) -> Any:
        try:
            from watchdog.events import FileSystemEventHandler
            from watchdog.observers import Observer
        except ImportError:
            raise MissingDriverError("watching files needs watchdog; install feedstore[logs]") from None
        changed = self._changed

        class Handler(FileSystemEventHandler):
            def on_any_event(self, event: Any) -> None:
                # Reading a folder is an event too.
                if event.event_type in _CHANGES:
                    changed.set()

        observer = Observer()
        folders = {Path(path).resolve().parent for path in self._tails} | {each.resolve() for each in self._folders}
        for folder in sorted(folders):
            observer.schedule(Handler(), str(folder))
        observer.start()
        return observer


def _start_of_line(file: BinaryIO, position: int) -> int:
    """Return the start of the line that contains a position, so that no line is read from its middle."""
    while position > 0:
        file.seek(position - 1)
        if file.read(1) == b"\n":
            break
        position -= 1
    return position


def _key_of(path: str) -> str:
    absolute = os.path.abspath(path)
    if len(absolute.encode()) <= _HASHED_FROM:
        return absolute
    return f"~{blake2b(absolute.encode(), digest_size=16).hexdigest()}"

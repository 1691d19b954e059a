"""Following log files as they grow, over rotation, truncation and restarts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self

from feedstore.errors import EventWriteException, FeedstoreError, MissingDriverError, StorageError
from feedstore.events import BackendEventStore
from feedstore.logs.reader import LogOptions
from feedstore.logs.tail import IDLE_SECONDS, PACKED, POSITIONS, Identity, Tail, key_of, stem_of

_MOST_RETRY_SECONDS = 60.0
_CHANGES = ("created", "modified", "moved", "deleted", "closed")
_logger = logging.getLogger(__name__)


class LogWatcher:
    """Follows files, and the files in folders, until it is stopped.

    watchdog's observer wakes it when a folder changes. It also polls once a second, because network file systems report
    no changes.

    Args:
        store: The store that the events are saved in.
        paths: Files and folders. A file that does not exist is read from its start once it is created.
        options: How lines become events.
        from_start: Whether files that exist, and were never followed, are read from their start.
        clock: A monotonic clock, in seconds.
    """

    def __init__(
        self,
        store: BackendEventStore,
        paths: Iterable[str],
        options: LogOptions,
        *,
        from_start: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._positions = store.backend.kv_storage(POSITIONS)
        self._options = options
        self._clock = clock
        # A signal handler may put while the interrupted code is in the middle of a put; an Event would deadlock.
        self._woken: SimpleQueue[None] = SimpleQueue()
        self._stopped = False
        self._folders: list[Path] = []
        self._tails: dict[str, Tail] = {}
        self._named: list[str] = []
        self._warned: set[str] = set()
        # The files of each folder at the last poll, except those that were followed.
        self._seen: dict[Path, set[Identity]] = {}
        for path in paths:
            if Path(path).is_dir():
                self._folders.append(Path(path))
            else:
                self._named.append(path)
                self._add(path, from_start)
        for folder in self._folders:
            self._begin_folder(folder, from_start)

    def run(self) -> None:
        """Follow until :meth:`stop` is called, in this thread.

        While the store fails, the watcher tries again after 1, 2, 4 and up to 60 seconds.
        """
        observer = self._start_observer()
        failures = 0
        try:
            while not self._stopped:
                self._wait(IDLE_SECONDS)
                try:
                    self.poll()
                    failures = 0
                except (EventWriteException, StorageError) as error:
                    if not isinstance(error, StorageError) and not isinstance(error.__cause__, StorageError):
                        raise
                    pause = min(2.0**failures, _MOST_RETRY_SECONDS)
                    failures += 1
                    _logger.warning("the events are not saved; the watcher tries again in %g seconds: %s", pause, error)
                    self._pause(pause)
        finally:
            observer.stop()
            observer.join()

    def stop(self) -> None:
        """Let :meth:`run` return, from any thread or a signal handler."""
        self._stopped = True
        self._woken.put(None)

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

    def poll(self) -> int:
        """Save the events that were appended since the last call, and return their number."""
        for path in self._named:
            # A path that could not be read at the beginning is read from its start, so that no line is lost.
            self._add(path, from_start=True)
        for folder in self._folders:
            self._add_files_of(folder, from_start=True)
        count = 0
        for path, tail in list(self._tails.items()):
            try:
                count += tail.poll()
                if path not in self._named and tail.is_finished:
                    tail.forget()
                    del self._tails[path]
            except FeedstoreError:
                raise
            except OSError as error:
                self._warn(path, error)
        return count

    def _wait(self, seconds: float) -> None:
        """Return after a change, a call of :meth:`stop`, or the seconds."""
        try:
            self._woken.get(timeout=seconds)
            while True:
                self._woken.get_nowait()
        except Empty:
            return

    def _pause(self, seconds: float) -> None:
        """Return after a call of :meth:`stop` or the seconds."""
        until = time.monotonic() + seconds
        while not self._stopped and (rest := until - time.monotonic()) > 0:
            self._wait(rest)

    def _warn(self, path: str, error: OSError) -> None:
        """Report an unreadable file once."""
        if path not in self._warned:
            self._warned.add(path)
            _logger.warning("a file cannot be read, and is tried again at each poll: %s", error)

    def _begin_folder(self, folder: Path, from_start: bool) -> None:
        """Follow the files of a folder. Those that were created since an earlier watcher are read from their start."""
        marker = key_of(f"{folder}/")
        is_known = self._positions.exists(marker)
        self._add_files_of(folder, from_start or is_known)
        if not is_known:
            self._positions.upsert(marker, True)

    def _add_files_of(self, folder: Path, from_start: bool) -> None:
        try:
            paths = sorted(path for path in folder.iterdir() if str(path) not in self._tails and path.is_file())
        except OSError as error:
            self._warn(str(folder), error)
            return
        if not paths:
            return
        identities = {identity for tail in self._tails.values() for identity in tail.identities}
        seen, self._seen[folder] = self._seen.get(folder), set()
        for path in paths:
            try:
                status = path.stat()
            except OSError:
                # The file was deleted after it was listed.
                continue
            identity = (status.st_dev, status.st_ino)
            self._seen[folder].add(identity)
            if identity not in identities and not self._is_rotated(path):
                self._add(str(path), from_start, None if seen is None else seen | identities)

    def _is_rotated(self, path: Path) -> bool:
        """Return whether a file is a followed one under the name that a rotation gave it, or is compressed."""
        stem = stem_of(path)
        if path.suffix in PACKED:
            return True
        if stem is None:
            return False
        if str(stem) not in self._tails and self._positions.exists(key_of(str(stem))):
            self._add(str(stem), from_start=True)
        return stem.is_file() or str(stem) in self._tails

    def _add(self, path: str, from_start: bool, known: set[Identity] | None = None) -> None:
        if path not in self._tails:
            try:
                self._tails[path] = Tail(
                    self._store, self._positions, path, self._options, from_start, self._clock, known
                )
            except FeedstoreError:
                raise
            except OSError as error:
                self._warn(path, error)
            for other in [
                each for each in self._tails if stem_of(Path(each)) == Path(path) and each not in self._named
            ]:
                # A rotated file, which was followed under its own name because the path led to none.
                self._tails[other].finish()
                del self._tails[other]

    def _start_observer(self) -> Any:
        try:
            from watchdog.events import FileSystemEventHandler
            from watchdog.observers import Observer
        except ImportError:
            raise MissingDriverError("watching files needs watchdog; install feedstore[logs]") from None
        woken = self._woken

        class Handler(FileSystemEventHandler):
            def on_any_event(self, event: Any) -> None:
                # Reading a folder is an event too.
                if event.event_type in _CHANGES and woken.empty():
                    woken.put(None)

        observer = Observer()
        observer.start()
        folders = {Path(path).resolve().parent for path in self._named} | {each.resolve() for each in self._folders}
        for folder in sorted(folders):
            try:
                observer.schedule(Handler(), str(folder))
            except OSError as error:
                # The folder does not exist yet, or the limit of inotify is reached.
                _logger.warning("the changes in a folder are found by polling alone: %s: %s", folder, error)
        return observer

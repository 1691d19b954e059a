"""The project's folders in the user's cache."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder(name: str) -> Path:
    """Return the path of the cached folder ``name``, which need not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "feedstore" / name


def filled_folder(name: str, fill: Callable[[Path], None]) -> Path:
    """Return the cached folder ``name``. If it does not exist, create it with the files that ``fill`` writes.

    ``fill`` writes into a temporary folder, which is renamed at the end: other processes see the whole folder or none.
    One process fills it at a time.
    """
    folder = cache_folder(name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_name(f"{name}.lock")):
        if not folder.exists():
            _fill(folder, fill)
    return folder


def _fill(folder: Path, fill: Callable[[Path], None]) -> None:
    unfinished = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
    try:
        fill(unfinished)
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished)
        raise


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

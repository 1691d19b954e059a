"""Folders whose disk a program can look up in the system's table of mounts."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

_MOUNTS = Path("/proc/self/mounts")
_MEMORY = Path("/dev/shm")


def folder_on_a_known_disk(prefix: str) -> Path:
    """A new temporary folder that lies on a mount which the system lists.

    In a plain chroot the root itself is not listed, and Java, which looks a folder's disk up there, finds none; the
    memory that is mounted beside it serves then.
    """
    temporary = Path(tempfile.gettempdir())
    if not is_listed(temporary) and os.access(_MEMORY, os.W_OK) and is_listed(_MEMORY):
        temporary = _MEMORY
    return Path(tempfile.mkdtemp(prefix=prefix, dir=temporary))


def is_listed(folder: Path, mounts: Path = _MOUNTS) -> bool:
    """Whether the mount that ``folder`` lies on is in the table; also where there is no table to look into."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return True
    top = folder.resolve()
    while top != top.parent and top.stat().st_dev == top.parent.stat().st_dev:
        top = top.parent
    return str(top) in {line.split()[1] for line in lines}

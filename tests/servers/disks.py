"""Folders whose disk a program can look up in the system's table of mounts."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

_MOUNTS = Path("/proc/self/mounts")
_MEMORY = Path("/dev/shm")


def folder_on_a_known_disk(prefix: str) -> Path:
    """Return a new temporary folder on a mount that the system lists.

    Java looks up the disk of a folder in the table of mounts. In a plain chroot, the table does not list the root. The
    folder is then in the shared memory, which the table lists.
    """
    temporary = Path(tempfile.gettempdir())
    if not is_listed(temporary) and os.access(_MEMORY, os.W_OK) and is_listed(_MEMORY):
        temporary = _MEMORY
    return Path(tempfile.mkdtemp(prefix=prefix, dir=temporary))


def is_listed(folder: Path, mounts: Path = _MOUNTS) -> bool:
    """Return whether the table lists the mount of ``folder``; True if the system has no table of mounts."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return True
    top = folder.resolve()
    while top != top.parent and top.stat().st_dev == top.parent.stat().st_dev:
        top = top.parent
    return str(top) in {line.split()[1] for line in lines}

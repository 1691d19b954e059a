"""Folders whose disk a program can look up in the system's table of mounts."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

_MOUNTS = Path("/proc/self/mounts")
_MEMORY = Path("/dev/shm")
_MEMORY_TABLE = Path("/proc/meminfo")
_ENOUGH_BYTES = 4 * 2**30


def folder_on_a_known_disk(prefix: str) -> Path:
    """Return a new temporary folder on a mount that the system lists.

    Java looks up the disk of a folder in the table of mounts. In a plain chroot, the table does not list the root. The
    folder is then in the shared memory, which the table lists.
    """
    temporary = Path(tempfile.gettempdir())
    if not is_listed(temporary) and os.access(_MEMORY, os.W_OK) and is_listed(_MEMORY):
        temporary = _MEMORY
    return Path(tempfile.mkdtemp(prefix=prefix, dir=temporary))


def folder_in_memory(prefix: str) -> Path:
    """Return a new temporary folder in the shared memory if it has room for a server's data, else on the disk.

    A file system of a disk takes three times as long to create and remove files, as a server does for each database.
    """
    return Path(tempfile.mkdtemp(prefix=prefix, dir=_MEMORY if _has_room(_MEMORY) else None))


def _has_room(folder: Path) -> bool:
    """Return whether a folder in the shared memory takes much data, and the machine has as much memory to spare."""
    is_writable = os.access(folder, os.W_OK) and shutil.disk_usage(folder).free >= _ENOUGH_BYTES
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", _MEMORY_TABLE.read_text(), re.MULTILINE) if is_writable else None
    return found is not None and int(found[1]) * 1024 >= _ENOUGH_BYTES


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

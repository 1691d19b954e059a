"""The store that a memory storage makes for itself when it is given none."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from feedstore.backends.memory.backend import MemoryBackend


def new_private_backend() -> MemoryBackend:
    """Return an empty backend that nothing else shares."""
    # The backend's module imports the storages' modules, so they can reach it only when they are called.
    from feedstore.backends.memory.backend import MemoryBackend

    return MemoryBackend()

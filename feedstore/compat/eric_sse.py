"""Names of eric-sse's persistence that :mod:`feedstore.channels` does not use; eric-sse itself is not needed."""

from __future__ import annotations

from feedstore.backends.memory import InMemoryKvStorage

InMemoryStorage = InMemoryKvStorage

__all__ = ["InMemoryStorage"]

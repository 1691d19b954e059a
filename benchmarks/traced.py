"""How many bytes Python objects take."""

from __future__ import annotations

import gc
import tracemalloc


def traced_bytes() -> int:
    """Return how many bytes the objects hold that were made since ``tracemalloc`` was started."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]

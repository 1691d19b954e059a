"""The size of Python objects in bytes."""

from __future__ import annotations

import gc
import tracemalloc


def traced_bytes() -> int:
    """Return the bytes of the living objects that were made since ``tracemalloc`` was started."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]

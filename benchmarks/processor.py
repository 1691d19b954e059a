"""One processor for a server and its client."""

from __future__ import annotations

import os


class SharedProcessor:
    """A restriction of this process, and of the processes that it starts, to one processor until it is released.

    On two processors, the time of a round trip varies by a factor of three with the placement and the wake-up of
    the processes, which is noise that no repetition removes.
    """

    def __init__(self) -> None:
        self._before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(self._before)})

    def release(self) -> None:
        """Let this process run on all processors again."""
        os.sched_setaffinity(0, self._before)

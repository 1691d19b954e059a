"""One processor for a server and whoever asks it."""

from __future__ import annotations

import os


class SharedProcessor:
    """Keeps this process, and those that it starts from now on, on one processor until it is released.

    With a processor for each, a round trip takes once or three times as long as the system happens to place and wake
    them, which is noise that no repetition takes away.
    """

    def __init__(self) -> None:
        self._before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(self._before)})

    def release(self) -> None:
        """Let this process run anywhere again."""
        os.sched_setaffinity(0, self._before)

"""Interrupts for the tests: a signal handler that raises at a random moment of a call."""

from __future__ import annotations

import logging
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt(Exception):
    """The exception that the handler raises, as Celery's soft time limit or Ctrl-C do."""


class Interrupts:
    """Runs calls on the main thread, and counts those that an interrupt ended."""

    def __init__(self, seed: int, longest_seconds: float) -> None:
        self._random = random.Random(seed)
        self._longest_seconds = longest_seconds
        self._armed = False
        self.count = 0

    def run(self, call: Callable[[], object]) -> bool:
        """Run a call that one interrupt may end; return whether the call ended by itself."""
        try:
            self._armed = True
            longest = self._random.uniform(2e-5, self._longest_seconds)
            signal.setitimer(signal.ITIMER_REAL, self._random.uniform(1e-5, longest))
            try:
                call()
            finally:
                self._armed = False
        except Interrupt:
            self.count += 1
            return False
        return True

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Raise in the call that runs, once."""
        if self._armed:
            self._armed = False
            raise Interrupt


@contextmanager
def interrupts(seed: int = 1, longest_seconds: float = 2e-3) -> Iterator[Interrupts]:
    """Yield the runner of calls with interrupts, and restore the signal's handler at the end."""
    # The first call takes the lock of `logging` to cache its answer: an interrupt inside it would leave the lock held.
    logging.getLogger("feedstore.calls").isEnabledFor(logging.DEBUG)
    made = Interrupts(seed, longest_seconds)
    before = signal.signal(signal.SIGALRM, made.handle)
    try:
        yield made
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

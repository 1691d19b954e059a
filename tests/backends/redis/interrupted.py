"""A process whose calls are interrupted by a signal at random moments: ``interrupted.py URL NAMESPACE CALLS``.

It prints ``sound``, or the error.
"""

from __future__ import annotations

import random
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

sys.modules["hiredis"] = None  # type: ignore[assignment]

from feedstore import connect  # noqa: E402
from feedstore.storage import Backend, TimelineStorage  # noqa: E402

_EVERY = 100


class Interrupt(Exception):
    """The exception that the handler raises."""


class Alarm:
    """Raises :class:`Interrupt` at a random moment of the call that it is set for."""

    def __init__(self) -> None:
        self._is_set = False
        self._random = random.Random(1)
        signal.signal(signal.SIGALRM, self._ring)

    def _ring(self, number: int, frame: FrameType | None) -> None:
        if self._is_set:
            self._is_set = False
            raise Interrupt

    def set(self) -> None:
        """Set the timer to a random moment."""
        self._is_set = True
        signal.setitimer(signal.ITIMER_REAL, 10 ** self._random.uniform(-4.7, -2.7))

    def stop(self) -> None:
        """Stop the timer."""
        self._is_set = False


def _call(timelines: TimelineStorage, number: int) -> None:
    if number % 2:
        timelines.add("written", number)
        return
    found = [one.serialization_id for one in timelines.get_slice("read", 0, 9)]
    if found != [2, 1]:
        raise SystemExit(f"a read gave {found}")


def _run(backend: Backend, calls: int) -> None:
    timelines = backend.timeline_storage()
    timelines.add_many("read", [1, 2])
    alarm = Alarm()
    done: set[int] = set()
    with ThreadPoolExecutor(3) as others:
        for number in range(calls):
            try:
                alarm.set()
                try:
                    _call(timelines, number)
                    done.add(number)
                finally:
                    alarm.stop()
            except Interrupt:
                continue
            if number % _EVERY == 0:
                list(others.map(timelines.count, ["read"] * 6))
    stored = {one.serialization_id for one in timelines.get_slice("written", 0, None)}
    lost = [number for number in done if number % 2 and number not in stored]
    sys.stdout.write(f"lost {lost}\n" if lost else "sound\n")


if __name__ == "__main__":
    with connect(sys.argv[1], namespace=sys.argv[2], max_connections=3, timeout=5) as opened:
        _run(opened, int(sys.argv[3]))

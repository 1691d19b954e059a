"""A batch that an exception interrupts at any line leaves no state that affects later writes."""

from __future__ import annotations

import linecache
import sys
from types import FrameType
from typing import Any

from feedstore.storage import Backend

# The files of the code that carries out a batch, on every backend.
CARRY_OUT = ("batch.py", "backend.py", "transaction.py", "writer.py")
MOST_LINES = 1000


class Interrupted(Exception):
    """The exception of a signal handler, such as Celery's soft time limit."""


class Interrupt:
    """Raises at the line number ``line`` of those that are executed in the files that carry a batch out.

    The lines of ``with`` are left out: the interpreter runs no signal handler between the end of such a block and the
    release of its lock.
    """

    def __init__(self, line: int) -> None:
        self.line = line
        self.seen = 0

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        if "feedstore" not in code.co_filename or not code.co_filename.endswith(CARRY_OUT):
            return None
        if event == "line" and not linecache.getline(code.co_filename, frame.f_lineno).lstrip().startswith("with "):
            self.seen += 1
            if self.seen == self.line:
                raise Interrupted
        return self


def interrupted_batch(backend: Backend, line: int, atomic: bool) -> bool:
    """Carry out a batch that is interrupted at a line; return whether the batch had as many lines."""
    timelines, items = backend.timeline_storage(), backend.kv_storage()
    tracer, before = Interrupt(line), sys.gettrace()
    sys.settrace(tracer)
    try:
        with backend.batch(atomic=atomic) as batch:
            timelines.add("batch", line, batch_interface=batch)
            timelines.trim("batch", 5, batch_interface=batch)
            items.upsert("batch", line, batch_interface=batch)
    except Interrupted:
        return True
    finally:
        sys.settrace(before)
    return False


def test_later_writes_are_stored_after_an_interrupted_batch(backend: Backend) -> None:
    """A thread-local write queue stayed, and the thread's later writes were stored nowhere."""
    timelines, items = backend.timeline_storage(), backend.kv_storage()
    atomic = backend.abilities.atomic_scope in ("backend", "eventual")
    interrupts = 0
    for line in range(1, MOST_LINES):
        if not interrupted_batch(backend, line, atomic and line % 2 == 0):
            break
        interrupts += 1
        timelines.add("later", line)
        items.upsert(f"later:{line}", line)
        assert timelines.contains("later", line)
        assert items.fetch_one(f"later:{line}") == line
    assert 5 < interrupts < MOST_LINES - 1

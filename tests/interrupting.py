"""Interrupts for the tests: signal handlers that raise at a random moment, and instructions that raise."""

from __future__ import annotations

import dis
import gc
import logging
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

# The instructions after which CPython runs signal handlers: calls, the beginning of a function, the end of a loop.
CHECKPOINTS = ("CALL", "RESUME", "JUMP_BACKWARD", "JUMP_ABSOLUTE")


class Interrupt(Exception):
    """The exception that the handler raises, as Celery's soft time limit or Ctrl-C do."""


class HardInterrupt(BaseException):
    """The exception of an instruction. It is no Exception, which some libraries replace by others."""


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


def interrupted_at(
    position: int, call: Callable[[], object], files: tuple[str, ...], after: tuple[str, ...] = ("",)
) -> HardInterrupt | None:
    """Run a call, and raise before one of the instructions of its functions in ``files`` on this thread.

    Args:
        position: the number of the instruction, from 0.
        call: the call.
        files: the ends of the paths of the files whose instructions count.
        after: beginnings of names. Only instructions that directly follow an instruction of such a name count.

    Returns:
        The exception; None if the call runs fewer such instructions.
    """
    counter = _Counter(position, after)
    # The garbage collector may run the finalizers of other tests' objects, which are in ``files`` too. Python drops the
    # exceptions of finalizers.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        with _observed(counter, files):
            call()
    except HardInterrupt as error:
        return error
    finally:
        if was_enabled:
            gc.enable()
    return None


class _Counter:
    """Counts instructions, and raises before one of them."""

    def __init__(self, position: int, after: tuple[str, ...]) -> None:
        self._left = position
        self._after = after
        self._last: dict[int, str] = {}
        self.raised = False

    def leave(self, frame: FrameType) -> None:
        """Note that the next instruction of the frame does not follow its last one.

        An instruction that raised is no checkpoint. To raise in the handler that CPython jumps to, before the handler
        has begun or after it has ended, would leave ``sys.exc_info()`` set for the rest of the thread.
        """
        self._last.pop(id(frame), None)

    def count(self, frame: FrameType, offset: int) -> None:
        """Count the instruction that runs next."""
        before, self._last[id(frame)] = self._last.get(id(frame), ""), dis.opname[frame.f_code.co_code[offset]]
        if before.startswith(self._after):
            self._left -= 1
            if self._left < 0:
                self.raised = True
                raise HardInterrupt


if sys.version_info >= (3, 12):

    @contextmanager
    def _observed(counter: _Counter, files: tuple[str, ...]) -> Iterator[None]:
        # From Python 3.12 on, and fully from 3.13, functions of `sys.settrace` no longer receive each instruction.
        monitoring, thread = sys.monitoring, threading.get_ident()
        events = monitoring.events

        def leave(code: CodeType, *arguments: object) -> None:
            if code.co_filename.endswith(files) and threading.get_ident() == thread:
                counter.leave(sys._getframe(1))

        def count(code: CodeType, offset: int) -> Any:
            if not code.co_filename.endswith(files):
                return monitoring.DISABLE
            if not counter.raised and threading.get_ident() == thread:
                counter.count(sys._getframe(1), offset)
            return None

        monitoring.use_tool_id(monitoring.PROFILER_ID, "interrupts")
        callbacks = {events.PY_START: leave, events.RAISE: leave, events.RERAISE: leave, events.INSTRUCTION: count}
        for event, callback in callbacks.items():
            monitoring.register_callback(monitoring.PROFILER_ID, event, callback)
        monitoring.set_events(monitoring.PROFILER_ID, sum(callbacks))
        try:
            yield
        finally:
            monitoring.set_events(monitoring.PROFILER_ID, 0)
            for event in callbacks:
                monitoring.register_callback(monitoring.PROFILER_ID, event, None)
            monitoring.free_tool_id(monitoring.PROFILER_ID)
            monitoring.restart_events()

else:

    @contextmanager
    def _observed(counter: _Counter, files: tuple[str, ...]) -> Iterator[None]:
        def trace(frame: FrameType, event: str, argument: object) -> Any:
            if not frame.f_code.co_filename.endswith(files):
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            if event in ("call", "exception"):
                counter.leave(frame)
            if event == "opcode":
                try:
                    counter.count(frame, frame.f_lasti)
                except HardInterrupt:
                    sys.settrace(None)
                    raise
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            yield
        finally:
            sys.settrace(before)

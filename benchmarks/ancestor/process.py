"""The process of stream_framework."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.ancestor import environment
from benchmarks.ancestor.recorder import Recorder
from benchmarks.measure import Runner
from benchmarks.operations import Operation, Scenario
from feedstore import Activity
from feedstore.ids import microseconds_of

_PROGRAM = Path(__file__).with_name("program.py")


class AncestorProcess:
    """A process with one scenario's timelines, in the store that ``arguments`` name, as a context manager."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [environment.python(), "-I", _PROGRAM, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._numbers: dict[int, int] = {}
        self._names: dict[str, int] = {}

    def __enter__(self) -> AncestorProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.communicate()

    def fill(self, scenario: Scenario) -> None:
        """Build a scenario's state in the process."""
        recorder = Recorder()
        scenario.fill(recorder)
        self.make_calls(recorder.calls)

    def make_calls(self, calls: Sequence[tuple[Any, ...]]) -> tuple[float, Any]:
        """Make calls of a side. Return the seconds that they took, and the result of the last one."""
        named = [tuple(self._numbered(argument) for argument in call) for call in calls]
        answer = self._ask({"calls": named})
        return answer["seconds"], answer["last"]

    def _numbered(self, argument: Any) -> Any:
        if not isinstance(argument, Sequence) or not argument or not isinstance(argument[0], Activity):
            return argument
        new = [activity for activity in argument if activity.serialization_id not in self._numbers]
        if new:
            self._ask({"activities": [self._fields(activity) for activity in new]})
        return [self._numbers[activity.serialization_id] for activity in argument]

    def _fields(self, activity: Activity) -> list[Any]:
        """Return an activity's fields with small numbers for its names, and give the activity the next number."""
        number = self._numbers[activity.serialization_id] = len(self._numbers)
        actor, target = (self._name(name) for name in (activity.actor, activity.target))
        # The object's number is a part of the id, and makes the ids of one millisecond different.
        return [actor, activity.verb, number, target, microseconds_of(activity.time), activity.extra_context]

    def _name(self, name: object) -> int:
        return self._names.setdefault(str(name), len(self._names) + 1)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"stream_framework's process ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


class AncestorRunner(Runner):
    """Runner of an operation's calls in the process."""

    def __init__(self, operation: Operation, process: AncestorProcess) -> None:
        self._operation = operation
        self._process = process

    def run(self, first: int, calls: int) -> float:
        recorder = Recorder()
        for number in range(first, first + calls):
            self._operation.perform(recorder, self._operation.arguments(number))
        return self._process.make_calls(recorder.calls)[0]

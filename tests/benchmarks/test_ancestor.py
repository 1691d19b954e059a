"""The requests to stream_framework's process. The process itself runs only on demand."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.ancestor.process import AncestorProcess, AncestorRunner
from benchmarks.ancestor.recorder import Recorder
from benchmarks.operations import SCENARIOS, Scale
from benchmarks.workloads import all_activities

TINY = Scale(short_timelines=3, long_timelines=2, calls=16, sizes=(40,))


class _Written(AncestorProcess):
    """A recorder of the requests to the process."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._names: dict[str, int] = {}
        self.requests: list[dict[str, Any]] = []

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        return {"seconds": 0.5, "last": None}


def test_activities_are_sent_once_and_named_by_their_number() -> None:
    process, activities = _Written(), all_activities(3)
    process.make_calls([("add_many", "key", activities[:2])])
    process.make_calls([("add_to_many", ["key", "other"], activities[1:], 10)])
    first, calls, second, more_calls = process.requests
    assert [fields[2] for fields in first["activities"]] == [0, 1]
    assert [fields[2] for fields in second["activities"]] == [2]
    assert calls == {"calls": [("add_many", "key", [0, 1])]}
    assert more_calls == {"calls": [("add_to_many", ["key", "other"], [1, 2], 10)]}
    actor, verb, _, target, microseconds, extra_context = first["activities"][1]
    assert isinstance(actor, int)
    assert isinstance(target, int)
    assert (verb, extra_context) == (activities[1].verb, activities[1].extra_context)
    assert microseconds == int(activities[1].time.timestamp() * 1_000_000)


@pytest.mark.parametrize("number", range(len(SCENARIOS)))
def test_every_scenario_becomes_calls_that_json_can_carry(number: int) -> None:
    scenario, process = SCENARIOS[number](TINY), _Written()
    # stream_framework has no pages, no batches of both storages, and no payloads.
    operations = [one for one in scenario.operations if not one.name.startswith(("walk", "publish_"))]
    if operations:
        process.fill(scenario)
    for operation in operations:
        assert AncestorRunner(operation, process).run(0, 2) == 0.5
        assert len(process.requests[-1]["calls"]) == 2


def test_what_the_ancestor_lacks_is_an_error() -> None:
    with pytest.raises(NotImplementedError, match="no pages"):
        Recorder().walk("key", 25)

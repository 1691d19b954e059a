"""The benchmark of live streams: that every side is served and measured. How fast is no test's business."""

from __future__ import annotations

from functools import partial

import pytest

from benchmarks.live.__main__ import IDLE_SIDES
from benchmarks.live.measures import Delays, Idle, fan_out, idle, replay, run, waiting


@pytest.mark.parametrize("side", IDLE_SIDES)
def test_idle_streams_are_counted(side: str) -> None:
    found = run(side, partial(idle, connections=20, seconds=0.3), 15)
    assert isinstance(found, Idle)
    assert found.connections == 20
    assert found.share >= 0


@pytest.mark.parametrize(("side", "one_timeline"), [("feedstore", True), ("feedstore, collecting less often", False)])
def test_everybody_is_told(side: str, one_timeline: bool) -> None:
    found = run(side, partial(fan_out, clients_count=20, rounds=3, one_timeline=one_timeline))
    assert isinstance(found, Delays)
    assert 0 < found.median <= found.p99


def test_what_was_missed_is_sent_again() -> None:
    for side, measure in (("feedstore", replay), ("eric-sse, delay 0", waiting)):
        found = run(side, partial(measure, missed=50, rounds=2))
        assert isinstance(found, Delays)
        assert 0 < found.median <= found.p99

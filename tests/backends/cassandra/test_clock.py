"""Timestamps: one for each write, above all that the process has given out."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from feedstore import connect
from feedstore.backends.cassandra.backend import CassandraBackend
from feedstore.backends.cassandra.clock import Clock, process_clock
from feedstore.testing.processes import run_in_child, run_in_threads
from stores import OpenBackend

EACH = 5_000


def test_threads_never_get_one_twice() -> None:
    clock = Clock()
    given = run_in_threads([lambda: [clock.next() for _ in range(EACH)]] * 4)
    assert all(earlier < later for one in given for earlier, later in pairwise(one))
    assert len({one for part in given for one in part}) == 4 * EACH


def test_the_next_millisecond_is_waited_for() -> None:
    clock = Clock()
    for _ in range(20):
        given = clock.next()
        clock.wait_for_next_millisecond()
        assert time.time_ns() // 10**6 > given // 1000
    # After the time was set back by an hour, the wait ends.
    clock._last += 3600 * 10**6
    clock.wait_for_next_millisecond()


def test_the_clock_goes_on_when_the_time_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    first = clock.next()
    assert abs(first - time.time_ns() // 1000) < 10**9
    monkeypatch.setattr(time, "time_ns", lambda: 5_000)
    assert [clock.next(), clock.next()] == [first + 1, first + 2]


def test_all_backends_of_a_process_share_it() -> None:
    backends = [connect("cassandra://host/feeds"), connect("cassandra://other/feeds")]
    clocks = {id(backend.session.store.clock) for backend in backends if isinstance(backend, CassandraBackend)}
    assert clocks == {id(process_clock())}


def test_a_child_goes_on_above_its_parent_while_threads_take_timestamps() -> None:
    clock, found = process_clock(), []

    def take() -> None:
        for _ in range(EACH):
            clock.next()

    def fork() -> None:
        for _ in range(3):
            before = clock.next()
            found.append(run_in_child(clock.next) > before)

    run_in_threads([take, take, fork])
    assert found == [True] * 3


@pytest.mark.parametrize("backend_kind", ["cassandra"])
def test_what_one_backend_trims_another_adds_again_at_once(open_backend: OpenBackend) -> None:
    first = open_backend()
    second = open_backend(first.namespace)
    timelines, others = first.timeline_storage(), second.timeline_storage()
    for number in range(20):
        timelines.add_many("key", [1, 2])
        others.trim("key", 0)
        timelines.add("key", 1)
        others.delete("key")
        timelines.add("key", 1)
        assert others.contains("key", 1), number
        others.remove("key", 1)
        timelines.add("key", 1)
        assert others.count("key") == 1, number

"""Killing a process at any moment of its saves, and reading during a save of another process.

No event is torn, and no save that has returned is lost.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import time
from collections.abc import Callable, Iterator

import pytest

import soak
from feedstore.errors import EventNotFound
from feedstore.events import BackendEventStore, Event
from feedstore.storage import AtomicScope, Batch
from feedstore.storage.session import Pending
from feedstore.testing import OpenBackend
from feedstore.testing.processes import Child
from patched_calls import act_before_next

STEPS = 400
IDS = 5
DAY = 86_400
MOST_STEPS_BEFORE_A_KILL = 25
MOST_SECONDS_IN_A_STEP = 0.01
KINDS = ["sqlite", "postgresql", "redis", "redis_cluster", "cassandra"]
State = dict[str, Event]


def step(number: int) -> list[Event]:
    """The events that one step saves together; an empty list deletes the oldest of the ids.

    An event that is saved again five steps later keeps its time or gets another one.
    """
    if number % 6 == 5:
        return []
    return [
        Event(f"id{(number + k) % IDS}", f"step {number}", number // 10 + k * DAY, [f"v{number}", "all"], str(number))
        for k in range(1 + number % 3)
    ]


def states() -> Iterator[State]:
    """The events that a store holds before each step."""
    held: State = {}
    for number in range(STEPS):
        yield dict(held)
        events = step(number)
        if events:
            held.update((event.id, event) for event in events)
        else:
            held.pop(min(held))


def save_until_killed(store: BackendEventStore, pipe: int) -> None:
    """Run all steps, and write a byte after each that has returned."""
    held: set[str] = set()
    for number in range(STEPS):
        events = step(number)
        if events:
            store.save_many(events)
            held |= {event.id for event in events}
        else:
            store.delete(min(held))
            held.discard(min(held))
        os.write(pipe, b".")


@pytest.mark.parametrize("backend_kind", KINDS)
def test_reads_during_a_save_of_another_process_return_the_state_before_it(open_backend: OpenBackend) -> None:
    store = BackendEventStore(open_backend())
    before = [Event("same time", "s", 1, ["old"], "a"), Event("moved", "s", 2, ["old"], "b")]
    after = [
        Event("same time", "s", 1, ["new"], "c"),
        Event("moved", "s", 3 * DAY, ["new"]),
        Event("new", "s", 5 * DAY),
    ]
    store.save_many(before)
    ours, theirs = socket.socketpair()

    def hold() -> None:
        theirs.sendall(b".")
        theirs.recv(1)

    def save() -> None:
        ours.close()
        other = BackendEventStore(open_backend(store.backend.namespace))
        hold_saves(other, hold)
        other.save_many(after)

    child = Child(save)
    theirs.close()
    try:
        # Closing this socket lets the save go on.
        with ours:
            assert ours.recv(1) == b"."
            check_reads(store, before, absent=["new"])
    finally:
        child.result()
    check_reads(store, after, absent=[])
    assert store.count(flags=["old"]) == 0


def hold_saves(store: BackendEventStore, hold: Callable[[], object]) -> None:
    """Call a function during each save, before the end of its atomic batch, or before it writes its places."""
    writer = store._writer
    record = writer._record

    def record_and_hold(entries: list[int], batch: Batch) -> None:
        record(entries, batch)
        batch.enqueue(store.backend.session, lambda transaction: Pending(hold()))

    if writer.is_atomic:
        writer._record = record_and_hold  # type: ignore[method-assign]
    else:
        act_before_next(writer, "_place", hold)


def check_reads(store: BackendEventStore, events: list[Event], absent: list[str]) -> None:
    """Check that every read finds these events alone."""
    assert list(store.search(-1)) == sorted(events, key=lambda one: one.timestamp)
    for tag in ("old", "new"):
        assert list(store.search(-1, flags=[tag])) == [event for event in events if tag in event.tags]
    for event in events:
        assert store.get(event.id) == event
    for own_id in absent:
        with pytest.raises(EventNotFound):
            store.get(own_id)


@pytest.mark.soak
@pytest.mark.parametrize("backend_kind", KINDS)
def test_a_killed_process_tears_no_event(open_backend: OpenBackend) -> None:
    chance = random.Random(20261129)
    expected = [*states()]
    for _ in range(soak.count(3, 200)):
        store = BackendEventStore(open_backend())
        store.count()
        returned = run_and_kill(store, chance)
        check(store, expected[returned], expected[min(returned + 1, STEPS - 1)])


def run_and_kill(store: BackendEventStore, chance: random.Random) -> int:
    """Kill a child process during a step; return the number of steps that had returned."""
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            save_until_killed(store, writer)
        finally:
            os._exit(1)
    os.close(writer)
    steps = chance.randint(1, MOST_STEPS_BEFORE_A_KILL)
    count = 0
    while count < steps:
        count += len(os.read(reader, 1))
    until = time.perf_counter() + chance.uniform(0, MOST_SECONDS_IN_A_STEP)
    while time.perf_counter() < until:
        pass
    os.kill(process, signal.SIGKILL)
    assert os.waitpid(process, 0)[1] == signal.SIGKILL
    while rest := os.read(reader, STEPS):
        count += len(rest)
    os.close(reader)
    return count


def check(store: BackendEventStore, before: State, after: State) -> None:
    """Check that the events are those before or after the step during which the process was killed.

    They are all those of one of the two states if a step is atomic, and each is that of one of them otherwise.
    """
    found = list(store.search(-1))
    if store.backend.abilities.atomic_scope == AtomicScope.BACKEND:
        assert {event.id: event for event in found} in (before, after)
        assert store.count() == len(found)
    assert [event.id for event in found] == [event.id for event in sorted(found, key=lambda one: one.timestamp)]
    by_id = {event.id: event for event in found}
    assert len(by_id) == len(found)
    for own_id in before.keys() | after.keys():
        event = by_id.get(own_id)
        assert event in (before.get(own_id), after.get(own_id))
        if event is not None:
            assert store.get(own_id) == event
            assert event in list(store.search(-1, flags=[event.tags[0]]))
    assert by_id.keys() <= before.keys() | after.keys()
    assert list(store.search(-1, flags=["all"])) == found
    # The store goes on: saving everything again leaves no trace of the kill.
    store.save_many(after.values())
    for own_id in by_id.keys() - after.keys():
        store.delete(own_id)
    assert list(store.search(-1)) == sorted(after.values(), key=lambda one: (one.timestamp, one.id))

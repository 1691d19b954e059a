"""Deliveries with limits: the same as on a store in memory, in few statements, and one after the other for all."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine, text

import soak
from backends.sql.runtime.faulty import Fault
from feedstore import Activity, connect
from feedstore.backends.sql import SqlBackend
from feedstore.storage import Backend, TimelineStorage
from feedstore.testing.delivery_suite import GroupSerializer
from feedstore.testing.processes import run_in_threads

# The companion ":x:y" of "a" is the companion ":y" of "a:x".
KEYS = ("a", "b", "a:x", "nul\0key", 'quo"te\\u0000')
SUFFIXES = (":x:y", ":y", ":unseen")


def groups_of(backend: Backend) -> TimelineStorage:
    return backend.timeline_storage(serializer_class=GroupSerializer)


def some_activities(draw: random.Random) -> list[Any]:
    ids = [draw.randrange(25) for _ in range(draw.randrange(5))]
    return [draw.choice([one, Activity(draw.choice("ab"), "like", "photo:7", id=one)]) for one in ids]


def some_write(draw: random.Random) -> Callable[[TimelineStorage], Any]:
    """Draw a write, which returns its count."""
    key = draw.choice(KEYS)
    keys = draw.sample(KEYS, draw.randrange(1, 4))
    limits = {
        "max_length": draw.choice([None, None, 3, 6]),
        "max_per_payload": draw.choice([None, 1, 2]),
        "companions": draw.sample(SUFFIXES, draw.randrange(3)) if draw.randrange(2) else [],
        "slack": draw.choice([0, 1, 3]),
    }
    activities, each = some_activities(draw), {one: some_activities(draw) for one in keys}
    length = draw.randrange(6)
    return draw.choice(
        [
            lambda timelines: timelines.add_to_many(keys, activities, **limits),
            lambda timelines: timelines.add_to_each(each, **limits),
            lambda timelines: timelines.add_to_each(each, **limits),
            lambda timelines: timelines.add_many(key, activities),
            lambda timelines: timelines.remove_many(key + draw.choice(("", ":unseen")), [1, 2, 3]),
            lambda timelines: timelines.trim(key, length),
            lambda timelines: timelines.delete(key),
        ]
    )


def state_of(timelines: TimelineStorage) -> dict[str, Any]:
    every = [key + suffix for key in KEYS for suffix in ("", *SUFFIXES)]
    pages = timelines.get_many_pages(every, 100)
    return {key: (page.items, page.floor, timelines.count(key)) for key, page in pages.items()}


@pytest.mark.soak
def test_deliveries_do_what_they_do_in_memory(backend: SqlBackend) -> None:
    for seed in range(soak.count(1, 100)):
        with connect("memory://") as model_backend:
            model, timelines = groups_of(model_backend), groups_of(backend)
            for step in range(40):
                write = some_write(random.Random(f"{seed}:{step}"))
                expected = write(model)
                # The write draws again: both must draw the same.
                actual = some_write(random.Random(f"{seed}:{step}"))(timelines)
                assert (actual, state_of(timelines)) == (expected, state_of(model)), f"seed {seed}, step {step}"
            timelines.flush()


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_the_number_of_statements_is_that_of_one_timeline(fault: Fault, backend: SqlBackend) -> None:
    timelines = groups_of(backend)

    def statements(keys: int, first: int) -> int:
        deliveries = {
            f"{keys}:{key}": [Activity(f"{key + number}", "like", "photo:7", id=first + number) for number in range(3)]
            for key in range(keys)
        }
        limits: Any = {"max_length": 4, "max_per_payload": 2, "companions": [":unseen", ":unread"]}
        return fault.count(lambda: timelines.add_to_each(deliveries, **limits))

    timelines.add("other", 1)
    for first in (0, 1, 2, 3, 10):
        assert statements(200, first) == statements(1, first) <= 14


BY_LENGTH = [f"length:{number}" for number in range(4)]
BY_PAYLOAD = [f"payload:{number}" for number in range(4)]


def activity_of(number: int) -> Activity:
    return Activity(f"actor:{number % 3}", "like", "photo:7", id=number)


def deliver_all(timelines: TimelineStorage, first: int, last: int) -> None:
    """Deliver the activities from ``first`` to before ``last`` one by one, twice each, in other orders each time."""
    for number in range(first, last):
        draw = random.Random(number)
        for _ in range(2):
            by_length, by_payload = draw.sample(BY_LENGTH, 4), draw.sample(BY_PAYLOAD, 4)
            timelines.add_to_many(by_length, [activity_of(number)], max_length=12, companions=[":unseen"])
            timelines.add_to_many(by_payload, [activity_of(number)], max_per_payload=4, companions=[":unseen"])
            several = [activity_of(number), activity_of(number - 1)] if number else []
            timelines.add_to_each(dict.fromkeys(by_length[:3], several), max_length=12, companions=[":unseen"])


PROGRAM = """
import sys
from backends.sql.runtime.test_deliveries import deliver_all, groups_of
from feedstore import connect

with connect(sys.argv[1]) as backend:
    deliver_all(groups_of(backend), int(sys.argv[2]), int(sys.argv[3]))
"""


def check_delivered(backend: SqlBackend, last: int, engine: Engine) -> None:
    """Every timeline holds its newest 12, its companion the same, and the headers count the rows."""
    timelines = groups_of(backend)
    for key in (*BY_LENGTH, *BY_PAYLOAD):
        kept = timelines.get_slice(key, 0, None)
        assert kept == [(number, f"actor:{number % 3}") for number in range(last - 1, last - 13, -1)]
        assert timelines.get_slice(f"{key}:unseen", 0, None) == kept
        assert timelines.get_page(key, 1).floor == (last - 12 if key in BY_LENGTH else None)
    with engine.connect() as connection:
        wrong = connection.execute(
            text(
                "SELECT count(*) FROM feedstore_timeline AS header WHERE length <> "
                "(SELECT count(*) FROM feedstore_entry WHERE timeline_id = header.id)"
            )
        ).scalar_one()
    assert wrong == 0


def test_threads_and_processes_leave_what_one_thread_leaves(backend: SqlBackend, database_url: str) -> None:
    """Four threads and two processes deliver overlapping entries, in every order of the timelines."""
    last = 16
    command = [sys.executable, "-c", PROGRAM, database_url]
    processes = [subprocess.Popen([*command, str(first), str(last)]) for first in (0, 8)]
    try:
        run_in_threads([partial(deliver_all, groups_of(backend), first, last) for first in (0, 4, 8, 12)])
        assert [process.wait(60) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    check_delivered(backend, last, backend.session.store.engine)


def test_an_empty_write_of_a_batch_makes_no_header(backend: SqlBackend) -> None:
    with backend.batch() as batch:
        batch.timelines.add_many("empty", [])
        batch.timelines.add_to_many(["empty", "other"], [])
        batch.timelines.add("key", 1)
    assert batch.results == [0, 0, 1]
    assert backend.session.store.fetch("SELECT key FROM feedstore_timeline", ()) == [(b"key",)]

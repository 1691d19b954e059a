"""Several processes write concurrently: lengths stay exact, and nothing is lost or half done."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from functools import partial

import pytest

import soak
from backends.sql.runtime.faulty import dump
from feedstore.backends.sql import SqlBackend
from feedstore.testing.processes import Child

PROCESSES = 4
KEYS = [f"key{number}" for number in range(12)]


def _in_processes(function: Callable[[SqlBackend, int], object], url: str) -> None:
    def run(number: int) -> None:
        with SqlBackend(url) as backend:
            function(backend, number)

    children = [Child(partial(run, number)) for number in range(PROCESSES)]
    for child in children:
        child.result()


def _assert_no_deadlocks(backend: SqlBackend) -> None:
    """Retries would hide a deadlock: each costs a second of waiting."""
    if backend.session.store.engine.dialect.name == "postgresql":
        counted = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert backend.session.store.fetch(counted, ()) == [(0,)]


@pytest.mark.soak
def test_trimming_fan_outs(database_url: str, backend: SqlBackend) -> None:
    def fan_out(backend: SqlBackend, process: int) -> None:
        chance = random.Random(process)
        timelines = backend.timeline_storage()
        for number in range(soak.count(12, 250)):
            keys = chance.sample(KEYS, 8)
            timelines.add_to_many(keys, [chance.randrange(2**64), number], max_length=5)

    _in_processes(fan_out, database_url)
    timelines = backend.timeline_storage()
    assert {timelines.count(key) for key in KEYS} == {5}
    assert {len(timelines.get_slice(key, 0, None)) for key in KEYS} == {5}
    dump(backend)
    _assert_no_deadlocks(backend)


def test_the_same_new_timelines_at_once(database_url: str, backend: SqlBackend) -> None:
    def add(backend: SqlBackend, process: int) -> None:
        for number in range(10):
            keys = [f"{number}:{key}" for key in (KEYS if process % 2 else KEYS[::-1])]
            backend.timeline_storage().add_to_many(keys, [process])

    _in_processes(add, database_url)
    timelines = backend.timeline_storage()
    assert sorted(timelines.keys()) == sorted(f"{number}:{key}" for number in range(10) for key in KEYS)
    assert {timelines.count(key) for key in timelines.keys()} == {PROCESSES}  # noqa: SIM118 - no mapping
    dump(backend)
    _assert_no_deadlocks(backend)


@pytest.mark.soak
def test_everything_at_once(database_url: str, backend: SqlBackend) -> None:
    def work(backend: SqlBackend, process: int) -> None:
        chance = random.Random(process)
        timelines, kv = backend.timeline_storage(), backend.kv_storage()
        for number in range(soak.count(12, 250)):
            keys = chance.sample(KEYS, 6)
            timelines.add_to_many(keys, [chance.randrange(2**64)], max_length=6)
            timelines.remove_from_many(keys[:2], timelines.get_slice(keys[0], 0, 2))
            timelines.delete(keys[2])
            with backend.batch(atomic=True) as batch:
                for key in keys:
                    timelines.add_many(key, [number, process], batch_interface=batch)
                    timelines.trim(key, 6, batch_interface=batch)
                kv.upsert(f"{process}", number, batch_interface=batch)
                timelines.delete(keys[3], batch_interface=batch)
                timelines.add(keys[3], number, batch_interface=batch)

    _in_processes(work, database_url)
    tables = dump(backend)
    assert all(row.length <= 6 for row in tables["timeline"])
    assert len(tables["item"]) == PROCESSES
    _assert_no_deadlocks(backend)


def test_a_killed_process_leaves_no_half_of_a_batch(database_url: str, backend: SqlBackend) -> None:
    timelines, kv = backend.timeline_storage(), backend.kv_storage()
    timelines.add("key", 0)
    for round_number in range(5):
        reader, writer = os.pipe()
        process = os.fork()
        if process == 0:
            try:
                with SqlBackend(database_url) as own:
                    for number in range(1, 10**6):
                        with own.batch(atomic=True) as batch:
                            own.timeline_storage().add("key", round_number * 10**6 + number, batch_interface=batch)
                            own.timeline_storage().add("twin", round_number * 10**6 + number, batch_interface=batch)
                        if number == 5:
                            os.write(writer, b"x")
            finally:
                os._exit(1)
        assert os.read(reader, 1) == b"x"
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(reader)
        os.close(writer)
        kv.upsert("key", round_number)
        added = timelines.get_slice("twin", 0, None)
        assert timelines.get_slice("key", 0, None)[:-1] == added
        assert timelines.count("twin") == len(added) >= 5 * (round_number + 1)

"""Exceptions that a signal handler raises in the middle of calls on SQLite."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from feedstore import connect
from feedstore.backends.sql import SqlBackend
from feedstore.backends.sql.pools import PinnedPool
from feedstore.errors import QueueFull
from feedstore.storage import Backend
from feedstore.testing.samples import ids_of
from interrupting import CHECKPOINTS, HardInterrupt, interrupted_at, interrupts
from soak import count

# Python discards an exception that a signal handler raises inside the callback of a weak reference.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

_FILES = ("sql/pools.py", "sql/database.py", "sql/connection.py", "sqlite/driver.py", "sqlite/engine.py")


def _calls_of(backend: Backend) -> list[Callable[[int], object]]:
    timelines, queue = backend.timeline_storage(), backend.queue("q", max_length=3)

    def batch(number: int) -> None:
        with backend.batch(atomic=True) as together:
            timelines.add("left", number, batch_interface=together)
            timelines.add("right", number, batch_interface=together)

    def push(number: int) -> None:
        try:
            queue.push_many([str(number)] * 2) if number % 3 else queue.flush()
        except QueueFull:
            # The transaction rolls back while the interrupt may come.
            return

    return [
        batch,
        push,
        lambda number: timelines.add("added", number),
        lambda number: timelines.get_slice("added", 0, 5),
        lambda number: timelines.get_many_slices(["added", "left"], 0, 5),
    ]


def test_an_interrupt_after_every_instruction_keeps_no_lock(tmp_path: Path) -> None:
    with SqlBackend(f"sqlite:///{tmp_path / 'feeds.db'}") as backend:
        timelines, items = backend.timeline_storage(), backend.kv_storage()
        timelines.add("added", 1)
        calls: list[Callable[[], object]] = [
            lambda: timelines.count("added"),
            lambda: items.upsert("item", 1),
            lambda: timelines.add("added", 1),
        ]
        for call in calls:
            # The exceptions are kept: they refer to every frame that they passed.
            kept: list[HardInterrupt] = []
            while (error := interrupted_at(len(kept), call, _FILES, CHECKPOINTS)) is not None:
                kept.append(error)
                _take_each_lock_in_another_thread(backend)
            assert len(kept) > 3


@pytest.mark.soak
def test_interrupts_keep_no_lock_and_halve_no_batch(tmp_path: Path) -> None:
    """Another thread writes after each hundred calls: a lock or a transaction that an interrupt kept would stop it."""
    with connect(f"sqlite:///{tmp_path / 'feeds.db'}", busy_timeout=5) as backend, interrupts() as interrupting:
        timelines = backend.timeline_storage()
        number, calls = 0, _calls_of(backend)
        while interrupting.count < count(600, 60_000):
            number += 1
            interrupting.run(partial(calls[number % len(calls)], number))
            if number % 100 == 0:
                _write_from_another_thread(backend, number)
        assert ids_of(timelines.get_slice("left", 0, None)) == ids_of(timelines.get_slice("right", 0, None))
        assert timelines.count("other") == number // 100
        with connect(f"sqlite:///{tmp_path / 'feeds.db'}", busy_timeout=1) as second:
            assert second.timeline_storage().add("second", 1) == 1


def _take_each_lock_in_another_thread(backend: SqlBackend) -> None:
    pool, taken = backend.session.store._connections, []
    assert isinstance(pool, PinnedPool)
    locks = [pool._write_lock, *[connection.lock for connection in pool._opened]]

    def take() -> None:
        for lock in locks:
            with lock:
                taken.append(lock)

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    thread.join(60)
    assert taken == locks


def _write_from_another_thread(backend: Backend, number: int) -> None:
    added: list[int | None] = []
    thread = threading.Thread(target=lambda: added.append(backend.timeline_storage().add("other", number)))
    thread.start()
    thread.join(60)
    assert added == [1]

"""A busy timeline is never read through tombstones."""

from __future__ import annotations

import random
import re
from functools import partial
from typing import Any

import pytest

import soak
from feedstore.backends.cassandra import CassandraBackend
from feedstore.storage import Backend, TimelineStorage
from feedstore.testing.processes import run_in_threads
from feedstore.testing.samples import OLDEST_FIRST, ids_of

LENGTH = 5
THREADS = 4
SECONDS = 1_800
TOMBSTONES = re.compile(r"and (\d+) tombstone cells")


class Reads:
    """The warnings and the traces of a backend's reads."""

    def __init__(self, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        assert isinstance(backend, CassandraBackend)
        self.futures: list[Any] = []
        session = backend.session.store.session()
        send = session.send

        def keep(statement: Any) -> Any:
            future = session.driver_session.execute_async(statement, execution_profile=session.profile, trace=True)
            self.futures.append(future)
            return future

        assert callable(send)
        monkeypatch.setattr(session, "send", keep)

    def tombstones(self) -> int:
        """Return the most tombstones that the server says one read met; none may have brought a warning."""
        most = 0
        for future in self.futures:
            assert not future.warnings
            events = future.get_query_trace(max_wait=SECONDS).events
            most = max([most, *(int(found[1]) for event in events if (found := TOMBSTONES.search(event.description)))])
        assert self.futures
        self.futures.clear()
        return most


def add_and_trim(timelines: TimelineStorage, times: int) -> None:
    """Add one entry and trim, so many times, concurrently in several threads, and trim at the end."""

    def work(thread: int) -> None:
        for number in range(thread, times, THREADS):
            timelines.add("key", number)
            timelines.trim("key", LENGTH)

    run_in_threads([partial(work, thread) for thread in range(THREADS)], seconds=SECONDS)
    timelines.trim("key", LENGTH)


@pytest.mark.soak
@pytest.mark.parametrize("backend_kind", ["cassandra"])
def test_adding_and_trimming_many_times(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each trim writes one range tombstone, and every one covers those before: a read meets one of them, or two."""
    # With 200,000, the server would also warn of a read through more than 1,000 tombstones.
    times = soak.count(200, 200_000)
    timelines = backend.timeline_storage()
    add_and_trim(timelines, times)
    reads = Reads(backend, monkeypatch)
    newest = list(range(times - 1, times - 1 - LENGTH, -1))
    uses: list[tuple[Any, list[int]]] = [
        (lambda: timelines.get_slice("key", 0, 3), newest[:3]),
        (lambda: timelines.get_slice("key", 0, 2, None, OLDEST_FIRST), newest[::-1][:2]),
        (lambda: timelines.get_slice("key", 0, None), newest),
        (lambda: timelines.get_slice("key", LENGTH, LENGTH + 25), []),
        (lambda: timelines.get_slice("key", 0, 25, {"activity_id__lt": newest[-1]}), []),
        (lambda: timelines.get_page("key", 25).items, newest),
    ]
    for use, expected in uses:
        assert ids_of(use()) == expected
        assert reads.tombstones() <= 4
    assert timelines.count("key") == LENGTH
    assert reads.tombstones() <= 4


@pytest.mark.parametrize("backend_kind", ["cassandra"])
def test_trims_of_full_fan_outs_and_late_arrivals(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Late arrivals below the floor are found, and read through no more than the tombstones of the trims."""
    timelines = backend.timeline_storage()
    choose = random.Random(5)
    keys = [f"key{number}" for number in range(4)]
    for number in range(0, 4_000, 200):
        timelines.add_to_many(keys, range(number, number + 200), max_length=10)
    late = sorted(choose.sample(range(2_000), 5), reverse=True)
    timelines.add_to_many(keys[:1], late)
    reads = Reads(backend, monkeypatch)
    newest = list(range(3_999, 3_989, -1))
    found = ids_of(timelines.get_slice(keys[0], 0, None))
    assert (found[:10], found[-5:]) == (newest, late)
    assert ids_of(timelines.get_slice(keys[0], 0, 5, None, OLDEST_FIRST)) == late[::-1]
    assert ids_of(timelines.get_slice(keys[1], 0, 10)) == newest
    assert reads.tombstones() <= 4

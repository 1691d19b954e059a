"""Live searches beside clocks that differ, saves during a read, and iterators that end early."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator

import pytest

from conformance.modest_backend import ModestBackend
from feedstore import connect
from feedstore.errors import EventReadException
from feedstore.events import BackendEventStore, Event, connect_events
from feedstore.events import writer as event_writer
from feedstore.events.saves import SaveClock
from feedstore.storage import Backend
from feedstore.testing.waiting import patience
from patched_calls import act_before_next
from polling import poll_until


@pytest.fixture
def events() -> Iterator[BackendEventStore]:
    """An event store in memory."""
    with connect_events("memory://") as store:
        yield store


@pytest.fixture
def timer(events: BackendEventStore) -> Iterator[threading.Timer]:
    """A timer that ends a test that waits for an event in vain."""
    timer = threading.Timer(patience.seconds, events.close)
    timer.start()
    yield timer
    timer.cancel()


def save_by_clock(backend: Backend, clock: int, *events: Event) -> None:
    """Save events one by one as another process does whose clock shows a time."""
    other = BackendEventStore(backend)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: clock)
        for event in events:
            other.save(event)


def save_an_hour_ahead(events: BackendEventStore, event: Event) -> None:
    """Save an event as another process does whose clock is ahead."""
    save_by_clock(events.backend, time.time_ns() + 3600 * 10**9, event)


@pytest.mark.usefixtures("timer")
def test_a_version_that_is_saved_during_a_read_is_returned_once(events: BackendEventStore) -> None:
    events.save(Event("0", "s", 0))
    live = events.search(0, follow=True)
    assert next(live).id == "0"
    act_before_next(live._writer, "get_many", lambda: events.save(Event("1", "s", 1, content="second")))
    events.save(Event("1", "s", 1, content="first"))
    assert next(live).content == "second"
    events.save(Event("2", "s", 2))
    assert next(live).id == "2"


@pytest.mark.usefixtures("timer")
def test_a_clock_that_is_ahead_stops_no_live_search(events: BackendEventStore) -> None:
    events.save(Event("0", "s", -1))
    early = events.search(0, follow=True)
    save_an_hour_ahead(events, Event("1", "s", 1))
    assert next(early).id == "1"
    late = events.search(0, follow=True)
    assert next(late).id == "1"
    for number in range(2, 6, 2):
        events.save(Event(str(number), "s", number))
        assert next(early).id == next(late).id == str(number)
        save_an_hour_ahead(events, Event(str(number + 1), "s", number))
        assert next(early).id == next(late).id == str(number + 1)


@pytest.mark.parametrize("with_save_ahead", [False, True])
@pytest.mark.usefixtures("timer")
def test_saves_that_were_dropped_unread_are_an_error(
    events: BackendEventStore, monkeypatch: pytest.MonkeyPatch, with_save_ahead: bool
) -> None:
    monkeypatch.setattr(event_writer, "MOST_SAVES", 3)
    live = events.search(0, follow=True)
    if with_save_ahead:
        save_an_hour_ahead(events, Event("ahead", "s", 1))
        assert next(live).id == "ahead"
    for number in range(5):
        events.save(Event(str(number), "s", number))
    for _ in range(2):
        with pytest.raises(EventReadException, match="too far back"):
            next(live)
    assert live._subscription.closed


@pytest.mark.usefixtures("timer")
@pytest.mark.parametrize("clock", [0, 2**62, 2**80], ids=["1970", "2116", "far"])
def test_a_wrong_clock_displaces_no_saves_of_other_processes(
    events: BackendEventStore, monkeypatch: pytest.MonkeyPatch, clock: int
) -> None:
    monkeypatch.setattr(event_writer, "MOST_SAVES", 3)
    save_by_clock(events.backend, clock, *(Event(str(number), "s", number) for number in range(5)))
    live = events.search(9, follow=True)
    for number in range(9, 15, 2):
        events.save(Event(str(number), "s", number))
        assert next(live).id == str(number)
        save_by_clock(events.backend, clock, Event(str(number + 1), "s", number + 1))
        assert next(live).id == str(number + 1)


def test_the_clock_of_the_saves_reads_the_newest_save_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    second, made = 10**9, []
    moment = 0

    def newest() -> int:
        made.append(moment)
        return 100 * second << 64

    monkeypatch.setattr(time, "monotonic_ns", lambda: moment)
    monkeypatch.setattr(time, "time_ns", lambda: 7 * second)
    clock = SaveClock(newest)
    assert [clock.now(), clock.now()] == [100 * second + 1, 100 * second + 2]
    moment = second - 1
    assert clock.now() == 101 * second + 2
    moment += 1
    clock.now()
    assert made == [0, second]


def test_a_save_in_slow_steps_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    with ModestBackend() as backend:
        events, other = BackendEventStore(backend), BackendEventStore(backend)
        live = events.search(0, follow=True)
        timer = threading.Timer(patience.seconds, live.close)
        timer.start()
        later = time.time_ns() + 10**10

        def save_another() -> None:
            monkeypatch.setattr(time, "time_ns", lambda: later)
            other.save(Event("fast", "s", 1))
            assert next(live).id == "fast"

        act_before_next(events._writer.bodies, "add_bodies", save_another)
        events.save(Event("slow", "s", 1))
        assert next(live).id == "slow"
        timer.cancel()


@pytest.mark.usefixtures("timer")
def test_a_store_that_is_closed_during_a_read_ends_a_live_search(events: BackendEventStore) -> None:
    events.save(Event("0", "s", 0))
    live = events.search(0, follow=True)
    assert next(live).id == "0"
    act_before_next(live._writer, "get_many", events.close)
    events.save(Event("1", "s", 1))
    assert list(live) == []


def test_an_iterator_that_ends_closes_its_subscription() -> None:
    with connect("memory://") as backend:
        store = BackendEventStore(backend)
        store.save_many(Event(str(number), "s", number) for number in range(2))
        limited = store.search(0, follow=True, limit=1)
        assert len(list(limited)) == 1
        assert limited._subscription.closed
        abandoned = store.search(0, follow=True)
        assert next(abandoned).id == "0"
        subscription = abandoned._subscription
        assert not subscription.closed
        del abandoned
        gc.collect()
        store.save(Event("2", "s", 2))
        poll_until(lambda: subscription.closed, patience.seconds, "the subscription to be closed")
        live = store.search(0, follow=True)
        store.close()
        assert list(live) == []
        assert live._subscription.closed

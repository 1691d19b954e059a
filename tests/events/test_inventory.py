"""Removing the days that hold no event, beside saves of old events, and the bounds of the other indexes."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import pytest

from conformance.modest_backend import ModestBackend
from feedstore import connect
from feedstore.events import BackendEventStore, Event, connect_events, inventory
from feedstore.events import writer as event_writer
from feedstore.events.layout import COLLECTION, LOWEST, SAVES, day_of, place_id_of, place_ids_of
from feedstore.testing import OpenBackend
from patched_calls import act_before_next, list_round_trips

DAY = 86_400


@pytest.mark.parametrize("backend_kind", ["memory", "sqlite"])
def test_a_save_during_the_removal_of_its_day_is_found(open_backend: OpenBackend) -> None:
    store = BackendEventStore(open_backend())
    drop_day: Any = store._writer.drop_day
    outcomes: list[bytes | None] = []

    def save_and_drop(*arguments: Any) -> bytes | None:
        if not outcomes:
            store.save(Event("new", "again", 10 * DAY, ["t"]))
        outcomes.append(drop_day(*arguments))
        return outcomes[-1]

    for _ in range(2):
        # The day has no version before the first save, and one before the second.
        outcomes.clear()
        store._writer.drop_day = save_and_drop  # type: ignore[method-assign, assignment]
        store.save(Event("old", "s", 10 * DAY, ["t"]))
        store.prune(20 * DAY)
        assert outcomes == [None]
        assert [event.id for event in store.search(-1e9, flags=["t"])] == ["new"]
        assert store.sources() == ["again", "s"]
        assert store.prune(20 * DAY) == 1
        assert [each is None for each in outcomes] == [True, False, False]
        assert sorted(store._writer.index.keys()) == ["flags", "saves"]


def test_a_day_stays_until_it_is_over_everywhere() -> None:
    with connect_events("memory://") as store:
        now = time.time()
        store.save_many(Event(f"{age}", "s", now - age * DAY) for age in (0, 1, 4))
        assert store.prune(now + DAY) == 3
        days = [day_of(now - DAY), day_of(now)]
        assert [entry.serialization_id for entry in store._writer.index.get_slice("days", 0, 9)] == days[::-1]


def test_pruning_reads_the_kept_events_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with connect_events("memory://") as store:
        store.save_many(
            Event(f"{day}-{n}", "s", day * DAY + n, ["kept", f"t{n}"] if n else ["dropped"])
            for day in range(10)
            for n in range(20)
        )
        read: list[str] = []
        get_slice = store._writer.index.get_slice

        def counting(key: str, *arguments: Any) -> Any:
            read.append(key)
            return get_slice(key, *arguments)

        monkeypatch.setattr(store._writer.index, "get_slice", counting)
        assert store.prune(20 * DAY, keep_flags=["kept"]) == 10
        # Two reads of each of 10 days, and one of the days of each of 21 flags, besides a few of the directories.
        assert len(read) < 50
        assert store.flags() == sorted(["kept", *(f"t{n}" for n in range(1, 20))])
        assert list(store._writer.index.get_slice("days:dropped", 0, 9)) == []
        read.clear()
        assert store.prune(20 * DAY, flags=["t3"]) == 10
        # Each of 10 days is read by its flag alone.
        assert [key for key in read if key.startswith("all:")] == []


def test_a_day_of_many_flags_is_removed_in_several_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "_FLAGS_AT_A_TIME", 2)
    with connect_events("memory://") as store:
        store.save(Event("1", "s", 10 * DAY, ["a", "b", "c", "d", "e"]))
        assert store.prune(20 * DAY) == 1
        assert sorted(store._writer.index.keys()) == ["flags", "saves"]


def test_pruning_during_a_save_without_atomic_batches_loses_nothing() -> None:
    with ModestBackend() as backend:
        store = BackendEventStore(backend)
        pruned: list[int] = []
        act_before_next(
            store._writer.bodies, "add_bodies", lambda: pruned.append(BackendEventStore(backend).prune(20 * DAY))
        )
        store.save(Event("1", "s", 10 * DAY, ["t"]))
        assert pruned == [0]
        for flags in (None, ["t"]):
            assert [event.id for event in store.search(-1e9, flags=flags)] == ["1"]
        assert (store.flags(), store.sources()) == (["t"], ["s"])


def test_pruning_a_body_without_a_place_keeps_the_event_of_its_id() -> None:
    """A process that died during a save on Redis left such a body, or a copy has brought it."""
    with connect_events("memory://") as store:
        store.save(Event("1", "s", 1, ["left"]))
        store._writer.places.remove(place_id_of("1"))
        store.save(Event("1", "s", 100))
        assert store.prune(50) == 1
        assert list(store.search(-1)) == [store.get("1")] == [Event("1", "s", 100)]
        assert (store.count(), store.flags()) == (1, [])


def test_large_saves_leave_a_bounded_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_writer, "_MOST_LARGE_SAVES", 2)
    with connect_events("memory://") as store:
        for number in range(5):
            store.save(Event("small", "s", number))
        assert store._writer.index.count(SAVES) == 5
        store.save_many(Event(str(number), "s", number) for number in range(60))
        assert store._writer.index.count(SAVES) == 2


def test_a_chunk_whose_events_change_all_the_time_is_split() -> None:
    with connect("memory://") as backend:
        store, other = BackendEventStore(backend), BackendEventStore(backend)
        events = [Event(str(number), "s", number) for number in range(4)]
        store.save_many(events)
        read_versions = store._writer._read_versions

        def change(place_ids: Iterable[int]) -> dict[str, bytes | None]:
            ids = list(place_ids)
            found = read_versions(ids)
            if len(ids) > 1:
                other.save_many(Event(str(number), "other", number) for number in range(4))
            return found

        store._writer._read_versions = change  # type: ignore[method-assign]
        store.save_many(events)
        assert list(store.search(3)) == events[3:]
        assert other.prune(10) == 4
        # The versions are not among the keys of the application.
        assert list(backend.kv_storage(COLLECTION).keys("")) == []


@pytest.mark.parametrize("backend_kind", ["memory", "sqlite", "postgresql", "redis"])
def test_of_two_first_saves_at_different_times_the_later_one_stays(open_backend: OpenBackend) -> None:
    backend = open_backend()
    store, other = BackendEventStore(backend), BackendEventStore(backend)
    read_places: Any = store._writer.entries_at

    def read_and_save(place_ids: Iterable[int]) -> dict[int, int]:
        found: dict[int, int] = read_places(place_ids)
        store._writer.entries_at = read_places  # type: ignore[method-assign]
        other.save_many([Event("1", "s", 10 * DAY, ["a"]), Event("2", "s", 2)])
        return found

    store._writer.entries_at = read_and_save  # type: ignore[method-assign]
    # A chunk whose ids are expected to be new reads no places.
    store._writer._expects_new = False
    store.save_many([Event("1", "s", 1, ["b"]), Event("3", "s", 3)])
    assert [event.id for event in store.search(-1)] == ["1", "2", "3"]
    assert [store.count(), store.count(flags=["a"]), store.count(flags=["b"])] == [3, 0, 1]
    assert store.get("1").timestamp == 1


@pytest.mark.parametrize("backend_kind", ["memory", "sqlite", "postgresql"])
def test_a_chunk_reads_places_only_if_an_id_is_stored(
    open_backend: OpenBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = BackendEventStore(open_backend())
    writer = store._writer
    made = list_round_trips(monkeypatch, writer.backend, ((writer.places, ("get_many",)),))
    chunks = [[Event(str(number), "s", number, ["a"]) for number in some] for some in ((1, 2), (3, 4), (2, 5), (6, 7))]
    for chunk in chunks[:2]:
        store.save_many(chunk)
    assert made == ["transact", "transact"]
    for chunk in chunks[2:]:
        made.clear()
        store.save_many(chunk)
    # The chunk after one that replaced an event reads the places first.
    assert made == ["get_many", "transact"]
    made.clear()
    store.save_many([Event("8", "s", 8), Event("7", "moved", 20, ["b"])])
    assert made == ["transact", "get_many", "get_many", "transact"]
    assert [event.id for event in store.search(0)] == ["1", "2", "3", "4", "5", "6", "8", "7"]
    assert [store.count(), store.count(flags=["a"]), store.count(flags=["b"])] == [8, 6, 1]


@pytest.mark.parametrize("backend_kind", ["memory", "sqlite", "postgresql", "redis"])
def test_a_first_save_that_meets_a_deletion_leaves_no_part_of_an_event(open_backend: OpenBackend) -> None:
    backend = open_backend()
    store, other = BackendEventStore(backend), BackendEventStore(backend)
    store.save(Event("1", "s", 1, ["a"]))
    read_versions: Any = store._writer._read_versions
    read_places: Any = other._writer.entries_at

    def find_none(place_ids: Iterable[int]) -> dict[int, int]:
        other._writer.entries_at = read_places  # type: ignore[method-assign]
        return {}

    other._writer.entries_at = find_none  # type: ignore[method-assign]

    def read_and_save(place_ids: Iterable[int]) -> dict[str, bytes | None]:
        found: dict[str, bytes | None] = read_versions(place_ids)
        store._writer._read_versions = read_versions  # type: ignore[method-assign]
        # The other process has found no place before the first save of this one.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(other._writer, "_remove_doubles", store._writer._remove_doubles)
            other.save(Event("1", "s", 10 * DAY, ["b"]))
        return found

    store._writer._read_versions = read_and_save  # type: ignore[method-assign]
    store.delete("1")
    assert list(store.search(-1)) == []
    assert [store.count(), store.count(flags=["a"]), store.count(flags=["b"]), store.flags()] == [0, 0, 0, []]


@pytest.mark.parametrize("is_atomic", [True, False], ids=["atomic", "in order"])
def test_the_round_trips_of_a_deletion_and_a_read(is_atomic: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    store = connect_events("memory://")
    writer = store._writer
    writer.is_atomic = writer.is_conditional = writer.can_require_new = is_atomic
    calls = (
        (writer.bodies, ("get_many", "remove_many")),
        (writer.places, ("get_many", "remove_many")),
        (writer.times, ("get_slice", "count", "remove_many")),
        (writer._versions, ("fetch_many",)),
    )
    made = list_round_trips(monkeypatch, writer.backend, calls)
    store.save(Event("1", "s", 1, ["a"]))
    made.clear()
    assert store.get("1").tags == ("a",)
    reads = ["get_many", "get_many"]
    assert made == reads
    made.clear()
    store.delete("1")
    assert made == (["fetch_many", *reads, "transact"] if is_atomic else [*reads, "transact", "transact"])
    assert store.count() == 0


def test_a_source_that_ends_with_a_number_is_found_and_removed() -> None:
    """The name of a source is under its hash, whereas the place of such an id is in the order of the number."""
    with connect_events("memory://") as store:
        store.save_many(Event(str(number), f"host-{number}", 1) for number in (1001, 1002))
        assert [event.id for event in store.events_of("host-1001")] == ["1001"]
        assert store.remove_source("host-1001") == 1
        assert store.sources() == ["host-1002"]


def test_ids_that_differ_in_a_number_have_places_in_its_order() -> None:
    ids = [f"n{number}" for number in range(31_000, 33_000)]
    places = place_ids_of(ids)
    assert sorted(places) == places
    assert len({place & LOWEST for place in places}) == len(places)
    assert len({place >> 96 for place in places}) == 1
    assert [place_id_of(one) for one in (ids[0], "n", "١٢٣٤", "")] == place_ids_of([ids[0], "n", "١٢٣٤", ""])

"""Bounds of searches that take many events to reach, and damaged bodies."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import pytest

from feedstore import connect
from feedstore.errors import EventReadException, EventWriteException, StorageUnavailableError, StoredDataError
from feedstore.events import BackendEventStore, Event, connect_events, search
from feedstore.events import writer as event_writer
from feedstore.events.backend_store import flushing_options
from feedstore.events.layout import COLLECTION, EventSerializer
from feedstore.storage import Bounds
from feedstore.testing import OpenBackend
from patched_calls import list_round_trips
from servers.ports import LOOPBACK, free_port
from servers.redis import OwnRedisServer


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_more_events_of_one_time_than_a_search_keeps(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST_OF_ONE_TIME", 130)
    ids = [f"{number:04}" for number in range(1300)]
    with connect_events("memory://") as store:
        store.save_many(Event(own_id, "s", 50) for own_id in random.Random(1).sample(ids, len(ids)))
        store.save_many([Event("before", "s", 49), Event("after", "s", 51)])
        expected = ["before", *ids, "after"]
        found = [event.id for event in store.search(0, order=order)]
        assert found == (expected if order == "asc" else expected[::-1])


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_the_event_that_ends_a_chunk_is_returned_before_many_of_one_time(
    order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MOST_OF_ONE_TIME", 5)
    monkeypatch.setattr(search, "CHUNK", 2)
    ids = ["a", "b", *(f"n{number}" for number in range(8)), "y", "z"]
    with connect_events("memory://") as store:
        store.save_many(Event(own_id, "s", 50 if own_id[0] == "n" else ord(own_id)) for own_id in ids[2:])
        store.save_many(Event(own_id, "s", number) for number, own_id in enumerate(ids[:2]))
        found = [event.id for event in store.search(0, order=order)]
        assert found == (ids if order == "asc" else ids[::-1])


def test_a_live_search_that_is_too_slow_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_writer, "MOST_SAVES", 3)
    with connect_events("memory://") as store:
        store.save(Event("first", "s", 1))
        live = store.search(0, follow=True)
        assert next(live).id == "first"
        for number in range(4):
            store.save(Event(str(number), "s", 2))
        with pytest.raises(EventReadException, match="too far back"):
            next(live)
        live.close()


def test_a_damaged_body_is_an_error_that_names_it() -> None:
    class Damaged(EventSerializer):
        def dumps_many(self, activities: Iterable[Any]) -> list[bytes]:
            return [b"\x96\xa1" for _ in activities]

    with connect("memory://") as backend:
        store = BackendEventStore(backend)
        store.save_many([Event("1", "s", 1), Event("2", "s", 2)])
        body = store._writer.get("2")
        assert body is not None
        backend.activity_storage(Damaged, name=COLLECTION).add(body)
        for read in (
            lambda: list(store.search(0)),
            lambda: list(store.search(0, match="x")),
            lambda: store.get("2"),
        ):
            with pytest.raises(EventReadException, match="damaged") as raised:
                read()
            assert isinstance(raised.value.__cause__, StoredDataError)
        assert store.get("1").timestamp == 1


def test_sqlite_flushes_each_save_unless_the_url_says_otherwise(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'events.db'}"
    assert flushing_options(url) == {"synchronous": "full"}
    assert flushing_options(f"{url}?synchronous=normal") == {}
    assert flushing_options("memory://") == flushing_options("redis://localhost") == {}
    for address, options in ((url, {}), (f"{url}?synchronous=normal", {}), (url, {"synchronous": "normal"})):
        with connect_events(address, **options) as store:
            store.save(Event("1", "s", 1))


@pytest.mark.parametrize(
    ("backend_kind", "setting"),
    [
        ("memory", None),
        ("sqlite", "synchronous=full"),
        ("postgresql", "synchronous_commit"),
        ("redis", "appendfsync"),
        ("redis_cluster", "appendfsync"),
        ("cassandra", "commitlog_sync"),
    ],
)
def test_the_first_save_warns_of_a_store_that_does_not_flush(
    open_backend: OpenBackend, setting: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    store = BackendEventStore(open_backend())
    for number in range(2):
        store.save(Event(str(number), "s", 1))
    warnings = [record.getMessage() for record in caplog.records if record.name == "feedstore.events"]
    gap = store.backend.session.durability_gap()
    assert len(warnings) == (0 if gap is None else 1)
    assert all(str(setting) in warning for warning in warnings)
    # The suite's PostgreSQL may be configured either way.
    assert gap is not None or setting in (None, "synchronous_commit")


def test_a_redis_that_flushes_each_write_causes_no_warning(own_redis_server: OwnRedisServer) -> None:
    with connect_events(own_redis_server.url) as store:
        assert store.backend.session.durability_gap() is None


def test_a_store_that_cannot_be_reached_is_asked_again_at_the_next_save() -> None:
    with connect_events(f"redis://{LOOPBACK}:{free_port()}", retry_seconds=0) as store:
        with pytest.raises(StorageUnavailableError):
            store.backend.session.durability_gap()
        with pytest.raises(EventWriteException):
            store.save(Event("1", "s", 1))
        assert store._is_checked is False


def test_sqlite_with_synchronous_full_causes_no_warning(tmp_path: Path) -> None:
    with connect_events(f"sqlite:///{tmp_path / 'events.db'}") as store:
        store.save(Event("1", "s", 1))
        assert store.backend.session.durability_gap() is None


def test_a_search_goes_on_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next call continues after the last returned event, and never ends the search early."""
    with connect_events("memory://") as store:
        store.save_many(Event(f"{number:04}", "s", number) for number in range(1200))
        for order, expected in (("asc", range(1200)), ("desc", range(1199, -1, -1))):
            found = store.search(0, order=order, limit=1100)
            ids = [event.id for event in islice(found, 499)]
            with monkeypatch.context() as patch:
                patch.setattr(found._reader.times, "get_bodies", _unavailable)
                for _ in range(2):
                    with pytest.raises(EventReadException):
                        next(found)
            assert [*ids, *(event.id for event in found)] == [f"{number:04}" for number in expected][:1100]


def _unavailable(*arguments: object, **options: object) -> NoReturn:
    raise StorageUnavailableError("the store does not answer")


def test_days_cost_no_reads_where_the_bodies_are_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect_events(f"sqlite:///{tmp_path / 'days.db'}") as store:
        store.save_many(Event(str(day), "s", day * 86_400) for day in range(100))
        reader = store._writer
        reads = ((reader.bodies, ("get_bodies",)), (reader.times, ("get_slice", "get_bodies")))
        made = list_round_trips(monkeypatch, store.backend, reads)
        assert [event.id for event in store.search(-1)] == [str(day) for day in range(100)]
        newest = store.search(-1, order="desc", limit=25)
        assert [event.id for event in newest] == [str(day) for day in range(99, 74, -1)]
        assert made == ["get_bodies", "get_bodies"]
        assert (newest.statistics.days, newest.statistics.entries_read) == (0, 64)


def test_an_event_that_is_saved_again_between_two_reads_is_found_by_several_flags() -> None:
    with connect_events("memory://") as store:
        store.save_many([Event("1", "s", 1, ["a", "b"]), Event("2", "s", 1, ["a"]), Event("3", "s", 1, ["b"])])
        found = store.search(0, flags=["a", "b"])
        entries = found._entries

        def save_after(key: str | None, bounds: Bounds) -> Sequence[tuple[int, bytes | None]]:
            read = entries(key, bounds)
            store.save(Event("1", "s", 1, ["a", "b"], "again"))
            return read

        found._entries = save_after  # type: ignore[method-assign]
        assert [event.id for event in found] == ["1"]
        assert [event.content for event in store.search(0, flags=["a", "b"])] == ["again"]

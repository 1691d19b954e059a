"""How many entries a fan-out leaves beyond the length that it was given."""

from __future__ import annotations

import pytest

from feedstore.backends.cassandra import CassandraBackend, memory
from feedstore.backends.cassandra.batches import Write
from feedstore.backends.cassandra.memory import FAN_OUT_EXCESS, Excess
from feedstore.errors import StorageError
from feedstore.storage import Backend
from feedstore.testing.samples import ids_of
from stores import OpenBackend

NAMESPACE = "excess"


def test_a_timeline_is_due_at_first_and_then_after_a_bounded_number_of_deliveries() -> None:
    excess = Excess()
    limit = excess.limit(100)
    assert limit * 2 <= FAN_OUT_EXCESS == 2 * excess.limit(10**6)
    assert excess.deliver(NAMESPACE, ["a", "b"], 1, 100) == ["a", "b"]
    waited = {"a": 0, "b": 0}
    for _ in range(10 * limit):
        due = excess.deliver(NAMESPACE, ["a", "b"], 1, 100)
        for key in waited:
            waited[key] = 0 if key in due else waited[key] + 1
            assert waited[key] < limit


def test_what_makes_a_timeline_due_at_once() -> None:
    excess = Excess()
    excess.deliver(NAMESPACE, ["a"], 1, 100)
    assert excess.deliver(NAMESPACE, ["a"], excess.limit(100), 100) == ["a"]
    assert excess.deliver(NAMESPACE, ["a"], 1, 99) == ["a"]
    assert excess.deliver("other", ["a"], 1, 100) == ["a"]
    excess.deliver(NAMESPACE, ["a"], excess.limit(100), 100)
    excess.add(NAMESPACE, ["a", "unknown"], excess.limit(100) - 1)
    assert excess.deliver(NAMESPACE, ["a"], 1, 100) == ["a"]
    excess.forget(NAMESPACE, ["a"])
    assert excess.deliver(NAMESPACE, ["a"], 1, 100) == ["a"]


def test_very_many_timelines_are_not_all_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_MOST_EXCESSES", 1_000)
    excess = Excess()
    keys = [str(number) for number in range(1_100)]
    assert excess.deliver(NAMESPACE, keys, 1, 100) == keys
    assert len(excess._counts) < len(keys)
    assert excess.deliver(NAMESPACE, keys[:1], 1, 100) == keys[:1]


@pytest.mark.parametrize("backend_kind", ["cassandra"])
@pytest.mark.parametrize("length", [1, 50])
def test_two_writers_leave_no_more_than_each_may(open_backend: OpenBackend, length: int) -> None:
    """T17: never one too few, and of each writer no more than a round of counting lets stay."""
    first = open_backend()
    writers = [first.timeline_storage(), open_backend(first.namespace).timeline_storage()]
    keys = [f"key{number}" for number in range(5)]
    limit = Excess().limit(length)
    most = length + 2 * limit
    for number in range(0, max(300, 4 * limit + length), 3):
        writers[number % 2].add_to_many(keys, range(number, number + 3), max_length=length)
        if number % 60 == 0:
            newest = list(range(number + 2, -1, -1))[:length]
            for found in writers[0].get_many_slices(keys, 0, None).values():
                assert ids_of(found)[:length] == newest
                assert len(found) <= most
    for key in keys:
        writers[0].trim(key, length)
        assert writers[1].count(key) == length


@pytest.mark.parametrize("backend_kind", ["cassandra"])
def test_what_was_there_before_is_trimmed_by_the_first_fan_out(backend: Backend) -> None:
    timelines = backend.timeline_storage()
    timelines.add_many("key", range(5_000))
    timelines.add_to_many(["key"], [5_000], max_length=10)
    assert timelines.count("key") == 10


@pytest.mark.parametrize("backend_kind", ["cassandra"])
def test_removed_entries_do_not_make_a_trim_drop_too_many(backend: Backend) -> None:
    timelines = backend.timeline_storage()
    timelines.add_to_many(["key"], range(100), max_length=50)
    timelines.remove_many("key", range(60, 100))
    timelines.trim("key", 10)
    assert ids_of(timelines.get_slice("key", 0, None)) == list(range(59, 49, -1))


@pytest.mark.parametrize("backend_kind", ["cassandra"])
def test_a_trim_that_failed_is_made_up_for(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(backend, CassandraBackend)
    timelines = backend.timeline_storage()
    timelines.add_many("key", range(100))
    fetch_all = backend.session.store.fetch_all

    def fail(*arguments: object) -> None:
        raise StorageError("no answer")

    monkeypatch.setattr(backend.session.store, "fetch_all", fail)
    with pytest.raises(StorageError):
        timelines.add_to_many(["key"], [100], max_length=10)
    monkeypatch.setattr(backend.session.store, "fetch_all", fetch_all)
    timelines.add_to_many(["key"], [100], max_length=10)
    assert ids_of(timelines.get_slice("key", 0, None)) == list(range(100, 90, -1))


@pytest.mark.parametrize("backend_kind", ["cassandra"])
def test_a_trim_in_a_batch_that_failed_is_made_up_for(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(backend, CassandraBackend)
    timelines = backend.timeline_storage()
    timelines.add_many("key", range(1_500))

    def fail(writes: list[Write]) -> None:
        raise StorageError("no answer")

    batch = backend.batch(atomic=True)
    with monkeypatch.context() as patch:
        patch.setattr(backend.session.store, "write_atomically", fail)
        with pytest.raises(StorageError, match="no answer"), batch:
            timelines.add_to_many(["key"], [1_500], max_length=10, batch_interface=batch)
    timelines.add_to_many(["key"], [1_500], max_length=10)
    assert ids_of(timelines.get_slice("key", 0, None)) == list(range(1_500, 1_490, -1))

"""Rows of repositories: their keys, and third-party storages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.storages import AbsentKey, ForeignStorage
from conformance.modest_backend import ModestBackend
from feedstore import connect
from feedstore.channels import ItemNotFound, ListenerRepository, MessageQueueListener
from feedstore.channels.rows import RepositoryRows, RowBatch, row_key, write_together
from feedstore.compat.eric_sse import InMemoryStorage
from feedstore.errors import InvalidTypeError, InvalidValueError, StoredDataError
from feedstore.storage.checks import MAX_KEY_BYTES

# Characters that need escaping are frequent.
parts = st.text(st.one_of(st.sampled_from(":~012*\0"), st.characters(exclude_categories=["Cs"])), max_size=400)
keys = st.lists(parts, min_size=1, max_size=3)


@given(keys, keys)
def test_a_key_is_a_prefix_only_of_those_with_its_parts(one: list[str], other: list[str]) -> None:
    assert row_key(*other).startswith(row_key(*one)) == (other[: len(one)] == one)


@given(keys)
def test_a_key_is_never_too_long(one: list[str]) -> None:
    assert len(row_key(*one).encode()) <= MAX_KEY_BYTES


@pytest.mark.parametrize(
    ("given", "key"),
    [
        (["a", "b"], "a:b:"),
        (["a:b"], "a~1b:"),
        (["a~1b"], "a~01b:"),
        ([""], ":"),
        (["x" * 300], "x" * 300 + ":"),
        (["ä" * 151], "~2cd2f674832c2703ca67ed3f78615609826581824d5f1782807e44704e2716e11:"),
    ],
)
def test_keys_do_not_change_from_release_to_release(given: list[str], key: str) -> None:
    assert row_key(*given) == "{rows}" + key


@pytest.mark.parametrize("storage", [InMemoryStorage(), ForeignStorage()])
def test_rows_of_two_names_are_apart(storage: Any) -> None:
    rows = {name: RepositoryRows(storage, name) for name in ("a", "a:b", "ab", "a:", "~1")}
    for name, one in rows.items():
        one.put(name, "b")
        one.put([name], "b", "c")
    for name, one in rows.items():
        assert one.get("b") == name
        assert list(one.scan("b")) in ([(["b"], name), (["b", "c"], [name])], [(["b", "c"], [name]), (["b"], name)])
        assert one.get_many(["b", "c"]) == {"b": name}
        with pytest.raises(ItemNotFound, match="'c'"):
            one.get("c")


def test_a_storage_that_has_fetch_many_is_asked_once() -> None:
    class Counting(ForeignStorage):
        asked = 0

        def fetch_many(self, keys: Iterable[str]) -> dict[str, Any]:
            self.asked += 1
            return {key: self.items[key] for key in keys if key in self.items}

    storage = Counting()
    for number in range(9):
        ListenerRepository(storage).persist(f"{number}", MessageQueueListener())
    found = ListenerRepository(storage).load_many(map(str, range(1, 20)))
    assert set(found) == {f"{number}" for number in range(1, 9)}
    assert storage.asked == 1


@pytest.mark.parametrize("damaged", [1, {"ids": ["one"]}, {"ids": ["one"], "value": 1, "more": 2}, [], "text"])
def test_what_no_repository_wrote_is_damage(damaged: Any) -> None:
    storage = ForeignStorage()
    storage.upsert(row_key("listeners", "one"), damaged)
    with pytest.raises(StoredDataError, match="listeners"):
        ListenerRepository(storage).load("one")


def test_a_failing_storage_is_not_an_empty_one() -> None:
    class Failing(ForeignStorage):
        def fetch_one(self, key: str) -> Any:
            raise ConnectionResetError(key)

    storage = Failing()
    repository = ListenerRepository(storage)
    repository.persist("one", MessageQueueListener())
    with pytest.raises(ConnectionResetError):
        repository.load("one")


def test_a_third_party_error_means_an_absent_key() -> None:
    with pytest.raises(AbsentKey):
        ForeignStorage().fetch_one("a")
    with pytest.raises(ItemNotFound):
        ListenerRepository(ForeignStorage()).load("a")


@pytest.mark.parametrize("storage", [object(), None, {}, "memory://"])
def test_what_is_no_storage_is_refused(storage: Any) -> None:
    with pytest.raises(TypeError, match="storage"):
        ListenerRepository(storage)


@pytest.mark.parametrize("make", [InMemoryStorage, ForeignStorage])
def test_writes_that_fail_while_they_are_collected_send_nothing(make: type[Any]) -> None:
    storage = make()
    rows = RepositoryRows(storage, "a")

    def collect(batch: RowBatch) -> None:
        rows.put(1, "b", batch=batch)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_together([storage], collect)
    assert list(storage.fetch_all()) == []


def test_writes_to_a_backend_and_to_a_foreign_storage_keep_their_order() -> None:
    mine, foreign = InMemoryStorage(), ForeignStorage()
    calls: list[str] = []

    def collect(batch: RowBatch) -> None:
        for storage in (mine, foreign):
            RepositoryRows(storage, "a").put(1, "b", batch=batch)
            RepositoryRows(storage, "a").put(2, "c", batch=batch)
        RepositoryRows(mine, "a").drop("b", batch=batch)
        calls.append("collected")
        assert list(mine.fetch_all()) + list(foreign.fetch_all()) == []

    write_together([mine, foreign], collect)
    assert calls == ["collected"]
    assert [row["value"] for row in mine.fetch_all()] == [2]
    assert [row["value"] for row in foreign.fetch_all()] == [1, 2]


def test_writes_are_collected_once_if_the_backend_refuses_an_atomic_batch() -> None:
    storage = ModestBackend().kv_storage()
    calls: list[str] = []

    def collect(batch: RowBatch) -> None:
        RepositoryRows(storage, "a").put(1, "b", batch=batch)
        calls.append("collected")

    write_together([storage], collect)
    assert calls == ["collected"]
    assert [row["value"] for row in storage.fetch_all()] == [1]


def test_a_conditional_write_of_a_repository_is_refused() -> None:
    storage = connect("memory://").kv_storage()
    with pytest.raises(InvalidValueError, match="joins only atomic batches"):
        write_together([storage], lambda batch: storage.insert("key", 1, batch_interface=batch))  # type: ignore[arg-type]


def test_a_backend_s_batch_is_refused_for_a_foreign_storage() -> None:
    with connect("memory://").batch() as batch:
        with pytest.raises(InvalidTypeError, match="cannot join"):
            ListenerRepository(ForeignStorage()).persist("one", MessageQueueListener(), batch_interface=batch)
        ListenerRepository(batch.kv()).persist("one", MessageQueueListener(), batch_interface=batch)
        assert len(batch) == 1

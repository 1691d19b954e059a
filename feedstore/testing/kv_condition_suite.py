"""The contract of conditional writes, and of scans that begin anywhere and run in both directions."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from feedstore.errors import AtomicityError, ConditionFailedError, InvalidValueError
from feedstore.storage import Backend, KvStorage, TimelineStorage
from feedstore.storage.backend import backend_of
from feedstore.testing.samples import HARD_KEYS
from feedstore.testing.suite import OpenBackend, Suite

MANY = 1_200


class KvConditionSuite(Suite):
    """``insert``, ``replace``, and preconditions of atomic batches."""

    @pytest.fixture
    def conditional(self, backend: Backend) -> None:
        """Skip where the backend lacks the ability, after seeing that it refuses by name."""
        if not backend.abilities.conditional_writes:
            items = backend.kv_storage()
            with pytest.raises(AtomicityError):
                items.insert("key", 1)
            assert not items.exists("key")
            pytest.skip("the backend has no conditional writes")

    @pytest.fixture
    def conditional_batches(self, backend: Backend) -> None:
        """Skip where the backend lacks the ability, after seeing that it refuses by name."""
        if not backend.abilities.conditional_batches:
            items = backend.kv_storage()
            with backend.batch() as batch, pytest.raises(AtomicityError):
                items.insert("key", 1, batch_interface=batch)
            assert not items.exists("key")
            pytest.skip("the backend has no conditional writes in batches")

    @pytest.mark.usefixtures("conditional")
    def test_insert_stores_once(self, kv: KvStorage) -> None:
        """K7: the first insert returns True, and an existing value stays."""
        assert kv.insert("key", "first") is True
        assert kv.insert("key", "second") is False
        assert kv.get("key") == "first"
        kv.delete("key")
        assert kv.insert("key", None) is True
        assert kv.insert("key", "third") is False
        assert kv.fetch_one("key") is None

    @pytest.mark.usefixtures("conditional")
    def test_replace_compares(self, kv: KvStorage) -> None:
        """K7: the value changes only if it is the old one, of the same type."""
        kv.upsert("key", {"a": [1, b"x"]})
        assert kv.replace("key", {"a": [1, "x"]}, 2) is False
        assert kv.replace("key", kv.get("key"), 1) is True
        assert kv.replace("key", True, 2) is False
        assert kv.replace("key", 1.0, 2) is False
        assert kv.replace("key", 1, 1) is True
        assert kv.get("key") == 1
        assert kv.replace("absent", None, 2) is False
        assert not kv.exists("absent")

    @pytest.mark.usefixtures("conditional")
    def test_conditions_take_any_key(self, kv: KvStorage) -> None:
        """K2, K7: hard keys, and names are apart."""
        for key in HARD_KEYS:
            assert kv.insert(key, [key]) is True
            assert kv.replace(key, [key], key) is True
        assert list(kv.keys()) == sorted(HARD_KEYS)
        assert backend_of(kv.session).kv_storage("other").insert(HARD_KEYS[0], 1) is True
        for wrong in ("", "x" * 1025):
            with pytest.raises(InvalidValueError):
                kv.insert(wrong, 1)

    @pytest.mark.usefixtures("conditional")
    def test_one_of_many_inserts_wins(self, open_backend: OpenBackend) -> None:
        """K7: of several threads and backends that insert one key, exactly one gets True; a counter loses nothing."""
        backends = [open_backend()]
        backends.append(open_backend(backends[0].namespace))
        won: list[Any] = []
        backends[0].kv_storage().upsert("counter", 0)

        def insert(number: int) -> None:
            items = backends[number % 2].kv_storage()
            won.append(items.insert("key", number))
            while not items.replace("counter", count := items.get("counter"), count + 1):
                pass

        threads = [threading.Thread(target=insert, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(won) == [False] * 5 + [True]
        assert backends[0].kv_storage().get("counter") == 6

    @pytest.mark.usefixtures("conditional_batches")
    def test_a_batch_with_its_conditions_met(self, backend: Backend, timelines: TimelineStorage, kv: KvStorage) -> None:
        """K7, T22: conditional writes of an atomic batch happen with all its other writes."""
        kv.upsert("{a}:state", "new")
        with backend.batch(atomic=True) as batch:
            batch.require(kv, "{a}:state", "new")
            batch.require_absent(kv, "{a}:claim")
            kv.insert("{a}:claim", 7, batch_interface=batch)
            kv.replace("{a}:state", "new", "done", batch_interface=batch)
            timelines.add("{a}:key", 1, batch_interface=batch)
        assert batch.results[:4] == [True] * 4
        assert (kv.get("{a}:state"), kv.get("{a}:claim"), timelines.count("{a}:key")) == ("done", 7, 1)

    @pytest.mark.usefixtures("conditional_batches")
    @pytest.mark.parametrize("condition", ["require", "require_absent", "insert", "replace"])
    def test_a_batch_with_a_condition_not_met(
        self, backend: Backend, timelines: TimelineStorage, kv: KvStorage, condition: str
    ) -> None:
        """K7: one precondition that does not hold, and none of the batch's writes happens, also those before it."""
        kv.upsert("{a}:there", 1)
        timelines.add("{a}:key", 1)
        arguments = {"require": ("{a}:there", 2), "require_absent": ("{a}:there",), "insert": ("{a}:there", 2)}
        conditional = getattr(kv, condition)

        def write() -> None:
            with backend.batch(atomic=True) as batch:
                timelines.add_to_many(["{a}:key", "{a}:new"], [2], max_length=1, batch_interface=batch)
                kv.upsert("{a}:other", 2, batch_interface=batch)
                conditional(*arguments.get(condition, ("{a}:there", 2, 3)), batch_interface=batch)
                kv.upsert("{a}:last", 3, batch_interface=batch)

        with pytest.raises(ConditionFailedError, match="there"):
            write()
        assert list(kv.items()) == [("{a}:there", 1)]
        assert timelines.get_many_pages(["{a}:key", "{a}:new"], 5)["{a}:key"].floor is None
        assert [timelines.count(key) for key in ("{a}:key", "{a}:new")] == [1, 0]
        assert timelines.contains("{a}:key", 1)

    @pytest.mark.usefixtures("conditional_batches")
    def test_a_batch_that_is_not_atomic_has_no_conditions(self, backend: Backend, kv: KvStorage) -> None:
        """T5: a condition that could not be kept is refused."""
        with backend.batch() as batch:
            with pytest.raises(InvalidValueError, match="atomic"):
                kv.insert("key", 1, batch_interface=batch)
            with pytest.raises(InvalidValueError, match="atomic"):
                batch.require(kv, "key", 1)
        require: Any = kv.require
        with pytest.raises(TypeError, match="batch"):
            require("key", 1)
        assert not kv.exists("key")


class KvRangeSuite(Suite):
    """``keys`` and ``items`` from any key, in both directions."""

    def test_keys_come_in_order(self, kv: KvStorage) -> None:
        """K8: keys alone, by code point, in both directions."""
        for key in HARD_KEYS:
            kv.upsert(key, [key])
        assert list(kv.keys()) == sorted(HARD_KEYS)
        assert list(kv.keys(reverse=True)) == sorted(HARD_KEYS, reverse=True)
        assert [key for key, _ in kv.items(reverse=True)] == sorted(HARD_KEYS, reverse=True)

    def test_a_scan_begins_behind_a_key(self, kv: KvStorage) -> None:
        """K8: ``after`` is exclusive, need not be there, and counts in the direction of the scan."""
        for key in ("a", "b:1", "b:2", "b:3", "c"):
            kv.upsert(key, key)
        assert list(kv.keys(after="b:1")) == ["b:2", "b:3", "c"]
        assert list(kv.keys("b:", after="b:1")) == ["b:2", "b:3"]
        assert list(kv.keys("b:", after="b:2", reverse=True)) == ["b:1"]
        assert list(kv.keys("b:", after="b:25")) == ["b:3"]
        assert list(kv.keys("b:", after="a")) == ["b:1", "b:2", "b:3"]
        assert list(kv.keys("b:", after="a", reverse=True)) == list(kv.keys("b:", after="z")) == []
        assert list(kv.keys("b:", after="z", reverse=True)) == ["b:3", "b:2", "b:1"]
        assert list(kv.items("b:", after="b:1", limit=1)) == [("b:2", "b:2")]
        assert list(kv.keys(limit=0)) == []
        keys: Any = kv.keys
        for refused in ({"after": 7}, {"after": "x" * 1025}, {"limit": -1}, {"limit": "2"}):
            with pytest.raises((ValueError, TypeError)):
                keys(**refused)

    @pytest.mark.parametrize("reverse", [False, True])
    def test_a_scan_of_many(self, kv: KvStorage, reverse: bool) -> None:
        """K8: more keys than one round trip reads, walked in pages of any size."""
        with backend_of(kv.session).batch() as batch:
            for number in range(MANY):
                kv.upsert(f"{number % 7}:{number:05}", number, batch_interface=batch)
        expected = sorted((f"{number % 7}:{number:05}" for number in range(MANY)), reverse=reverse)
        assert list(kv.keys(reverse=reverse)) == expected
        assert list(kv.keys("3:", reverse=reverse)) == [key for key in expected if key[0] == "3"]
        seen: list[str] = []
        while page := list(kv.keys(after=seen[-1] if seen else None, reverse=reverse, limit=500)):
            seen += page
        assert seen == expected

    def test_a_reverse_scan_while_items_are_deleted(self, kv: KvStorage) -> None:
        """K3: in reverse too."""
        with backend_of(kv.session).batch() as batch:
            for number in range(600):
                kv.upsert(f"{number:03}", number, batch_interface=batch)
        seen = []
        for key in kv.keys(reverse=True):
            seen.append(key)
            if len(seen) % 4 == 0:
                kv.delete(key)
        assert seen == [f"{number:03}" for number in reversed(range(600))]
        assert list(kv.keys()) == sorted(set(seen) - set(seen[3::4]))

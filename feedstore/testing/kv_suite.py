"""The contract of key-value storages: keys, scans, deletion."""

from __future__ import annotations

from typing import Any

import pytest

from feedstore.errors import ItemNotFound, StoredDataError
from feedstore.storage import Backend, KvStorage
from feedstore.storage.backend import backend_of
from feedstore.testing.samples import HARD_KEYS, make_activity
from feedstore.testing.suite import OpenBackend, Suite


class KvSuite(Suite):
    """Items by key, and scans by prefix."""

    def test_upsert_inserts_and_replaces(self, kv: KvStorage) -> None:
        """K5: the last value is the one that is fetched; upsert returns None."""
        upsert: Any = kv.upsert
        assert upsert("key", "first") is None
        assert upsert("key", ["second"]) is None
        assert kv.fetch_one("key") == ["second"]
        assert list(kv.items()) == [("key", ["second"])]

    def test_fetch_one_of_an_absent_key(self, kv: KvStorage) -> None:
        """K5: never there, deleted or of another key space: ItemNotFound, a LookupError that names the key."""
        kv.upsert("gone", 1)
        kv.delete("gone")
        kv.upsert("present", None)
        for absent in ("never", "gone", "presen", "present2"):
            with pytest.raises(ItemNotFound, match=absent) as caught:
                kv.fetch_one(absent)
            assert isinstance(caught.value, LookupError)
            assert not isinstance(caught.value, ValueError)
        assert kv.fetch_one("present") is None

    def test_get_and_exists(self, kv: KvStorage) -> None:
        """K5: an absent key has the default, and does not exist; a value of None is a value."""
        for key in HARD_KEYS:
            assert (kv.get(key), kv.get(key, "default"), kv.exists(key)) == (None, "default", False)
            kv.upsert(key, [key])
            assert (kv.get(key, "default"), kv.exists(key)) == ([key], True)
        kv.upsert("none", None)
        assert (kv.get("none", "default"), kv.exists("none")) == (None, True)
        kv.delete("none")
        assert (kv.get("none", "default"), kv.exists("none")) == ("default", False)
        refused: Any
        for refused in ("", 7, None):
            for read in (kv.get, kv.exists):
                with pytest.raises((ValueError, TypeError), match="key"):
                    read(refused)

    def test_fetch_many_leaves_absent_keys_out(self, kv: KvStorage) -> None:
        """K5: existing items are returned in the order of the keys, each once; no keys and absent keys are no error."""
        for key in HARD_KEYS:
            kv.upsert(key, [key])
        asked = [*reversed(HARD_KEYS), "never", HARD_KEYS[0]]
        found = kv.fetch_many(iter(asked))
        assert list(found.items()) == [(key, [key]) for key in reversed(HARD_KEYS)]
        assert kv.fetch_many([]) == kv.fetch_many(["never", "gone"]) == {}
        for refused in ("key", [""], [7]):
            with pytest.raises((ValueError, TypeError), match="key"):
                kv.fetch_many(refused)  # type: ignore[arg-type]

    def test_fetch_many_of_many(self, kv: KvStorage) -> None:
        """K5: more keys than one round trip asks for."""
        with backend_of(kv.session).batch() as batch:
            for number in range(0, 1_300, 2):
                kv.upsert(f"{number}", number, batch_interface=batch)
        assert kv.fetch_many(map(str, range(1_300))) == {f"{number}": number for number in range(0, 1_300, 2)}

    def test_deleting_twice_is_no_error(self, kv: KvStorage) -> None:
        """K4: deleting an absent key is no error; delete returns None and changes one key."""
        kv.upsert("key", 1)
        kv.upsert("key2", 2)
        delete: Any = kv.delete
        assert delete("key") is None
        assert delete("key") is None
        assert delete("never") is None
        assert list(kv.items()) == [("key2", 2)]

    def test_deleting_by_prefix(self, kv: KvStorage) -> None:
        """K1, K4: every key that starts with it and no other; none at all is no error; returns None."""
        keys = [f"a:{number}" for number in range(600)] + ["a", "a;", "b:1", "a:\U0010ffff", "A:1"]
        with backend_of(kv.session).batch() as batch:
            for key in keys:
                kv.upsert(key, 1, batch_interface=batch)
        delete: Any = kv.delete_by_prefix
        assert delete("a:") is None
        assert [key for key, _ in kv.items()] == ["A:1", "a", "a;", "b:1"]
        assert delete("a:") is None
        with backend_of(kv.session).batch() as batch:
            assert delete("a", batch_interface=batch) is None
            assert kv.exists("a")
        assert [key for key, _ in kv.items()] == ["A:1", "b:1"]
        kv.delete_by_prefix("")
        assert list(kv.items()) == []
        for refused in (7, None, "\ud800", "x" * 1025):
            with pytest.raises((ValueError, TypeError), match="prefix"):
                delete(refused)

    def test_scans_come_in_key_order(self, kv: KvStorage) -> None:
        """K6: by code point, which is the order of the bytes in UTF-8, for any order of writes."""
        for key in reversed(HARD_KEYS):
            kv.upsert(key, key)
        assert list(kv.fetch_all()) == sorted(HARD_KEYS)
        assert list(kv.fetch_by_prefix("")) == sorted(HARD_KEYS)
        assert list(kv.items()) == [(key, key) for key in sorted(HARD_KEYS)]
        assert sorted(HARD_KEYS) == sorted(HARD_KEYS, key=str.encode)

    def test_a_prefix_is_compared_character_by_character(self, kv: KvStorage) -> None:
        """K1, K6: every key that starts with it and no other, glob characters and separators meaning nothing."""
        keys = [*HARD_KEYS, "a:b:c", "a:bc", "a:", "ab", "a\U0010ffffz", "\U0010ffff\U0010ffff", "\uffffz", "\0\0"]
        for key in keys:
            kv.upsert(key, key)
        prefixes = {key[:length] for key in keys for length in (1, 2, 3, len(key) - 1, len(key))} | {"zz", "a:bcd", ""}
        for prefix in prefixes:
            expected = sorted(key for key in keys if key.startswith(prefix))
            assert list(kv.fetch_by_prefix(prefix)) == expected, prefix
            assert list(kv.items(prefix)) == [(key, key) for key in expected], prefix

    def test_prefixes_at_the_edges_of_unicode(self, kv: KvStorage) -> None:
        """K6: a prefix whose last character has no next one, or has surrogates next to it."""
        keys = ["\ud7ff", "\ud7ffa", "\ue000", "\ue000a", "\U0010ffff", "\U0010ffffa", "\uffff\U00010000"]
        for key in keys:
            kv.upsert(key, key)
        for prefix in (*keys, "\uffff"):
            assert list(kv.fetch_by_prefix(prefix)) == sorted(key for key in keys if key.startswith(prefix)), prefix

    def test_many_items(self, kv: KvStorage) -> None:
        """K6: a scan may be longer than any one answer."""
        with backend_of(kv.session).batch() as batch:
            for number in range(1_100):
                kv.upsert(f"a:{number:05}", number, batch_interface=batch)
            for number in range(80, 120):
                kv.upsert(f"b:{number:05}", -number, batch_interface=batch)
        assert list(kv.fetch_by_prefix("a:")) == list(range(1_100))
        assert list(kv.fetch_by_prefix("a:0109")) == list(range(1_090, 1_100))
        assert list(kv.fetch_by_prefix("b:0009")) == [-number for number in range(90, 100)]
        assert len(list(kv.fetch_all())) == 1_140

    def test_deleting_while_iterating(self, kv: KvStorage) -> None:
        """K3: returned items may be deleted during the scan, and the others are not missed."""
        keys = [f"key:{number:04}" for number in range(600)]
        with backend_of(kv.session).batch() as batch:
            for key in keys:
                kv.upsert(key, key, batch_interface=batch)
        seen = []
        for key, value in kv.items("key:"):
            seen.append(value)
            kv.delete(key)
        assert seen == keys
        assert list(kv.fetch_all()) == []

    def test_writing_while_iterating(self, kv: KvStorage) -> None:
        """K3: an item that exists during the whole scan is returned once, and no item twice."""
        keys = [f"key:{number:04}" for number in range(0, 1_000, 2)]
        with backend_of(kv.session).batch() as batch:
            for key in keys:
                kv.upsert(key, 0, batch_interface=batch)
        seen = []
        for number, (key, _) in enumerate(kv.items()):
            seen.append(key)
            if number < 100:
                kv.upsert(f"key:{2 * number + 1:04}", 1)
                kv.upsert(key, 2)
                kv.delete(f"key:{999 - 2 * number:04}")
        assert [key for key in seen if key in set(keys)] == keys
        assert seen == sorted(set(seen))

    def test_two_scans_at_once(self, kv: KvStorage) -> None:
        """K3: scans hold nothing that another one, or a write, waits for."""
        with backend_of(kv.session).batch() as batch:
            for number in range(600):
                kv.upsert(f"{number:04}", number, batch_interface=batch)
        pairs = zip(kv.fetch_all(), kv.fetch_by_prefix("0"), strict=True)
        assert all(one == two for one, two in pairs)
        unfinished = kv.fetch_all()
        assert next(unfinished) == 0
        kv.upsert("0000", -1)
        assert kv.fetch_one("0000") == -1

    def test_each_name_is_a_key_space(self, backend: Backend) -> None:
        """K1: the same key under two names is two items; ``default`` is the name that none has."""
        one, two = backend.kv_storage("one"), backend.kv_storage("one:two")
        one.upsert("key", 1)
        two.upsert("key", 2)
        backend.kv_storage().upsert("key", 3)
        assert [one.fetch_one("key"), two.fetch_one("key")] == [1, 2]
        assert backend.kv_storage("default").fetch_one("key") == 3
        one.flush()
        assert list(one.items()) == []
        assert list(two.items()) == [("key", 2)]
        assert list(backend.kv_storage("one").fetch_all()) == []

    def test_namespaces_are_apart(self, open_backend: OpenBackend, kv: KvStorage) -> None:
        """T10: another namespace has its own items under the same names and keys."""
        other = open_backend().kv_storage()
        kv.upsert("key", 1)
        other.upsert("key", 2)
        assert list(kv.items()) == [("key", 1)]
        other.flush()
        assert list(kv.items()) == [("key", 1)]
        assert list(other.items()) == []

    def test_flush_empties_items_alone(self, backend: Backend, kv: KvStorage) -> None:
        """T15: nothing of the other storages goes; flushing an empty storage is no error."""
        backend.activity_storage().add(make_activity())
        backend.timeline_storage().add("key", make_activity())
        with backend.batch() as batch:
            for number in range(1_100):
                kv.upsert(f"key{number}", number, batch_interface=batch)
        flush: Any = kv.flush
        assert flush() is None
        assert flush() is None
        assert list(kv.fetch_all()) == []
        assert backend.activity_storage().get(make_activity()) == make_activity()
        assert backend.timeline_storage().count("key") == 1
        kv.upsert("key", 1)
        assert list(kv.fetch_all()) == [1]

    def test_what_cannot_be_decoded_is_named(self, kv: KvStorage) -> None:
        """T14: damaged bytes, bytes of another format and none at all raise, naming the key; others stay readable."""
        kv.upsert("sound", 1)
        for number, damaged in enumerate((b"", b"\x01", b"\x01\xc1", b"\x02\x05", b"\x01\x92\x01", b"\x01\x05\x05")):
            key = f"damaged{number}"
            kv._upsert(key, damaged)
            with pytest.raises(StoredDataError, match=key):
                kv.fetch_one(key)
            with pytest.raises(StoredDataError, match=key):
                list(kv.fetch_by_prefix(key))
            kv.delete(key)
        assert list(kv.items()) == [("sound", 1)]


class KvArgumentSuite(Suite):
    """Invalid prefixes, which key-value storages refuse."""

    @pytest.mark.parametrize(
        ("refused", "error"),
        [("\ud800", ValueError), ("x" * 1025, ValueError), (None, TypeError), (b"a", TypeError), (7, TypeError)],
    )
    def test_what_is_no_prefix_is_refused(self, kv: KvStorage, refused: Any, error: type[Exception]) -> None:
        """K6: at the call, not at the first value."""
        with pytest.raises(error, match="prefix"):
            kv.fetch_by_prefix(refused)
        with pytest.raises(error, match="prefix"):
            kv.items(refused)

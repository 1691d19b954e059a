"""The contract of keys: any text of 1 to 1,024 bytes in UTF-8 names a timeline, an item, a key space."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from feedstore.storage import Backend, KvStorage, TimelineStorage
from feedstore.testing.samples import HARD_KEYS, REFUSED_KEYS, ids_of
from feedstore.testing.suite import Suite


class KeySuite(Suite):
    """K2: valid keys of timelines and of key-value storages."""

    def test_every_key_names_a_timeline_of_its_own(self, timelines: TimelineStorage) -> None:
        """K2: glob characters, separators, quotes, NUL, spaces, cases and compositions mean nothing."""
        for number, key in enumerate(HARD_KEYS):
            timelines.add(key, number)
        for number, key in enumerate(HARD_KEYS):
            assert ids_of(timelines.get_slice(key, 0, None)) == [number]
            assert timelines.count(key) == 1
            assert timelines.index_of(key, number) == 0
        assert sorted(timelines.keys()) == sorted(HARD_KEYS)
        for key in HARD_KEYS[::2]:
            timelines.delete(key)
        assert sorted(timelines.keys()) == sorted(HARD_KEYS[1::2])

    def test_every_key_names_an_item_of_its_own(self, kv: KvStorage) -> None:
        """K2: the same for items."""
        for number, key in enumerate(HARD_KEYS):
            kv.upsert(key, number)
        assert [kv.fetch_one(key) for key in HARD_KEYS] == list(range(len(HARD_KEYS)))
        assert dict(kv.items()) == {key: number for number, key in enumerate(HARD_KEYS)}
        for key in HARD_KEYS[::2]:
            kv.delete(key)
        assert {key for key, _ in kv.items()} == set(HARD_KEYS[1::2])

    def test_every_key_names_a_key_space_of_its_own(self, backend: Backend) -> None:
        """K2: a key-value storage's name is as free as a key."""
        for number, name in enumerate(HARD_KEYS):
            backend.kv_storage(name).upsert("key", number)
        assert [backend.kv_storage(name).fetch_one("key") for name in HARD_KEYS] == list(range(len(HARD_KEYS)))
        backend.kv_storage("*").flush()
        backend.kv_storage("%").delete("key")
        left = [name for name in HARD_KEYS if list(backend.kv_storage(name).fetch_all())]
        assert left == [name for name in HARD_KEYS if name not in ("*", "%")]


class KeyArgumentSuite(Suite):
    """Invalid keys, which all storages refuse."""

    @pytest.mark.parametrize(("refused", "error"), REFUSED_KEYS)
    def test_what_is_no_key_is_refused_everywhere(
        self, backend: Backend, timelines: TimelineStorage, kv: KvStorage, refused: Any, error: type[Exception]
    ) -> None:
        """K2: empty, longer than 1,024 bytes, a lone surrogate or no text: one clear error from every call."""
        calls: list[Callable[[], Any]] = [
            lambda: timelines.add(refused, 1),
            lambda: timelines.add_many(refused, [1]),
            lambda: timelines.add_many(refused, []),
            lambda: timelines.remove(refused, 1),
            lambda: timelines.remove_many(refused, [1]),
            lambda: timelines.get_slice(refused, 0, 5),
            lambda: timelines.get_slice(refused, 5, 5),
            lambda: timelines.get_page(refused, 5),
            lambda: timelines.get_many_slices(["key", refused], 0, 5),
            lambda: timelines.index_of(refused, 1),
            lambda: timelines.contains(refused, 1),
            lambda: timelines.count(refused),
            lambda: timelines.trim(refused, 1),
            lambda: timelines.delete(refused),
            lambda: kv.upsert(refused, 1),
            lambda: kv.fetch_one(refused),
            lambda: kv.delete(refused),
            lambda: backend.kv_storage(refused),
        ]
        for call in calls:
            with pytest.raises(error) as caught:
                call()
            assert not isinstance(caught.value, (LookupError, UnicodeError))
            assert "key" in str(caught.value) or "name" in str(caught.value)
        assert list(timelines.keys()) == []
        assert list(kv.items()) == []

    def test_a_long_key_is_not_shown_whole(self, timelines: TimelineStorage) -> None:
        """K2: the message names the length, and stays short."""
        with pytest.raises(ValueError, match="5000 bytes") as caught:
            timelines.count("x" * 5_000)
        assert len(str(caught.value)) < 200

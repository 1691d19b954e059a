"""Storages made by hand, without a backend's factories."""

from __future__ import annotations

from typing import Any

import pytest
from dict_backend import DictActivityStorage, DictBackend, DictKvStorage, DictTimelineStorage

from feedstore.errors import InvalidTypeError
from feedstore.serializers import JsonSerializer
from feedstore.storage import ActivityStorage, Backend, KvStorage, Storage, TimelineStorage
from feedstore.testing.samples import make_activity


@pytest.mark.parametrize("kind", [DictActivityStorage, DictTimelineStorage])
def test_a_storage_needs_its_backend(kind: Any) -> None:
    with pytest.raises(InvalidTypeError, match=r"backend=connect\(url\)"):
        kind()
    for refused in ("dict://", 7, DictBackend):
        with pytest.raises(InvalidTypeError, match="backend"):
            kind(backend=refused)


def test_a_storage_made_by_hand_is_one_of_the_factory_s() -> None:
    with DictBackend() as backend:
        by_hand = DictActivityStorage(JsonSerializer, backend=backend)
        by_hand.add(make_activity())
        assert backend.activity_storage(JsonSerializer).get(make_activity()) == make_activity()
        DictKvStorage(backend=backend).upsert("key", 1)
        assert backend.kv_storage().fetch_one("key") == 1
        with pytest.raises(InvalidTypeError, match="backend"):
            DictKvStorage(backend="dict://")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [Storage, ActivityStorage, TimelineStorage, KvStorage, Backend])
def test_the_contracts_are_abstract(kind: Any) -> None:
    with pytest.raises(TypeError, match="abstract"):
        kind()

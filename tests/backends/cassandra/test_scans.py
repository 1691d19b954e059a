"""Scans over several partitions: complete, in order, and in few requests."""

from __future__ import annotations

from typing import Any

import pytest

from feedstore.backends.cassandra import directory, kv
from feedstore.backends.cassandra.tables import ITEM_BUCKETS, SHARDS, SLICE_SHIFT
from feedstore.storage import Backend
from feedstore.testing.samples import ids_of, make_activity

pytestmark = pytest.mark.parametrize("backend_kind", ["cassandra"])

KEYS = [f"key{number:03}" for number in range(300)]


def test_few_items_are_one_request(backend: Backend, sent: list[Any]) -> None:
    items = backend.kv_storage()
    for key in KEYS[:50]:
        items.upsert(key, key)
    sent.clear()
    assert list(items.fetch_by_prefix("key")) == KEYS[:50]
    assert len(sent) == 1


def test_many_items_by_their_keys_are_a_request_for_each_partition(backend: Backend, sent: list[Any]) -> None:
    items, keys = backend.kv_storage(), [f"{key}\N{SNOWMAN}" for key in KEYS * 10]
    with backend.batch() as batch:
        for key in KEYS:
            items.upsert(key, key, batch_interface=batch)
    sent.clear()
    assert items.fetch_many([*keys[:5], *KEYS[::-1], *KEYS[:7]]) == {key: key for key in KEYS}
    assert len(sent) <= ITEM_BUCKETS
    assert items.fetch_many(keys) == {}


def test_more_items_of_a_partition_than_one_request_asks_for(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kv, "_MOST_KEYS_A_REQUEST", 3)
    items = backend.kv_storage()
    with backend.batch() as batch:
        for key in KEYS:
            items.upsert(key, key, batch_interface=batch)
    assert items.fetch_many(KEYS) == {key: key for key in KEYS}


def test_a_prefix_with_a_whole_first_part_reads_one_partition(backend: Backend, sent: list[Any]) -> None:
    """K8: the part before the first colon decides the partition, or the content of braces that open before it."""
    items = backend.kv_storage()
    keys = sorted([*(f"{{bob}}:{number}" for number in range(70)), "bob:1", "bob:2", ":1", "{}:1", *KEYS])
    with backend.batch() as batch:
        for key in keys:
            items.upsert(key, key, batch_interface=batch)
    for prefix, reverse, requests in (
        (":", False, 1),
        ("{}:", True, 1),
        ("{bob}", False, 2),
        ("bob:", True, 1),
        ("{bob}:1", True, 1),
        ("b", False, 1),
    ):
        sent.clear()
        found = list(items.keys(prefix, reverse=reverse))
        assert found == sorted((key for key in keys if key.startswith(prefix)), reverse=reverse)
        assert len(sent) == requests
    assert list(items.keys(reverse=True)) == keys[::-1]


def test_a_walk_reads_what_lies_within_its_bounds(backend: Backend, sent: list[Any]) -> None:
    activities = backend.activity_storage()
    ids = [number << (SLICE_SHIFT - 1) for number in range(60)]
    activities.add_many([make_activity(id=one) for one in ids])
    for reverse in (False, True):
        sent.clear()
        found = activities.iterate(after=ids[20], before=ids[25], reverse=reverse)
        assert ids_of(found) == sorted(ids[21:25], reverse=reverse)
        assert len(sent) <= 1 + 3 * SHARDS


def test_few_timelines_are_three_requests(backend: Backend, sent: list[Any]) -> None:
    timelines = backend.timeline_storage()
    timelines.add_to_many(KEYS[:25], [1])
    sent.clear()
    assert sorted(timelines.keys()) == KEYS[:25]
    assert len(sent) == 3


@pytest.mark.parametrize("page", [1, 7, 19])
def test_items_of_several_pages(backend: Backend, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    monkeypatch.setattr(kv, "_FIRST_PAGE", page)
    monkeypatch.setattr(kv, "_FURTHER_PAGE", page + 1)
    items = backend.kv_storage()
    keys = KEYS[:120]
    with backend.batch() as batch:
        for key in keys:
            items.upsert(key, key, batch_interface=batch)
    assert list(items.items()) == [(key, key) for key in keys]
    assert list(items.fetch_by_prefix("key1")) == keys[100:]


@pytest.mark.parametrize("page", [1, 9, 60])
def test_names_of_several_pages(backend: Backend, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    monkeypatch.setattr(directory, "_MOST_A_TRIP", page)
    timelines, activities = backend.timeline_storage(), backend.activity_storage()
    timelines.add_to_many(KEYS[:60], [1])
    assert sorted(timelines.keys()) == KEYS[:60]
    ids = [number << SLICE_SHIFT for number in range(40)]
    activities.add_many([make_activity(id=one) for one in ids])
    assert ids_of(activities.iterate()) == ids
    assert ids_of(activities.iterate(after=ids[20])) == ids[21:]
    assert ids_of(activities.iterate(before=ids[30], reverse=True)) == ids[29::-1]

"""Floors after fan-outs that bring late entries, backfills, removals and trims."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

import soak
from feedstore.backends.redis import RedisBackend
from feedstore.backends.redis.node import Node
from feedstore.storage import TimelineStorage
from feedstore.testing.delivery_suite import Raw, RawSerializer
from stores import fresh_namespace

_IDS = 24


@pytest.fixture
def timelines(redis_url: str) -> Iterator[TimelineStorage]:
    """Timelines in a fresh namespace."""
    with RedisBackend(redis_url, namespace=fresh_namespace()) as backend:
        yield backend.timeline_storage()


def test_a_backfill_of_late_and_of_present_entries_leaves_the_floor(timelines: TimelineStorage) -> None:
    timelines.add_to_many(["k"], [14, 15, 19], max_length=2)
    assert timelines.get_page("k", 9).floor == 15
    timelines.add_to_many(["k"], [0, 15, 19], max_length=800)
    assert timelines.get_page("k", 9).floor == 15


def test_fan_outs_at_the_top_of_full_timelines(timelines: TimelineStorage) -> None:
    """T1, T17: one script counts all deliveries, and rewrites the strings that have too many trimmed ids in front."""
    ids, keys = [number << 80 for number in range(200)], ["a", "b", "c", "d"]
    for start, key in enumerate(keys[1:]):
        timelines.add_many(key, ids[start:9])
    # Two timelines end alike.
    timelines.add_many("a", ids[:9])
    first, count = 9, 1
    while first + count < len(ids):
        assert timelines.add_to_many(keys, ids[first : first + count], max_length=12) == count * len(keys)
        first, count = first + count, count % 3 + 1
        for key, start in zip(keys, (0, 0, 1, 2), strict=True):
            page, oldest = timelines.get_page(key, 20, None, ["activity_id"]), max(start, first - 12)
            assert [one.serialization_id for one in page] == ids[oldest:first]
            assert page.floor == (ids[oldest - 1] + 1 if oldest > start else None)


class _Model:
    """The entries of a timeline, and its floor: one more than the newest entry that was dropped."""

    def __init__(self) -> None:
        self.entries: set[int] = set()
        self.floor: int | None = None

    def trim(self, length: int) -> None:
        """Drop the oldest entries."""
        ordered = sorted(self.entries)
        dropped = ordered[: max(0, len(ordered) - length)]
        if dropped:
            self.floor = max(self.floor or 0, dropped[-1] + 1)
            self.entries -= set(dropped)

    def check(self, timelines: TimelineStorage, key: str) -> None:
        """Compare with the timeline itself."""
        page = timelines.get_page(key, 99)
        assert {item.serialization_id for item in page.items} == self.entries
        assert page.floor == self.floor
        assert timelines.count(key) == len(self.entries)


@pytest.mark.soak
def test_a_floor_is_exact_after_late_adds_removals_and_trims(timelines: TimelineStorage) -> None:
    chance = random.Random(1)
    for round_number in range(soak.count(60, 2000)):
        keys = [f"{round_number}-{number}" for number in range(3)]
        models = {key: _Model() for key in keys}
        for _ in range(8):
            ids = chance.sample(range(_IDS), chance.choice([1, 1, 2, 3, 5]))
            kind = chance.choice(["fan out", "fan out", "fan out", "add", "remove", "trim"])
            length = chance.choice([0 if kind == "trim" else 1, 1, 2, 3, 5, 800])
            if kind == "fan out":
                timelines.add_to_many(keys, ids, max_length=length)
            elif kind == "add":
                timelines.add_many(keys[0], ids)
            elif kind == "remove":
                timelines.remove_many(keys[0], ids)
            else:
                timelines.trim(keys[0], length)
            for key in keys if kind == "fan out" else keys[:1]:
                model = models[key]
                model.entries = model.entries - set(ids) if kind == "remove" else model.entries
                if kind in ("fan out", "add"):
                    model.entries |= set(ids)
                if kind in ("fan out", "trim"):
                    model.trim(length)
                model.check(timelines, key)


def test_columns_that_a_script_reads_are_one_round_trip_after_the_first(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction reads no payloads in chunks, none of a timeline without payloads, and no floor below the limit."""
    ask, request, sent = Node.ask, Node.request, list[str]()

    def asked(node: Node, words: tuple[Any, ...]) -> Any:
        sent.append(words[0])
        return ask(node, words)

    def requested(node: Node, commands: Any) -> list[Any]:
        sent.append(commands[0][0])
        return request(node, commands)

    with RedisBackend(redis_url, namespace=fresh_namespace()) as backend:
        timelines = backend.timeline_storage(RawSerializer)
        for key, payload, count in (("chunks", b"one", 2100), ("plain", b"", 9), ("trimmed", b"one", 9)):
            timelines.add_many(key, [Raw(number, payload) for number in range(1, count + 1)])
        timelines.trim("trimmed", 6)
        # The server knows the script from now on.
        assert timelines.get_page("plain", 9).floor is None
        monkeypatch.setattr(Node, "ask", asked)
        monkeypatch.setattr(Node, "request", requested)
        for key, newest, floor in (("chunks", 2100, None), ("plain", 9, None), ("trimmed", 9, 4)):
            for expected in (["MULTI", "EVALSHA"], ["EVALSHA"], ["EVALSHA"]):
                columns = timelines.get_columns(key, 5)
                assert (list(columns.ids), columns.floor) == ([*range(newest, newest - 5, -1)], floor)
                assert [word for word in sent if word in {"MULTI", "EVALSHA"}] == expected
                sent.clear()
        assert (len(timelines.get_columns("trimmed", 6)), sent) == (6, ["MULTI"])

"""One entry with a payload for many timelines, with slack: compared with a store in memory, and mutants."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
import redis

import soak
from feedstore import connect
from feedstore.backends.redis import RedisBackend, fan_out
from feedstore.backends.redis.scripts import WRITE
from feedstore.errors import FeedstoreError, StoredDataError
from feedstore.storage import TimelineStorage
from feedstore.testing.delivery_suite import GroupSerializer, by
from rewriting import rewrite
from stores import fresh_namespace

_KEYS = [f"{{r}}:{number}" for number in range(9)]
_LENGTH, _MOST = 6, 2
_FEWER_READ = ("local MOST_READ = 10000", "local MOST_READ = 25")
_MUTANTS = {
    "an older id of the same time is at the top": (
        "(newest_time == time and is_less(newest, id))",
        "newest_time == time",
    ),
    "an older time is at the top": ("newest_time < time or", "newest_time ~= time or"),
    "one more entry of slack": ("next.size > most_entries then", "next.size > most_entries + 1 then"),
    "one more entry of a payload": ("count > most and value ~= '' then", "count > most + 1 and value ~= '' then"),
    "the new entry does not count": ("{[payload] = 1}", "{}"),
    "payloads are not limited": ("if most < 0 or next.size <= most then", "if true then"),
    "the list is not trimmed": ("if next.dropped then", "if false then"),
    "one entry too many is dropped": ("next.size - share.length)", "next.size - share.length + 1)"),
    "the floor is dropped": (
        "found.surplus, held = surplus, held - surplus",
        "found.surplus, held = surplus + 1, held - surplus - 1",
    ),
    "the string loses its flags": ("trailer_of(held + 1, 0, size + 1, flags)", "trailer_of(held + 1, 0, size + 1, 0)"),
    "another timeline is left": ("later + 1] = i - 1", "later + 1] = i % share.count"),
    "a timeline that is left is forgotten": (
        "{'PART', first_share.total, {}, {}, first_share.later}",
        "first_share.total",
    ),
    "another delivery is sent again": (
        "trim or again, i - 1)",
        "trim or again, i % share.count)",
    ),
    "the state that an earlier write has is not read": (
        "changed[timeline] or states[timeline] or",
        "changed[timeline] or",
    ),
    "the payloads beyond the limit stay": ("pairs(next.beyond or {})", "pairs({})"),
    "one of them too many is removed": (
        "= count - most, total + count - most",
        "= count - most + 1, total + count - most + 1",
    ),
    "the older entries do not move": ("if next.front then", "if false then"),
    "the floor does not move": ("first + total - lead", "first + total"),
    "the first of them is not found": ("while #places < total do", "while #places < total - 1 do"),
    "an id in front becomes the floor": ("if lead == 0 and size <= share.length then", "if false then"),
    "entries without payloads are limited": ("count > most and value ~= '' then", "count > most then"),
    "the length does not count": ("math.min(size, share.length)", "size"),
}


class _Store:
    """A backend under test, the store in memory, and the writes that both get."""

    def __init__(self, backend: RedisBackend, seed: int) -> None:
        self._model = connect("memory://")
        self._backends = (backend, self._model)
        self._groups = [one.timeline_storage(serializer_class=GroupSerializer) for one in self._backends]
        self._draw = random.Random(seed)
        self._top = 0

    def take(self, steps: int) -> None:
        """Make random writes, alone and in batches, and compare the results, entries and floors."""
        for _ in range(steps):
            writes = [self._write() for _ in range(self._draw.choice([1, 1, 1, 1, 3]))]
            results: list[Any] = []
            for groups in self._groups:
                if len(writes) == 1:
                    ((method, arguments, limits),) = writes
                    results.append(getattr(groups, method)(*arguments, **limits))
                    continue
                with groups.get_batch_interface() as batch:
                    for method, arguments, limits in writes:
                        getattr(groups, method)(*arguments, **limits, batch_interface=batch)
                results.append(batch.results)
            assert results[0] == results[1]
            pages = [groups.get_many_pages(_KEYS, 30) for groups in self._groups]
            assert pages[0] == pages[1]
            for key in _KEYS:
                ours, expected = (_columns(groups, key) for groups in self._groups)
                assert ours == expected

    def _write(self) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        draw = self._draw
        keys = draw.sample(_KEYS, draw.choice([1, 3, 9, 9, 9]))
        kind = draw.choice(["share"] * 16 + ["late"] * 2 + ["remove", "trim", "plain", "delete"])
        self._top += 1
        one = _id(draw.randrange(max(1, self._top - 25), self._top + 1) if kind == "late" else self._top)
        if kind == "remove":
            return "remove_from_many", (keys, [_id(max(0, self._top - back)) for back in range(1, 6, 2)]), {}
        if kind == "trim":
            return "trim", (keys[0], 4), {}
        if kind == "delete":
            return "delete", (keys[0],), {}
        if kind == "plain":
            return "add_to_many", (keys, [one]), {}
        limits = {"max_length": _LENGTH, "max_per_payload": draw.choice([None, _MOST]), "slack": draw.choice([4, 4, 1])}
        return "add_to_many", (keys, by(draw.choice("abcdefaa"), one)), limits


def _id(number: int) -> int:
    """Return an id whose time four numbers share."""
    return (number // 4 << 90) + number


def _columns(groups: TimelineStorage, key: str) -> tuple[list[int], list[bytes], int | None]:
    # A transaction reads, although a script has read columns of this limit.
    vars(groups).pop("_scripted", None)
    columns = groups.get_columns(key, 30)
    return list(columns.ids), list(columns.payloads), columns.floor


@pytest.fixture
def backend(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisBackend]:
    """A backend in a fresh namespace, whose scripts read few payloads each."""
    rewrite(monkeypatch, [_FEWER_READ])
    monkeypatch.setattr(fan_out, "MOST_READ", 25)
    with RedisBackend(redis_url, namespace=fresh_namespace(), buckets=1) as backend:
        yield backend


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(soak.count(2, 60)))
def test_shares_are_those_of_a_store_in_memory(backend: RedisBackend, seed: int) -> None:
    """T20: at the top and below it, with slack and without, alone and in batches of several writes."""
    _Store(backend, seed).take(80)


@pytest.mark.parametrize("mutant", _MUTANTS)
def test_the_comparison_finds_a_mutant_of_shares(
    backend: RedisBackend, monkeypatch: pytest.MonkeyPatch, mutant: str
) -> None:
    assert _MUTANTS[mutant][0] in WRITE.source
    rewrite(monkeypatch, [_MUTANTS[mutant]])
    with pytest.raises((AssertionError, FeedstoreError)):
        _Store(backend, 3).take(200)


def test_a_floor_stays_when_a_share_drops_older_entries(redis_url: str) -> None:
    """T17: late entries below the floor are the oldest, and leave first."""
    with RedisBackend(redis_url, namespace=fresh_namespace()) as backend:
        groups = backend.timeline_storage(serializer_class=GroupSerializer)
        for number in range(10, 120, 10):
            groups.add_to_many(_KEYS[:2], by("ann", number), max_length=6, slack=4)
        groups.remove_from_many(_KEYS[:2], [60])
        for key in _KEYS[:2]:
            groups.add_many(key, by("bob", *range(1, 7)))
        groups.add_to_many(_KEYS[:2], by("cem", 200), max_length=6, slack=4)
        page = groups.get_page(_KEYS[1], 9)
        assert ([one for one, _ in page], page.floor) == ([200, 110, 100, 90, 80, 70], 51)


@pytest.mark.parametrize("others", [0, 2])
def test_a_string_that_lacks_a_part_is_damaged(redis_url: str, others: int) -> None:
    """T14: a share finds that where it writes to one timeline, or applies the limits, and writes nothing."""
    with RedisBackend(redis_url, namespace=fresh_namespace(), buckets=1) as backend:
        groups, keys = backend.timeline_storage(serializer_class=GroupSerializer), _KEYS[: others + 1]
        added = 10 if others else 3
        groups.add_to_many(keys, by("ann", *range(1, added + 1)))
        timeline = backend.session.keys().timeline(0, keys[-1])
        with redis.Redis.from_url(redis_url) as client:
            client.set(timeline, client.getrange(timeline, 16, -1))
        with pytest.raises(StoredDataError, match=keys[-1]):
            groups.add_to_many(keys, by("bob", 50), max_length=6, slack=4)
        assert [groups.count(key) for key in keys] == [added] * len(keys)

"""Timelines that get and lose chunks, compared with a set of ids, and mutants that the comparison finds."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

import soak
from feedstore import Activity
from feedstore.backends.redis import RedisBackend
from feedstore.backends.redis.scripts import READ, WRITE
from feedstore.errors import FeedstoreError
from feedstore.serializers import Serializer
from feedstore.storage import TimelineStorage
from rewriting import rewrite
from stores import fresh_namespace

# Timelines of 20 entries have chunks of 5 then.
_SMALLER = (
    ("MOST_IN_STRING = 2048", "MOST_IN_STRING = 20"),
    ("LEAST_IN_CHUNKS = 1024, 128, 1024", "LEAST_IN_CHUNKS = 10, 4, 12"),
    ("MOST_IN_BLOCK = 126, 32, 96, 128", "MOST_IN_BLOCK = 5, 2, 4, 3"),
    ("MOST_CHUNKS_DROPPED = 1000", "MOST_CHUNKS_DROPPED = 2"),
    ("LEAST_SLACK = 8", "LEAST_SLACK = 2"),
    ("SMALL_STRING = 512", "SMALL_STRING = 100"),
    ("MOST_RANGES, MOST_KNOWN = 8, 64", "MOST_RANGES, MOST_KNOWN = 3, 6"),
    ("BLOCK = 32, '-528', 8", "BLOCK = 3, '-64', 2"),
    ("WINDOW, MOST_JOINED = 24, 96", "WINDOW, MOST_JOINED = 2, 4"),
    ("MOST_TAIL, AROUND = 128, 4", "MOST_TAIL, AROUND = 6, 1"),
    ("MOST_FIELDS, WASTE, WINDOW = 4000, 4, 24", "MOST_FIELDS, WASTE, WINDOW = 4000, 4, 2"),
    ("MOST_ARGUMENTS = 4000", "MOST_ARGUMENTS = 6"),
)
_FEWER_CHANGES = ("MOST_CHUNK_WORK = 60", "MOST_CHUNK_WORK = 2")
_MUTANTS = {
    "search": ("e == b and f < c))) then\n      low", "e == b and f <= c))) then\n      low"),
    "search of the string": ("return low + position, is_there\n  end", "return low + position + 1, is_there\n  end"),
    "search of the blocks": ("local low, dead = M.first_alive(t.root, trimmed(t))", "local low, dead = 0, trimmed(t)"),
    "trim of a fan-out": ("size > most then\n    size = most\n", "size > most then\n    size = most + 1\n"),
    "floor after a trim": ("t.held - t.size or math.max(t.held - t.size - 1, 0)", "t.held - t.size or t.held - t.size"),
    "floor in a chunk": ("if dead <= count then", "if dead < count then"),
    "late floor": ("t.is_late = t.is_late or (before ~= ''", "t.is_late = t.is_late and (before ~= ''"),
    "split of the string": ("read_string(t, last, t.held)", "read_string(t, last + 1, t.held)"),
    "split of a chunk": (
        "(first + size) * BYTES)\n    end\n    return pieces",
        "(first + size - 1) * BYTES)\n    end\n    return pieces",
    ),
    "split of a block": ("sub(block, half + 1), ids - here", "sub(block, half + 1 + ENTRY), ids - here"),
    "join of chunks": ("records .. others or others .. records", "others .. records or records .. others"),
    "cut": ("from, count, at = at + 1, count + 1, at + 1", "from, count, at = at, count + 1, at + 1"),
}

_PAYLOAD_MUTANTS = {
    "payload of an old id": ("if not is_given or not is_new[i] then", "if not is_given then"),
    "payloads of a trim": (
        "call('LTRIM', t.side, string.format('%d', count)",
        "call('LTRIM', t.side, string.format('%d', count + 1)",
    ),
    "limit by payload": ("'%d', -most - 1), 'COUNT'", "'%d', -most), 'COUNT'"),
    "early removal": ("(is_floor and 1 or 0)", "1"),
    "floor of an early removal": ("t.size - 1, not is_floor", "t.size - 1, false"),
    "waste after a trim": ("t.size, t.is_waste = t.size - count, false", "t.size = t.size - count"),
    "list of a timeline with chunks": ("if values[i] ~= '' then", "if values[i] ~= '' and i > 1 then"),
}
# Of adds of one late id to a timeline without chunks.
_LATE_MUTANTS = {
    "trim of late ids": ("size > most then\n        size = most\n", "size > most then\n        size = most - 1\n"),
    "late add to a full timeline": ("front - 1, read_range(timeline, front", "front, read_range(timeline, front"),
    "late add in front": ("local front = is_full and low or low - 1", "local front = low"),
    "late add of some": ("sub(newest, (position - first) * BYTES + 1", "sub(newest, (position - first) * BYTES + 17"),
    "late add at the end": ("timeline, position + 1, read", "timeline, position, read"),
    "quick add": ("id .. trailer_of(held + 1,", "id .. trailer_of(held,"),
    "quick trim": ("size >= most and most or", "size > most and most or"),
    "times": ("return a < d\n  end\n  local _, b", "return a <= d + 1\n  end\n  local _, b"),
    "place of a late add": ("low = last\n", "low = last + 1\n"),
}


class _Walk(NamedTuple):
    """The sizes with which a random walk goes around the sizes of chunks."""

    ids: int
    counts: list[int]
    lengths: list[int]
    stops: list[int]


_LARGE = _Walk(40_000, [1, 2, 30, 900, 3000], [0, 100, 1020, 2040, 5000, 9000], [1, 25, 700, 20_000])
_SMALL = _Walk(100, [1, 1, 2, 3, 9, 30], [0, 1, 3, 11, 12, 19, 21, 25, 30, 40, 40, 50], [1, 3, 25, 60])
# Timelines that are one string, to which one id at a time is added anywhere.
_SHORT = _Walk(60, [1], [14, 16, 18], [1, 25])


# Four ids that follow each other share the time by which the scripts compare ids first.
_UNIT = 2**78


class _Model:
    """The ids of a timeline and its floor."""

    def __init__(self) -> None:
        self.ids: set[int] = set()
        self.floor: int | None = None

    def trim(self, length: int) -> int:
        """Drop the oldest ids, and return how many."""
        dropped = sorted(self.ids)[: max(0, len(self.ids) - length)]
        if dropped:
            self.floor = max(self.floor or 0, dropped[-1] + 1)
            self.ids -= set(dropped)
        return len(dropped)

    def check(self, timelines: TimelineStorage, chance: random.Random, walk: _Walk) -> None:
        """Compare counts, positions and slices with the timeline's."""
        newest = sorted(self.ids, reverse=True)
        assert timelines.count("k") == len(newest)
        assert ("k" in list(timelines.keys())) == bool(newest)
        assert timelines.get_page("k", 3).floor == self.floor
        start = chance.randrange(len(newest) + 2)
        stop = start + chance.choice(walk.stops)
        highest = max(self.ids, default=0) // _UNIT + walk.ids
        bound = chance.randrange(highest) * _UNIT
        found = timelines.get_slice("k", start, stop)
        assert [one.serialization_id for one in found] == newest[start:stop]
        below = [one for one in newest if one < bound]
        found = timelines.get_slice("k", start, stop, {"activity_id__lt": bound}, ["activity_id"])
        assert [one.serialization_id for one in found] == below[::-1][start:stop]
        assert timelines.count("k", {"activity_id__gte": bound}) == len(newest) - len(below)
        asked = [number * _UNIT for number in chance.sample(range(highest), 50)]
        assert timelines.contains_many("k", asked) == self.ids & set(asked)
        for position in {0, len(newest) // 2, len(newest) - 1} if newest else ():
            assert timelines.index_of("k", newest[position]) == position

    def draw(self, chance: random.Random, walk: _Walk) -> list[int]:
        """Return ids at the top, late by a few, or anywhere."""
        return [number * _UNIT for number in self._drawn(chance, walk)]

    def _drawn(self, chance: random.Random, walk: _Walk) -> list[int]:
        count, top = chance.choice(walk.counts), max(self.ids, default=0) // _UNIT + 1
        place = chance.choice(["top", "top", "late", "middle", "anywhere"])
        if place == "top":
            return list(range(top + 1, top + 1 + 2 * count, 2))
        if place == "late":
            return [max(0, top - chance.randrange(4))]
        if place == "middle":
            start = chance.randrange(chance.choice([0, min(self.ids, default=0) // _UNIT]), top)
            return list(range(start, start + count))
        return chance.sample(range(top + count), count)


def _take(timelines: TimelineStorage, walk: _Walk, steps: int, seed: int) -> None:
    chance = random.Random(seed)
    model, other = _Model(), _Model()
    for _ in range(steps):
        kind = chance.choice(["add", "add", "add", "fan out", "fan out", "fan out", "remove", "remove", "trim"])
        ids = model.draw(chance, walk)
        if kind == "add":
            assert timelines.add_many("k", ids) == len(set(ids) - model.ids)
            model.ids |= set(ids)
        elif kind == "fan out":
            # Mostly each activity takes the place of an older one.
            length = chance.choice([*walk.lengths[1:], *[len(model.ids) or 1] * 9])
            reached = {"k": model} if chance.random() < 0.5 else {"j": other, "k": model}
            added = sum(len(set(ids) - one.ids) for one in reached.values())
            assert timelines.add_to_many(list(reached), ids, max_length=length) == added
            for one in reached.values():
                one.ids |= set(ids)
                one.trim(length)
        elif kind == "remove":
            held = sorted(model.ids)
            start = chance.randrange(len(held) + 1)
            ids = [*ids[:1], *held[start : start + len(ids)]]
            assert timelines.remove_many("k", ids) == len(set(ids) & model.ids)
            model.ids -= set(ids)
        else:
            length = chance.choice(walk.lengths)
            assert timelines.trim("k", length) == model.trim(length)
        model.check(timelines, chance, walk)
    found = timelines.get_slice("j", 0, None)
    assert [one.serialization_id for one in found] == sorted(other.ids, reverse=True)


class _Groups(Serializer[tuple[int, bytes]]):
    """The payload of an entry is one of a few, of any length."""

    def dumps(self, activity: Activity) -> bytes:
        return str(activity.object or "").encode()

    def loads(self, data: bytes, activity_id: int) -> tuple[int, bytes]:
        return activity_id, data


_PAYLOADS = [None, "g", "group:1", "group:2", "a much longer payload"]


class _Payloads:
    """The ids of a timeline with their payloads."""

    def __init__(self) -> None:
        self.entries: dict[int, bytes] = {}
        self.floor: int | None = None

    def add(self, activities: list[Activity], length: int | None, most: int | None) -> int:
        """Add entries, keep the newest `most` of each payload, and trim. Return how many were new."""
        given = {one.serialization_id: str(one.object or "").encode() for one in activities}
        added = len(given.keys() - self.entries.keys())
        self.entries |= given
        for payload in set(given.values()) - {b""}:
            same = sorted((one for one, data in self.entries.items() if data == payload), reverse=True)
            for one in same[len(same) if most is None else most :]:
                del self.entries[one]
        if length is not None:
            self.trim(length)
        return added

    def trim(self, length: int) -> None:
        """Drop the oldest entries."""
        dropped = sorted(self.entries)[: max(0, len(self.entries) - length)]
        if dropped:
            self.floor = max(self.floor or 0, dropped[-1] + 1)
        for one in dropped:
            del self.entries[one]


def _columns(groups: TimelineStorage[Any], limit: int, within: Any = None) -> tuple[list[Any], int | None]:
    columns = groups.get_columns("k", limit, within)
    return list(zip(columns.ids, columns.payloads, strict=True)), columns.floor


def _take_with_payloads(backend: RedisBackend, steps: int, seed: int) -> None:
    chance = random.Random(seed)
    model = _Payloads()
    groups, plain = backend.timeline_storage(serializer_class=_Groups), backend.timeline_storage()
    for step in range(steps):
        if step % 25 == 0:
            # A deleted timeline has no floor.
            plain.delete("k")
            model = _Payloads()
        top = max(model.entries, default=0) + 2
        count = chance.choice([1, 1, 1, 2, 5, 15])
        ids = [*range(top, top + count)] if chance.random() < 0.5 else [chance.randrange(top) for _ in range(count)]
        kind = chance.choice(["add", "deliver", "deliver", "deliver", "deliver", "plain", "remove", "trim"])
        payload = chance.choice(["any", *_PAYLOADS])
        activities = [
            Activity("ann", "like", chance.choice(_PAYLOADS) if payload == "any" else payload, id=one)
            for one in dict.fromkeys(ids)
        ]
        length, most = chance.choice([9, 14, 18, 18, 30]), chance.choice([None, 1, 3, 5])
        if kind == "add":
            assert groups.add_many("k", activities) == model.add(activities, None, None)
        elif kind == "deliver":
            added = groups.add_to_many(["k"], activities, max_length=length, max_per_payload=most)
            assert added == model.add(activities, length, most)
        elif kind == "plain":
            nothing = [Activity("ann", "like", id=one) for one in dict.fromkeys(ids)]
            assert plain.add_to_many(["k"], ids, max_length=length) == model.add(nothing, length, None)
        elif kind == "remove":
            gone = {*ids, *chance.sample(sorted(model.entries), min(3, len(model.entries)))} & model.entries.keys()
            assert chance.choice([groups, plain]).remove_many("k", list(gone)) == len(gone)
            for one in gone:
                del model.entries[one]
        else:
            chance.choice([groups, plain]).trim("k", length)
            model.trim(length)
        newest = sorted(model.entries.items(), reverse=True)
        bound, limit = chance.randrange(top + count), chance.choice([3, 40])
        older = [one for one in newest if one[0] < bound][:limit]
        assert _columns(groups, limit, {"activity_id__lt": bound})[0] == older
        # A transaction reads, although a script has read columns of this limit.
        vars(groups).pop("_scripted", None)
        assert _columns(groups, limit) == (newest[:limit], model.floor)
        assert groups.get_slice("k", 0, None) == newest
        start = chance.randrange(len(newest) + 1)
        assert groups.get_slice("k", start, start + 7, None, ["activity_id"]) == newest[::-1][start : start + 7]
        page = groups.get_page("k", 7)
        assert (list(page), page.floor) == (newest[:7], model.floor)
        assert [one.serialization_id for one in plain.get_page("k", 4)] == [one for one, _ in newest[:4]]
        assert plain.count("k") == len(newest)


@pytest.fixture
def timelines(redis_url: str) -> Iterator[TimelineStorage]:
    """Timelines in a fresh namespace."""
    with RedisBackend(redis_url, namespace=fresh_namespace(), buckets=1) as backend:
        yield backend.timeline_storage()


@pytest.mark.parametrize("keys", [["k"], ["j", "k"]])
def test_the_newest_id_again_trims_a_timeline_that_has_become_too_long(
    timelines: TimelineStorage, keys: list[str]
) -> None:
    timelines.add_to_many(keys, [1, 2, 3, 4, 5])
    for length, floor in [(5, None), (3, 3), (1, 5)]:
        assert timelines.add_to_many(keys, [5], max_length=length) == 0
        for key in keys:
            page = timelines.get_page(key, 9)
            assert [one.serialization_id for one in page] == [5, 4, 3, 2, 1][:length]
            assert page.floor == floor


@pytest.mark.parametrize("keys", [["k"], ["j", "k"]])
def test_a_late_id_trims_a_timeline_that_has_become_too_long(timelines: TimelineStorage, keys: list[str]) -> None:
    timelines.add_to_many(keys, range(0, 480, 10))
    for key in keys:
        timelines.trim(key, 40)
    # The id would take the room of a trimmed one in front of the entries.
    assert timelines.add_to_many(keys, [101], max_length=20) == len(keys)
    for key in keys:
        page = timelines.get_page(key, 99)
        assert [one.serialization_id for one in page] == list(range(470, 270, -10))
        assert page.floor == 271


def test_one_id_to_a_timeline_that_a_trim_has_emptied(timelines: TimelineStorage) -> None:
    timelines.add_many("k", [1, 2])
    timelines.trim("k", 0)
    assert timelines.add("k", 5) == 1
    assert list(timelines.keys()) == ["k"]
    page = timelines.get_page("k", 9)
    assert ([one.serialization_id for one in page], page.floor) == ([5], 3)


@pytest.mark.soak
def test_a_timeline_that_gets_and_loses_chunks(timelines: TimelineStorage) -> None:
    _take(timelines, _LARGE, soak.count(40, 3000), 4)


@pytest.mark.soak
def test_a_timeline_with_small_chunks(timelines: TimelineStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(before in WRITE.source + READ.source for before, _ in [*_SMALLER, _FEWER_CHANGES])
    rewrite(monkeypatch, [*_SMALLER, _FEWER_CHANGES])
    _take(timelines, _SMALL, soak.count(200, 60_000), 1)
    timelines.flush()
    _take(timelines, _SHORT, soak.count(150, 40_000), 1)


@pytest.mark.soak
def test_payloads_with_small_chunks(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rewrite(monkeypatch, list(_SMALLER))
    with RedisBackend(redis_url, namespace=fresh_namespace(), buckets=1) as backend:
        _take_with_payloads(backend, soak.count(200, 20_000), 1)


@pytest.mark.parametrize("mutant", [*_MUTANTS, *_LATE_MUTANTS])
def test_the_comparison_finds_a_mutant(
    timelines: TimelineStorage, monkeypatch: pytest.MonkeyPatch, mutant: str
) -> None:
    change = _MUTANTS.get(mutant) or _LATE_MUTANTS[mutant]
    assert change[0] in WRITE.source
    rewrite(monkeypatch, [*_SMALLER, _FEWER_CHANGES, change])
    with pytest.raises((AssertionError, FeedstoreError)):
        _take(timelines, _SMALL if mutant in _MUTANTS else _SHORT, 600, 6)


@pytest.mark.parametrize("mutant", _PAYLOAD_MUTANTS)
def test_the_comparison_finds_a_mutant_of_payloads(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, mutant: str
) -> None:
    change = _PAYLOAD_MUTANTS[mutant]
    assert change[0] in WRITE.source
    rewrite(monkeypatch, [*_SMALLER, change])
    backend = RedisBackend(redis_url, namespace=fresh_namespace(), buckets=1)
    with backend, pytest.raises((AssertionError, FeedstoreError)):
        _take_with_payloads(backend, 300, 2)

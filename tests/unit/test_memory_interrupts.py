"""Exceptions that a signal handler raises in the middle of calls on a memory store."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from feedstore import Activity, connect
from feedstore.backends.memory import MemoryBackend
from feedstore.backends.memory.groups import Groups
from feedstore.backends.memory.journal import Journal
from feedstore.backends.memory.sorted_keys import SortedKeys
from feedstore.serializers import JsonSerializer
from feedstore.testing.delivery_suite import GroupSerializer
from interrupting import Interrupts, interrupted_at, interrupts
from soak import count

# Python discards an exception that a signal handler raises inside the callback of a weak reference.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

Call = Callable[[MemoryBackend], object]
_KEY_FILES = ("memory/sorted_keys.py", "sortedcontainers/sortedlist.py")


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let few keys fill several chunks."""
    monkeypatch.setattr(SortedKeys, "DEFAULT_LOAD_FACTOR", 4)


@pytest.mark.soak
@pytest.mark.usefixtures("small_chunks")
def test_an_interrupted_call_happens_as_a_whole_or_not_at_all() -> None:
    """The same calls on a second store, without interrupts, give the valid states."""
    choice, store, model = random.Random(1), MemoryBackend(), MemoryBackend()
    with interrupts(longest_seconds=2e-4) as interrupting:
        while interrupting.count < count(500, 40_000):
            call = _random_call(choice)
            if interrupting.run(partial(call, store)):
                call(model)
                continue
            found = _state(store)
            if found != _state(model):
                call(model)
                assert found == _state(model)
    assert _state(store) == _state(model)


@pytest.mark.usefixtures("small_chunks")
def test_an_interrupted_roll_back_is_finished_by_the_next_thread() -> None:
    """The handler may raise again while the first call's changes are being undone."""
    store = MemoryBackend()
    timelines = store.timeline_storage()
    timelines.add_many("key", range(20))
    space = store.session.space

    def fail(journal: Journal) -> None:
        space.timelines["key"].trim(journal, 3)
        space.timelines["key"].add_one(journal, 100, b"payload")
        journal.record((undo_that_raises_once,))
        raise ValueError("the call fails")

    raised: list[str] = []

    def undo_that_raises_once() -> None:
        if not raised:
            raised.append("raised")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.session.write(fail)
    counts: list[int] = []
    thread = threading.Thread(target=lambda: counts.append(timelines.count("key")))
    thread.start()
    thread.join(30)
    assert counts == [20]
    assert timelines.get_page("key", 1).floor is None


def _random_call(choice: random.Random) -> Call:
    key, ids = choice.choice(["a", "b"]), [choice.randrange(60) for _ in range(choice.randrange(1, 9))]
    text, activities = str(ids[0] % 30), [Activity(f"ann:{one % 3}", "like", "photo:7", id=one) for one in ids]
    calls: list[Call] = [
        lambda store: store.timeline_storage(JsonSerializer).add_many(key, activities),
        lambda store: store.timeline_storage().add_to_many(["a", "b", "c"], ids[:1], max_length=25),
        lambda store: store.timeline_storage(GroupSerializer).add_to_many(
            ["a", "b"], activities, max_length=25, max_per_payload=1 + ids[0] % 5, companions=["+"]
        ),
        lambda store: store.timeline_storage().add_to_each({"a": ids[:1], "c": ids}, companions=["+", "-"]),
        lambda store: store.timeline_storage().remove_from_many(["a", "b"], ids),
        lambda store: store.timeline_storage().trim(key, ids[0]),
        lambda store: store.timeline_storage().delete(key) if ids[0] % 10 == 0 else None,
        lambda store: store.activity_storage().add_many(activities),
        lambda store: store.activity_storage().remove_many(ids),
        lambda store: store.kv_storage().upsert(text, ids),
        lambda store: store.kv_storage().insert(text, ids),
        lambda store: store.kv_storage().delete(text),
        lambda store: store.queue("q", max_length=12, when_full="drop_oldest").push_many(ids),
        lambda store: store.queue("q", visibility_timeout=3600)._receive(3),
        lambda store: _batch(store, ids),
    ]
    return choice.choice(calls)


def _batch(store: MemoryBackend, ids: list[int]) -> None:
    timelines, items = store.timeline_storage(), store.kv_storage()
    with store.batch(atomic=True) as batch:
        timelines.add_many("a", ids, batch_interface=batch)
        items.upsert("batch", ids, batch_interface=batch)
        timelines.trim("a", 20, batch_interface=batch)
        timelines.add_many("b", ids, batch_interface=batch)


def _state(store: MemoryBackend) -> Any:
    """Return the content of the store, also inside its queue."""
    timelines, items, space = store.timeline_storage(), store.kv_storage(), store.session.space
    for entries in space.timelines.values():
        entries.ids._check()
        if entries.groups is not None:
            groups = Groups(entries.payloads)
            assert entries.groups._members.keys() == groups._members.keys()
            for payload in groups._members:
                members = groups.members(payload, entries.ids, entries.payloads)
                assert entries.groups.count(payload) == len(members)
                assert entries.groups.members(payload, entries.ids, entries.payloads) == members
    held = {
        key: (list(entries.ids), entries.payloads, entries.floor(), len(entries))
        for key, entries in space.timelines.items()
        if len(entries) or entries.floor() is not None
    }
    assert sorted(timelines.keys()) == sorted(key for key, (ids, *_) in held.items() if ids)
    queue = space.queues.get("q")
    messages = []
    if queue is not None:
        waiting = [number for number in queue.ready if number in queue.bodies]
        given = [number for _, number, delivery in queue.due if queue.deliveries.get(number) == delivery]
        assert sorted(waiting + given) == sorted(queue.bodies)
        messages = [(body, number in waiting) for number, body in queue.bodies.items()]
    return held, list(items.items()), dict(space.activities), messages


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("size", [0, 1, 8, 13])
def test_no_step_of_a_change_loses_a_key(size: int) -> None:
    """After every instruction of every change the lists of sortedcontainers hold the keys before or after it, so the
    undo steps of the journal find them all.
    """
    keys = range(0, 2 * size, 2)
    changes: list[tuple[Callable[[SortedKeys, int], object], int]] = [
        *((SortedKeys.add, key) for key in (-1, 9, 99)),
        *((SortedKeys.discard, key) for key in (0, 8, 2 * size - 2)),
        *((SortedKeys.drop_first, number) for number in (1, 2, 3) if number < size),
    ]
    interrupts = 0
    for change, argument in changes:
        for is_indexed in (False, True):
            step = 0
            changed = _keys(keys, is_indexed)
            change(changed, argument)
            changed._check()
            while interrupted_at(step, partial(change, found := _keys(keys, is_indexed), argument), _KEY_FILES):
                step += 1
                assert list(found) in _between(list(keys), list(changed))
                found.mend()
                for key in set(found).difference(keys):
                    found.discard(key)
                for key in set(keys).difference(found):
                    found.add(key)
                assert list(found) == list(keys)
                found._check()
            interrupts += step
    assert interrupts > 100


def _keys(keys: range, is_indexed: bool) -> SortedKeys:
    made = SortedKeys()
    for key in keys:
        made.add(key)
    if is_indexed and len(made._lists) > 1:
        made._build_index()
    return made


def _between(before: list[int], after: list[int]) -> list[list[int]]:
    """Return the contents that a change may leave: keys go one after the other, from the least."""
    gone = [key for key in before if key not in after]
    return [after, *([key for key in before if key not in gone[:number]] for number in range(len(gone) + 1))]


@pytest.mark.usefixtures("small_chunks")
def test_sorted_keys_are_those_of_a_set() -> None:
    """The lists keep the invariants of sortedcontainers, which checks them itself, after every addition and removal."""
    choice, keys, model = random.Random(2), SortedKeys(), set[int]()
    for _ in range(count(1_500, 15_000)):
        key = choice.randrange(100)
        assert keys.is_new(key) == (key not in model)
        match choice.randrange(9):
            case 0 | 1 | 2 | 3 if keys.is_new(key):
                keys.add(key)
                model.add(key)
            case 4 | 5 | 6:
                keys.discard(key)
                model.discard(key)
            case 7 if len(keys) > key % 9:
                assert keys.first(key % 9) == sorted(model)[: key % 9]
                keys.drop_first(key % 9)
                model.difference_update(sorted(model)[: key % 9])
            case 8:
                assert keys.bisect_left(key) == sum(other < key for other in model)
        keys._check()
        assert list(keys) == sorted(model)


def test_interrupts_end_calls() -> None:
    """The tests above would see nothing if the timer never came in the middle of a call."""
    store = connect("memory://")
    with interrupts(longest_seconds=1e-3) as interrupting:
        assert isinstance(interrupting, Interrupts)
        while interrupting.count < 5:
            interrupting.run(lambda: store.timeline_storage().add_many("key", range(5_000)))

"""The memory backend's own promises: isolation, large timelines, locks, private stores."""

from __future__ import annotations

import gc
import os
import sys
import threading
import weakref
from functools import partial
from typing import Any

import pytest

from feedstore import connect
from feedstore.backends.memory import (
    InMemoryActivityStorage,
    InMemoryKvStorage,
    InMemoryTimelineStorage,
    MemoryBackend,
)
from feedstore.backends.memory.session import MemorySession
from feedstore.errors import InvalidTypeError
from feedstore.serializers import JsonSerializer
from feedstore.testing.delivery_suite import GroupSerializer, by
from feedstore.testing.processes import run_in_child, run_in_threads
from feedstore.testing.samples import OLDEST_FIRST, ids_of, make_activity

LARGE = 100_000


@pytest.fixture(scope="module")
def large() -> Any:
    """A timeline storage whose "key" holds 100,000 entries, a hundred of its lists: the even numbers."""
    timelines = connect("memory://").timeline_storage()
    assert timelines.add_many("key", range(0, 2 * LARGE, 2)) == LARGE
    return timelines


class TestLargeTimelines:
    def test_positions_and_slices(self, large: Any) -> None:
        assert large.count("key") == LARGE
        assert ids_of(large.get_slice("key", 0, 3)) == [199_998, 199_996, 199_994]
        assert ids_of(large.get_slice("key", LARGE - 2, None)) == [2, 0]
        assert ids_of(large.get_slice("key", 50_000, 50_001)) == [99_998]
        assert ids_of(large.get_slice("key", 0, 2, {"activity_id__gt": 70_001}, OLDEST_FIRST)) == [70_002, 70_004]
        assert large.index_of("key", 0) == LARGE - 1
        assert large.index_of("key", 100_000) == 49_999
        assert large.contains("key", 77_776) is True
        assert large.contains("key", 77_777) is False

    def test_counts_and_pages_within_a_filter(self, large: Any) -> None:
        assert large.count("key", {"activity_id__gte": 50_001, "activity_id__lt": 100_000}) == 24_999
        assert large.contains_many("key", [7, 8, 199_998, 200_000]) == {8, 199_998}
        pages = large.get_many_pages(["key", "never"], 2)
        assert (ids_of(pages["key"].items), pages["never"].items) == ([199_998, 199_996], [])

    def test_single_changes_in_the_midst(self, large: Any) -> None:
        for number in range(1, 4_000, 2):
            assert large.add("key", number) == 1
        assert large.count("key") == LARGE + 2_000
        assert large.index_of("key", 0) == LARGE + 1_999
        assert large.remove_many("key", range(1, 4_000, 2)) == 2_000
        assert large.count("key") == LARGE

    def test_pages(self, large: Any) -> None:
        cursor, seen = None, []
        for _ in range(100):
            page = large.get_page("key", 50, cursor)
            cursor = page.next_cursor
            seen += ids_of(page.items)
        assert seen == list(range(199_998, 199_998 - 10_000, -2))

    def test_trimming(self, large: Any) -> None:
        copy = InMemoryTimelineStorage(backend=large.session.with_namespace("copy"))
        copy.add_many("key", range(0, 2 * LARGE, 2))
        assert copy.trim("key", 5) == LARGE - 5
        page = copy.get_page("key", 10)
        assert ids_of(page.items) == [199_998, 199_996, 199_994, 199_992, 199_990]
        assert page.floor == 199_989

    def test_a_reference_costs_no_table_of_payloads(self, large: Any) -> None:
        entries = large.session.space.timelines["key"]
        assert entries.payloads == {}


class _KeepsObjects(JsonSerializer):
    """Makes payloads that are no bytes, which memory keeps."""

    def dumps(self, activity: Any) -> Any:
        return [activity.actor]

    def loads(self, data: Any, activity_id: int) -> Any:
        return data


class TestLimitsByPayload:
    def test_only_bytes_are_compared(self) -> None:
        timelines = InMemoryTimelineStorage(_KeepsObjects)
        with pytest.raises(InvalidTypeError, match=r"payloads of bytes.*\['ann'\]"):
            timelines.add_to_many(["a"], [make_activity()], max_per_payload=2)
        assert list(timelines.keys()) == []
        timelines.add("a", make_activity())
        grouped = InMemoryTimelineStorage(GroupSerializer, backend=timelines.session)
        assert grouped.add_to_many(["a"], by("ann", 1, 2, 3), max_per_payload=2) == 3
        assert timelines.count("a") == 3

    def test_timelines_without_a_limit_keep_no_groups(self) -> None:
        backend = MemoryBackend()
        grouped = backend.timeline_storage(GroupSerializer)
        grouped.add_to_many(["a", "b"], by("ann", 1, 2, 3), max_length=2)
        grouped.add_to_many(["a"], by("ann", 4), max_per_payload=1)
        assert [backend.session.space.timelines[key].groups is None for key in "ab"] == [False, True]


class TestPrivateStores:
    def test_a_storage_alone_makes_a_store_of_its_own(self) -> None:
        for kind in (InMemoryActivityStorage, InMemoryTimelineStorage):
            one, other = kind(), kind()
            assert one.session is not other.session
            assert isinstance(one.session, MemorySession)
        activities = InMemoryActivityStorage(JsonSerializer)
        activities.add(make_activity())
        assert activities.get(make_activity()) == make_activity()
        assert InMemoryActivityStorage(JsonSerializer).get(make_activity()) is None

    def test_items_are_copied(self) -> None:
        items = {"b": [1], "a": 2}
        storage = InMemoryKvStorage(items)
        storage.upsert("c", 3)
        items["b"].append(2)  # type: ignore[attr-defined]
        assert items == {"b": [1, 2], "a": 2}
        assert list(storage.items()) == [("a", 2), ("b", [1]), ("c", 3)]
        assert list(InMemoryKvStorage().fetch_all()) == []

    def test_items_are_checked(self) -> None:
        with pytest.raises(InvalidTypeError, match="'b'"):
            InMemoryKvStorage({"a": 1, "b": {1, 2}})
        with pytest.raises(ValueError, match="empty"):
            InMemoryKvStorage({"": 1})

    def test_a_storage_on_a_backend_shares_it(self) -> None:
        with MemoryBackend() as backend:
            InMemoryTimelineStorage(backend=backend).add("key", 1)
            InMemoryKvStorage({"key": 1}, backend=backend, name="n")
            assert backend.timeline_storage().count("key") == 1
            assert backend.kv_storage("n").fetch_one("key") == 1

    @pytest.mark.parametrize("kind", [InMemoryActivityStorage, InMemoryTimelineStorage, InMemoryKvStorage])
    def test_options_are_honoured_or_refused(self, kind: Any) -> None:
        with pytest.raises(TypeError, match="colour"):
            kind(colour="red")
        with pytest.raises(TypeError):
            kind(backend="memory://")

    def test_a_falsy_option_is_not_ignored(self) -> None:
        class EmptyMetrics:
            def __len__(self) -> int:
                return 0

        metrics: Any = EmptyMetrics()
        with MemoryBackend() as backend:
            assert backend.timeline_storage(metrics=metrics).metrics is metrics
        refused: Any
        for refused in (0, "", [], False):
            with pytest.raises(TypeError, match="backend"):
                InMemoryTimelineStorage(backend=refused)


class TestLocks:
    def test_a_reader_never_sees_half_of_a_fan_out(self) -> None:
        with MemoryBackend() as backend:
            timelines = backend.timeline_storage()
            keys = [f"key{number}" for number in range(20)]
            written = threading.Event()

            def write() -> None:
                try:
                    for number in range(500):
                        timelines.add_to_many(keys, [number], max_length=50)
                finally:
                    written.set()

            def read() -> set[int]:
                seen = set()
                while not written.is_set():
                    slices = timelines.get_many_slices(keys, 0, 1)
                    seen.add(len({tuple(ids_of(found)) for found in slices.values()}))
                return seen

            results = run_in_threads([write, read, read])
            assert results[1] | results[2] <= {1}

    def test_a_child_s_copy_is_whole_and_free(self) -> None:
        with MemoryBackend() as backend:
            timelines = backend.timeline_storage()
            forked = threading.Event()

            def write(thread: int) -> None:
                number = 0
                while not forked.is_set():
                    timelines.add_to_many(["a", "b"], [thread * 1_000 + number % 1_000], max_length=300)
                    number += 1

            def child() -> bool:
                slices = timelines.get_many_slices(["a", "b"], 0, None)
                timelines.add("child", 1)
                return slices["a"] == slices["b"] and len(slices["a"]) <= 300

            def fork() -> list[bool]:
                try:
                    return [run_in_child(child) for _ in range(10)]
                finally:
                    forked.set()

            assert run_in_threads([fork, partial(write, 0), partial(write, 1)])[0] == [True] * 10

    def test_a_fork_beside_stores_that_come_and_go(self) -> None:
        forked = threading.Event()

        def come_and_go() -> None:
            while not forked.is_set():
                MemoryBackend().timeline_storage().add("key", 1)

        def fork() -> list[int]:
            try:
                return [run_in_child(os.getppid) for _ in range(5)]
            finally:
                forked.set()

        assert run_in_threads([fork, come_and_go])[0] == [os.getpid()] * 5

    def test_a_closed_store_is_let_go(self) -> None:
        backend = MemoryBackend()
        backend.timeline_storage().add("key", 1)
        space = backend.session.space
        backend.close()
        held = weakref.ref(backend.session._store)
        del backend
        gc.collect()
        assert held() is None
        assert sys.getrefcount(space) == 2


def test_a_subclass_stays_itself_in_its_namespaces() -> None:
    class SpecialBackend(MemoryBackend):
        pass

    with SpecialBackend() as backend:
        assert type(backend.with_namespace("other")) is SpecialBackend


def test_a_queue_holds_no_more_than_its_messages() -> None:
    """Also if they are dropped before a consumer receives them, or acknowledged long before their redelivery."""
    with connect("memory://") as backend:
        dropping = backend.queue("dropping", max_length=10, when_full="drop_oldest")
        taken = backend.queue("taken", visibility_timeout=3600)
        taken.push("held")
        taken.receive()
        for number in range(1_000):
            dropping.push(number)
            taken.push(number)
            assert taken.pop() == number
        for queue, count in ((dropping, 10), (taken, 1)):
            messages = backend.session.space.queues[queue.name]  # type: ignore[attr-defined]
            assert queue.count() == len(messages.bodies) == count
            assert len(messages.ready) + len(messages.due) < 200
        assert [dropping.pop() for _ in range(10)] == list(range(990, 1_000))

"""The contract under threads, forks and processes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from feedstore.storage import AtomicScope, Backend, KvStorage, TimelineStorage
from feedstore.testing.processes import Child, run_in_child, run_in_threads
from feedstore.testing.samples import ids_of, make_activities, make_activity
from feedstore.testing.suite import OpenBackend, Suite, counted

THREADS = 8
EACH = 12
FORKS = 3


class ThreadSuite(Suite):
    """Eight threads on one backend: nothing is lost."""

    def test_adding_to_one_timeline(self, backend: Backend, timelines: TimelineStorage) -> None:
        """Decision 7: adds commute; each counts its own, and all are there in order."""

        def add(thread: int) -> list[int | None]:
            ids = range(thread * EACH, (thread + 1) * EACH)
            return [timelines.add_many("key", [activity_id, 10_000]) for activity_id in ids]

        counts = run_in_threads([partial(add, thread) for thread in range(THREADS)])
        everything = [*range(THREADS * EACH), 10_000]
        assert ids_of(timelines.get_slice("key", 0, None)) == everything[::-1]
        assert timelines.count("key") == len(everything)
        if backend.abilities.exact_counts:
            assert sum(map(sum, counts)) == len(everything)

    def test_adding_to_many_timelines(self, timelines: TimelineStorage) -> None:
        """Decision 7: fan-outs over the same keys, in different orders, end and lose nothing."""
        keys = [f"key{number}" for number in range(12)]

        def add(thread: int) -> None:
            mine = keys[thread:] + keys[:thread] if thread % 2 else keys[::-1]
            for number in range(EACH):
                timelines.add_to_many(mine, [thread * EACH + number])

        run_in_threads([partial(add, thread) for thread in range(THREADS)])
        for found in timelines.get_many_slices(keys, 0, None).values():
            assert ids_of(found) == list(range(THREADS * EACH))[::-1]

    def test_trimmed_fan_outs(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T17: with eight concurrent writers, a timeline keeps exactly the newest entries, and has the right floor."""
        keys = [f"key{number}" for number in range(5)]

        def add(thread: int) -> None:
            for number in range(EACH):
                timelines.add_to_many(keys, [number * THREADS + thread], max_length=10)

        run_in_threads([partial(add, thread) for thread in range(THREADS)])
        newest = list(range(THREADS * EACH))[: -10 - 1 : -1]
        for key in keys:
            found = ids_of(timelines.get_slice(key, 0, None))
            assert found[:10] == newest
            assert len(found) <= 10 + backend.abilities.fan_out_excess
            floor = timelines.get_page(key, 1).floor
            if backend.abilities.exact_fan_out_length:
                assert floor == newest[-1]

    def test_adding_removing_and_trimming(self, timelines: TimelineStorage) -> None:
        """Decision 7: writes take effect in some serial order, and no reader gets an entry that was never there."""

        def churn(thread: int) -> None:
            for number in range(EACH):
                activity_id = thread * EACH + number
                timelines.add_many("key", [activity_id, activity_id + 1_000])
                timelines.remove("key", activity_id)
                if number % 10 == 0:
                    timelines.trim("key", 60)

        run_in_threads([partial(churn, thread) for thread in range(THREADS)])
        timelines.trim("key", 50)
        found = ids_of(timelines.get_slice("key", 0, None))
        assert found == list(range(THREADS * EACH + 999, THREADS * EACH + 949, -1))
        assert timelines.count("key") == 50

    def test_activities_items_and_namespaces(self, backend: Backend) -> None:
        """Threads: they may use any storage, in any namespace, concurrently."""

        def work(thread: int) -> None:
            space = backend.with_namespace(f"{backend.namespace[-32:]}-{thread % 4}")
            mine = make_activities(EACH, first=thread * EACH)
            for activity in mine:
                space.activity_storage().add(activity)
                space.timeline_storage().add("key", activity)
                space.kv_storage().upsert(f"{thread}:{activity.object}", thread)
            assert space.activity_storage().get_many(mine) == mine

        run_in_threads([partial(work, thread) for thread in range(THREADS)])
        for number in range(4):
            space = backend.with_namespace(f"{backend.namespace[-32:]}-{number}")
            assert len(list(space.activity_storage().iterate())) == 2 * EACH
            assert space.timeline_storage().count("key") == 2 * EACH
            assert len(list(space.kv_storage().items())) == 2 * EACH

    def test_the_first_use_by_many_threads(self, open_backend: OpenBackend) -> None:
        """Decision 13: a backend connects at its first use, also if eight threads make it concurrently."""
        backend = open_backend()

        def use(thread: int) -> int | None:
            return backend.timeline_storage().add("key", thread)

        counts = run_in_threads([partial(use, thread) for thread in range(THREADS)])
        assert counts == [counted(backend, 1)] * THREADS
        assert backend.timeline_storage().count("key") == THREADS

    def test_an_atomic_batch_is_never_seen_half_done(
        self, backend: Backend, timelines: TimelineStorage, kv: KvStorage
    ) -> None:
        """Decision 5: with the scope of the whole backend, a reader sees all of a batch or none of it."""
        if backend.abilities.atomic_scope is not AtomicScope.BACKEND:
            pytest.skip("the backend's atomic scope is smaller than the backend")

        finished: list[int] = []

        def write_pair(number: int) -> None:
            with backend.batch(atomic=True) as batch:
                timelines.add("key", 2 * number, batch_interface=batch)
                kv.upsert("last", number, batch_interface=batch)
                timelines.add("key", 2 * number + 1, batch_interface=batch)

        def write(thread: int) -> None:
            try:
                for number in range(EACH):
                    write_pair(thread * EACH + number)
            finally:
                finished.append(thread)

        def read() -> set[int]:
            odd = set()
            while len(finished) < 4:
                odd.add(len(timelines.get_slice("key", 0, None)) % 2)
            return odd

        writers = [partial(write, thread) for thread in range(4)]
        results = run_in_threads([*writers, read, read])
        assert results[4] | results[5] <= {0}
        assert timelines.count("key") == 8 * EACH


class ForkSuite(Suite):
    """A fork in the middle: parent and child go on with the backend that they share."""

    def test_the_child_uses_what_it_inherited(
        self, open_backend: OpenBackend, backend: Backend, timelines: TimelineStorage
    ) -> None:
        """Decision 13: the child reads stored data and writes, and parent and child do not disturb each other."""
        timelines.add_many("key", [1, 2, 3])
        backend.kv_storage().upsert("key", "parent")

        def child() -> tuple[Any, ...]:
            before = ids_of(timelines.get_slice("key", 0, None))
            timelines.add("key", 4)
            backend.activity_storage().add(make_activity())
            return before, ids_of(timelines.get_slice("key", 0, None)), backend.kv_storage().fetch_one("key")

        assert run_in_child(child) == ([3, 2, 1], [4, 3, 2, 1], "parent")
        timelines.add("key", 5)
        shared = backend.abilities.shared_between_processes
        for each in (backend, open_backend(backend.namespace)):
            expected = [5, 4, 3, 2, 1] if shared else [5, 3, 2, 1]
            assert ids_of(each.timeline_storage().get_slice("key", 0, None)) == expected
            assert list(each.activity_storage().iterate()) == ([make_activity()] if shared else [])

    def test_a_fork_before_the_first_use(self, open_backend: OpenBackend) -> None:
        """Decision 13: as under a server that loads the application first and forks then."""
        backend = open_backend()

        def child() -> int:
            backend.timeline_storage().add("key", 1)
            return backend.timeline_storage().count("key")

        assert run_in_child(child) == 1
        assert run_in_child(child) == 1
        backend.timeline_storage().add("key", 2)
        assert backend.timeline_storage().count("key") == (2 if backend.abilities.shared_between_processes else 1)

    def test_a_fork_while_threads_write(self, backend: Backend, timelines: TimelineStorage) -> None:
        """Decision 13: the child inherits no locked lock and no half of a write."""
        forked = threading.Event()

        def write(thread: int) -> int:
            written = 0
            while not forked.is_set():
                timelines.add_to_many(["key", "other"], [thread * 1_000 + written % 500])
                written += 1
            return written

        def child() -> tuple[int, bool]:
            timelines.add("child", 1)
            found = timelines.get_slice("key", 0, None)
            return timelines.count("child"), ids_of(found) == sorted(set(ids_of(found)), reverse=True)

        def fork() -> list[tuple[int, bool]]:
            try:
                return [run_in_child(child) for _ in range(FORKS)]
            finally:
                forked.set()

        results = run_in_threads([fork, *(partial(write, thread) for thread in range(3))])
        assert results[0] == [(1, True)] * FORKS
        assert timelines.count("key") == timelines.count("other") == sum(min(written, 500) for written in results[1:])

    def test_a_fork_amid_a_scan_and_a_batch(self, backend: Backend, kv: KvStorage) -> None:
        """Decision 13: calls that run in the parent during the fork complete in the parent."""
        with backend.batch() as batch:
            for number in range(600):
                kv.upsert(f"{number:04}", number, batch_interface=batch)
        scan = kv.fetch_all()
        assert next(scan) == 0
        with backend.batch() as batch:
            kv.upsert("0600", 600, batch_interface=batch)
            assert run_in_child(lambda: kv.fetch_one("0005")) == 5
        assert list(scan)[:599] == list(range(1, 600))
        assert kv.fetch_one("0600") == 600

    def test_closing_in_the_child(self, backend: Backend, timelines: TimelineStorage) -> None:
        """Decision 13: a child that closes closes its own connections; the parent goes on."""
        timelines.add("key", 1)

        def child() -> int:
            backend.close()
            return int(backend.closed)

        assert run_in_child(child) == 1
        assert backend.closed is False
        timelines.add("key", 2)
        assert ids_of(timelines.get_slice("key", 0, None)) == [2, 1]

    def test_a_grandchild(self, backend: Backend, timelines: TimelineStorage) -> None:
        """Decision 13: a fork of a fork is a fork."""
        timelines.add("key", 1)

        def child() -> tuple[int, int]:
            timelines.add("key", 2)
            inner: int = run_in_child(lambda: timelines.count("key"))
            return inner, timelines.count("key")

        assert run_in_child(child) == (2, 2)


class ProcessSuite(Suite):
    """Several processes, each with a backend of its own on the shared store."""

    def _run(self, backend: Backend, works: list[Callable[[], Any]]) -> list[Any]:
        if not backend.abilities.shared_between_processes:
            pytest.skip("the store belongs to one process")
        children = [Child(work) for work in works]
        return [child.result() for child in children]

    def test_adding_at_once(self, open_backend: OpenBackend, backend: Backend) -> None:
        """Decision 7: nothing is lost, and exact counts add up."""

        def add(process: int) -> list[int | None]:
            timelines = open_backend(backend.namespace).timeline_storage()
            ids = range(process * EACH, (process + 1) * EACH)
            return [timelines.add_many("key", [activity_id, 10_000]) for activity_id in ids]

        counts = self._run(backend, [partial(add, process) for process in range(3)])
        assert backend.timeline_storage().count("key") == 3 * EACH + 1
        if backend.abilities.exact_counts:
            assert sum(map(sum, counts)) == 3 * EACH + 1

    def test_trimmed_fan_outs_at_once(self, open_backend: OpenBackend, backend: Backend) -> None:
        """T17: under several processes, in different orders of the keys, each timeline keeps its newest."""
        keys = [f"key{number}" for number in range(7)]

        def add(process: int) -> None:
            timelines = open_backend(backend.namespace).timeline_storage()
            for number in range(EACH):
                mine = keys[::-1] if (number + process) % 2 else keys
                timelines.add_to_many(mine, [number * 3 + process], max_length=10)

        self._run(backend, [partial(add, process) for process in range(3)])
        timelines = backend.timeline_storage()
        newest = list(range(3 * EACH))[: -10 - 1 : -1]
        for key in keys:
            page = timelines.get_page(key, 3 * EACH)
            assert ids_of(page.items)[:10] == newest
            assert len(page.items) <= 10 + 3 * backend.abilities.fan_out_excess
            if backend.abilities.exact_fan_out_length:
                assert page.floor == newest[-1]

    def test_one_deletes_what_others_write(self, open_backend: OpenBackend, backend: Backend) -> None:
        """Decision 7: concurrent deletes, flushes and writes do not raise, and later writes stay."""

        def write(process: int) -> None:
            space = open_backend(backend.namespace)
            for number in range(EACH):
                space.timeline_storage().add_to_many(["key", "other"], [number], max_length=5)
                space.kv_storage().upsert(f"key{number}", process)

        def delete() -> None:
            space = open_backend(backend.namespace)
            for _ in range(EACH):
                space.timeline_storage().delete("key")
                space.timeline_storage().flush()
                space.kv_storage().flush()

        self._run(backend, [partial(write, 0), partial(write, 1), delete])
        timelines = backend.timeline_storage()
        timelines.flush()
        timelines.add_many("key", range(3))
        assert ids_of(timelines.get_slice("key", 0, None)) == [2, 1, 0]
        assert timelines.get_page("key", 5).complete is True

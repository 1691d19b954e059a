"""The contract of notifiers."""

from __future__ import annotations

import logging.handlers
import queue
import time
from collections.abc import Callable, Collection
from contextlib import nullcontext, suppress
from functools import partial
from typing import Any

import pytest

from feedstore.errors import BackendClosedError, StorageUnavailableError
from feedstore.storage import Backend, Notifier, TimelineStorage
from feedstore.storage.topic_source import EVERYTHING, LocalSource
from feedstore.storage.watched import Watched
from feedstore.testing.processes import Child, run_in_threads
from feedstore.testing.samples import HARD_KEYS, REFUSED_KEYS
from feedstore.testing.suite import OpenBackend, Suite
from feedstore.testing.waiting import patience


class Told:
    """A callback that keeps what it was told."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[frozenset[str]] = queue.SimpleQueue()

    def __call__(self, keys: frozenset[str]) -> None:
        """Keep the keys."""
        self._calls.put(keys)

    def wait_for(self, *keys: str) -> set[str]:
        """Return all that was told, once each of the keys was."""
        found: set[str] = set()
        deadline = time.monotonic() + patience.seconds
        with suppress(queue.Empty):
            while not found.issuperset(keys):
                found |= self._calls.get(timeout=max(0.01, deadline - time.monotonic()))
        assert found.issuperset(keys), f"told of {found} alone within {patience.seconds:g} seconds"
        return found


class Interrupted(LocalSource):
    """A source that loses its connection at first, finds it again, and has nothing to tell then."""

    def __init__(self) -> None:
        super().__init__()
        self._waits = 0

    def wait(self, watched: Watched[Any], seconds: float) -> Collection[bytes] | None:
        """Fail, then return everything, then sleep."""
        self._waits += 1
        if self._waits == 1:
            raise StorageUnavailableError("the connection was lost, on purpose")
        return EVERYTHING if self._waits == 2 else super().wait(watched, seconds)


class NotifySuite(Suite):
    """Watching timelines, and announcing them."""

    def settle(self, backend: Backend, watch: Any, told: Told) -> None:
        """Wait until the watch hears: a write to a key of its own has come through."""
        watch.add(["settled"])
        backend.timeline_storage(notifier=backend.notifier()).add("settled", time.time_ns())
        told.wait_for("settled")

    def test_a_write_is_told(self, open_backend: OpenBackend, backend: Backend, notifier: Notifier) -> None:
        """N1, N2: of another backend on the same store, with the notifier as an option, once it is stored."""
        other = open_backend(backend.namespace)
        writes = other.timeline_storage(notifier=other.notifier())
        told = Told()
        with notifier.watch(told) as watch:
            watch.add(["a", "b"])
            assert writes.add("a", 1) in (1, None)
            told.wait_for("a")
            assert backend.timeline_storage().contains("a", 1)
            writes.add_to_many(["b", "not watched"], [2, 3], max_length=5)
            assert told.wait_for("b") <= {"a", "b"}
            writes.add_many("a", [4, 5])
            assert told.wait_for("a") <= {"a", "b"}

    def test_a_removal_is_told(self, backend: Backend, notifier: Notifier) -> None:
        """N1: with the notifier as an option, whichever way entries go, and also in a batch."""
        writes = backend.timeline_storage(notifier=notifier)
        told = Told()
        with notifier.watch(told, recheck_seconds=None) as watch:
            watch.add(["a", "b"])
            removals: list[Callable[..., object]] = [
                partial(writes.remove, "a", 7),
                partial(writes.remove_many, "a", [7, 8]),
                partial(writes.remove_from_many, ["a", "b"], [7]),
                partial(writes.trim, "a", 1),
                partial(writes.delete, "a"),
            ]
            for remove in removals:
                for batch in (None, backend.batch()):
                    writes.add_to_many(["a", "b"], [7, 8, 9])
                    self.settle(backend, watch, told)
                    with nullcontext() if batch is None else batch:
                        remove(batch_interface=batch)
                    assert "a" in told.wait_for("a")

    def test_an_announcement_is_told(self, backend: Backend, notifier: Notifier) -> None:
        """N1: to every watch of the key, and of none at all it is no error."""
        one, two, deaf = Told(), Told(), Told()
        watches = [notifier.watch(callback) for callback in (one, two, deaf)]
        watches[0].add(["a"])
        watches[1].add(["a", "b"])
        for watch, told in zip(watches, (one, two, deaf), strict=True):
            self.settle(backend, watch, told)
        notifier.announce([])
        backend.timeline_storage().add("a", 1)
        notifier.announce(["a", "a", "c"])
        assert one.wait_for("a") <= {"a", "settled"}
        assert two.wait_for("a") <= {"a", "b", "settled"}
        backend.timeline_storage().add("b", 1)
        notifier.announce(["b"])
        two.wait_for("b")
        for watch in watches:
            watch.close()

    def test_a_large_fan_out_is_told(self, backend: Backend, notifier: Notifier) -> None:
        """N1: to each of a thousand and more, however long the keys."""
        keys = [f"{number:04}{'x' * 500}" for number in range(1_500)]
        told = Told()
        with notifier.watch(told) as watch:
            watch.add(keys)
            self.settle(backend, watch, told)
            backend.timeline_storage(notifier=notifier).add_to_many(keys, [1])
            told.wait_for(*keys)

    def test_a_batch_is_told_when_it_has_ended(self, backend: Backend, notifier: Notifier) -> None:
        """N1: not before, and what a failed batch holds not at all."""
        writes = backend.timeline_storage(notifier=notifier)
        told = Told()
        with notifier.watch(told) as watch:
            watch.add(["a", "b", "failed"])
            self.settle(backend, watch, told)
            with pytest.raises(TypeError), backend.batch() as batch:
                writes.add("failed", writes.add("failed", 1, batch_interface=batch), batch_interface=batch)
            with backend.batch() as batch:
                writes.add("a", 1, batch_interface=batch)
                writes.add_to_many(["b"], [1], batch_interface=batch)
            # Where it is polled, all may be told of together at first.
            assert told.wait_for("a", "b") >= {"a", "b"}
            assert writes.count("failed") == 0

    def test_keys_are_told_as_they_are(self, backend: Backend, notifier: Notifier) -> None:
        """K2 for notifiers: hostile keys mean nothing but themselves."""
        told = Told()
        with notifier.watch(told) as watch:
            watch.add(HARD_KEYS)
            assert watch.keys() == set(HARD_KEYS)
            backend.timeline_storage(notifier=notifier).add_to_many(HARD_KEYS, [1])
            assert told.wait_for(*HARD_KEYS) == set(HARD_KEYS)

    @pytest.mark.parametrize(("refused", "error"), REFUSED_KEYS, ids=repr)
    def test_what_is_no_key_is_never_watched(self, notifier: Notifier, refused: Any, error: type[Exception]) -> None:
        """K2 for notifiers: with nothing announced, watched or discarded."""
        watch = notifier.watch(Told())
        for call in (notifier.announce, watch.add, watch.discard):
            with pytest.raises(error, match="key"):
                call(["good", refused])
            with pytest.raises(TypeError, match="pass a list"):
                call("text")
        assert watch.keys() == set()

    def test_bad_options_of_watches(self, open_backend: OpenBackend, backend: Backend, notifier: Notifier) -> None:
        """T5 for notifiers: a callback, a number of seconds, and a notifier of the storage's own namespace."""
        wrong: Any
        for wrong in (None, "text"):
            with pytest.raises(TypeError, match="callback"):
                notifier.watch(wrong)
        with pytest.raises(ValueError, match="recheck_seconds"):
            notifier.watch(Told(), recheck_seconds=0)
        wrong = "notifier"
        with pytest.raises(TypeError, match="notifier"):
            backend.timeline_storage(notifier=wrong)
        with pytest.raises(ValueError, match="another"):
            backend.timeline_storage(notifier=open_backend().notifier())

    def test_discarded_keys_are_not_told(self, backend: Backend, notifier: Notifier) -> None:
        """N1: nor is anything behind the end of the watch; others go on."""
        told, other = Told(), Told()
        watch, second = notifier.watch(told), notifier.watch(other)
        watch.add(["gone", "kept"])
        second.add(["gone"])
        self.settle(backend, watch, told)
        watch.discard(["gone", "never there"])
        assert watch.keys() == {"kept", "settled"}
        writes = backend.timeline_storage(notifier=notifier)
        writes.add("gone", 1)
        other.wait_for("gone")
        writes.add("kept", 1)
        assert "gone" not in told.wait_for("kept")
        watch.close()
        watch.close()
        assert watch.closed is True
        with pytest.raises(ValueError, match="closed"):
            watch.add(["kept"])
        writes.add("gone", 2)
        other.wait_for("gone")
        second.close()

    def test_a_callback_that_fails_does_no_harm(self, backend: Backend, notifier: Notifier) -> None:
        """N5: it is logged, and told again; so are the others."""
        told = Told()
        log = logging.handlers.BufferingHandler(1000)
        logging.getLogger("feedstore.notify").addHandler(log)

        def fail(keys: frozenset[str]) -> None:
            told(keys)
            raise RuntimeError("on purpose")

        other = Told()
        with notifier.watch(fail) as watch, notifier.watch(other) as second:
            watch.add(["a"])
            second.add(["a"])
            writes = backend.timeline_storage(notifier=notifier)
            for number in range(3):
                writes.add("a", number)
                told.wait_for("a")
                other.wait_for("a")
        logging.getLogger("feedstore.notify").removeHandler(log)
        assert "on purpose" in str([record.exc_info for record in log.buffer])

    def test_a_callback_may_use_its_watch(self, backend: Backend, notifier: Notifier) -> None:
        """N5: adding, discarding and closing from within; and so may it read the store."""
        told = Told()
        writes = backend.timeline_storage(notifier=notifier)

        def move_on(keys: frozenset[str]) -> None:
            told(frozenset(key for key in keys if writes.count(key)))
            watch.discard(keys)
            watch.add(["b"])
            if "b" in keys and writes.count("b"):
                watch.close()

        watch = notifier.watch(move_on)
        writes.add("a", 1)
        watch.add(["a"])
        notifier.announce(["a"])
        told.wait_for("a")
        writes.add("b", 1)
        told.wait_for("b")

    def test_a_recheck_tells_everything(self, backend: Backend, notifier: Notifier) -> None:
        """N4: again and again, though nothing was announced."""
        told = Told()
        with notifier.watch(told, recheck_seconds=0.05) as watch:
            watch.add(["a", "b"])
            for _ in range(3):
                told.wait_for("a", "b")

    def test_after_a_gap_everything_is_told(self, backend: Backend, notifier: Notifier) -> None:
        """N3: once the source works again after an error, and says that it may have missed something."""
        setattr(backend, "make_source", Interrupted)  # noqa: B010 - a source that fails when it is told to
        told = Told()
        with notifier.watch(told, recheck_seconds=None) as watch:
            watch.add(["a", "b"])
            assert told.wait_for("a", "b") == {"a", "b"}

    def test_namespaces_never_hear_of_each_other(
        self, open_backend: OpenBackend, backend: Backend, notifier: Notifier
    ) -> None:
        """N6: the same key is another timeline there."""
        other = open_backend()
        sibling = backend.with_namespace(other.namespace)
        mine, theirs = Told(), Told()
        with notifier.watch(mine) as watch, sibling.notifier().watch(theirs) as sibling_watch:
            watch.add(["key"])
            sibling_watch.add(["key"])
            self.settle(backend, watch, mine)
            self.settle(other, sibling_watch, theirs)
            for number in range(3):
                other.timeline_storage(notifier=other.notifier()).add("key", number)
                theirs.wait_for("key")
            backend.timeline_storage(notifier=notifier).add("other", 1)
            watch.add(["last"])
            backend.timeline_storage(notifier=notifier).add("last", 1)
            assert "key" not in mine.wait_for("last")

    def test_closing_the_backend_ends_watches(self, backend: Backend, notifier: Notifier) -> None:
        """Close: each hears of it once, and whatever comes then is the one clear error."""
        told, ends = Told(), list[str]()
        watch = notifier.watch(told, on_close=lambda: ends.append("closed"))
        watch.add(["a"])
        early = notifier.watch(told, on_close=lambda: ends.append("never"))
        early.close()
        backend.close()
        backend.close()
        assert ends == ["closed"]
        assert watch.closed is True
        calls: list[Callable[[], Any]] = [
            partial(notifier.announce, ["a"]),
            partial(notifier.watch, told),
            backend.notifier,
        ]
        for call in calls:
            with pytest.raises(BackendClosedError):
                call()

    def test_closing_within_a_callback(self, backend: Backend, notifier: Notifier) -> None:
        """Close: the watcher's thread does not wait for itself."""
        told = Told()

        def close(keys: frozenset[str]) -> None:
            backend.close()
            told(keys)

        notifier.watch(close, recheck_seconds=0.05).add(["a"])
        told.wait_for("a")
        assert backend.closed is True

    def test_threads_watch_at_once(self, backend: Backend, notifier: Notifier) -> None:
        """Threads: they add, write and discard at once, and each hears of its own."""
        writes = backend.timeline_storage(notifier=notifier)

        def work(thread: int) -> None:
            told = Told()
            with notifier.watch(told) as watch:
                for number in range(5):
                    key = f"{thread}:{number}"
                    watch.add([key])
                    writes.add(key, number)
                    told.wait_for(key)
                    watch.discard([key])

        run_in_threads([partial(work, thread) for thread in range(4)])

    def test_another_process_is_heard(self, open_backend: OpenBackend, backend: Backend, notifier: Notifier) -> None:
        """N1: between processes, however the store tells."""
        if not backend.abilities.shared_between_processes:
            pytest.skip("the store belongs to one process")

        def write() -> None:
            other = open_backend(backend.namespace)
            other.timeline_storage(notifier=other.notifier()).add_to_many(["a", "b"], [1])

        told = Told()
        with notifier.watch(told) as watch:
            watch.add(["a"])
            self.settle(backend, watch, told)
            Child(write).result()
            assert told.wait_for("a") <= {"a", "settled"}

    def test_a_fork_amid_watching(self, backend: Backend, notifier: Notifier, timelines: TimelineStorage) -> None:
        """Decision 13: the parent goes on, and the child watches by itself."""
        told = Told()
        watch = notifier.watch(told)
        watch.add(["parent"])
        self.settle(backend, watch, told)

        def child() -> list[str]:
            mine = Told()
            assert watch.keys() == set()
            with notifier.watch(mine) as own:
                own.add(["child"])
                backend.timeline_storage(notifier=notifier).add("child", 1)
                found = mine.wait_for("child")
            backend.close()
            return sorted(found)

        assert Child(child).result() == ["child"]
        backend.timeline_storage(notifier=notifier).add("parent", 1)
        told.wait_for("parent")
        watch.close()


__all__ = ["NotifySuite", "Told"]

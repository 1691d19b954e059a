"""The contract of notifiers."""

from __future__ import annotations

import logging.handlers
import queue
import time
from collections.abc import Callable, Collection
from contextlib import nullcontext, suppress
from functools import partial
from typing import Any, cast

import pytest

from feedstore.errors import BackendClosedError, StorageUnavailableError
from feedstore.storage import Backend, Notifier, TimelineStorage
from feedstore.storage.notify.registry import TopicRegistry
from feedstore.storage.notify.source import ALL_TOPICS, LocalSource
from feedstore.testing.processes import Child, run_in_threads
from feedstore.testing.samples import HARD_KEYS, REFUSED_KEYS
from feedstore.testing.suite import OpenBackend, Suite
from feedstore.testing.waiting import patience


class Received:
    """A callback that keeps the keys that it received."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[frozenset[str]] = queue.SimpleQueue()

    def __call__(self, keys: frozenset[str]) -> None:
        """Keep the keys."""
        self._calls.put(keys)

    def wait_for(self, *keys: str) -> set[str]:
        """Return all keys that were received, once each of ``keys`` was."""
        found: set[str] = set()
        deadline = time.monotonic() + patience.seconds
        with suppress(queue.Empty):
            while not found.issuperset(keys):
                found |= self._calls.get(timeout=max(0.01, deadline - time.monotonic()))
        assert found.issuperset(keys), f"received only {found} within {patience.seconds:g} seconds"
        return found


class Interrupted(LocalSource):
    """A source that fails first, returns all topics next, and then sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self._waits = 0

    def wait(self, registry: TopicRegistry[Any], seconds: float) -> Collection[bytes] | None:
        """Fail, then return everything, then sleep."""
        self._waits += 1
        if self._waits == 1:
            raise StorageUnavailableError("the connection was lost, on purpose")
        return ALL_TOPICS if self._waits == 2 else super().wait(registry, seconds)


class NotifySuite(Suite):
    """Publishing the changes of timelines, and subscribing to them."""

    def settle(self, backend: Backend, subscription: Any, received: Received) -> None:
        """Wait until the subscription receives changes: a write to a key of its own has arrived."""
        subscription.add(["settled"])
        backend.timeline_storage(notifier=backend.notifier()).add("settled", time.time_ns())
        received.wait_for("settled")

    def test_a_write_is_delivered(self, open_backend: OpenBackend, backend: Backend, notifier: Notifier) -> None:
        """N1, N2: of another backend on the same store, with the notifier as an option, once it is stored."""
        other = open_backend(backend.namespace)
        writes = other.timeline_storage(notifier=other.notifier())
        received = Received()
        with notifier.subscribe(received) as subscription:
            subscription.add(["a", "b"])
            assert writes.add("a", 1) in (1, None)
            received.wait_for("a")
            assert backend.timeline_storage().contains("a", 1)
            writes.add_to_many(["b", "no subscription"], [2, 3], max_length=5)
            assert received.wait_for("b") <= {"a", "b"}
            writes.add_many("a", [4, 5])
            assert received.wait_for("a") <= {"a", "b"}

    def test_a_removal_is_delivered(self, backend: Backend, notifier: Notifier) -> None:
        """N1: with the notifier as an option, whichever way entries go, and also in a batch."""
        writes = backend.timeline_storage(notifier=notifier)
        received = Received()
        with notifier.subscribe(received, recheck_seconds=None) as subscription:
            subscription.add(["a", "b"])
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
                    self.settle(backend, subscription, received)
                    with nullcontext() if batch is None else batch:
                        remove(batch_interface=batch)
                    assert "a" in received.wait_for("a")

    def test_what_is_published_is_delivered(self, backend: Backend, notifier: Notifier) -> None:
        """N1: to every subscription of the key; an empty list is no error."""
        one, two, other = Received(), Received(), Received()
        subscriptions = [notifier.subscribe(callback) for callback in (one, two, other)]
        subscriptions[0].add(["a"])
        subscriptions[1].add(["a", "b"])
        for subscription, received in zip(subscriptions, (one, two, other), strict=True):
            self.settle(backend, subscription, received)
        notifier.publish([])
        backend.timeline_storage().add("a", 1)
        notifier.publish(["a", "a", "c"])
        assert one.wait_for("a") <= {"a", "settled"}
        assert two.wait_for("a") <= {"a", "b", "settled"}
        backend.timeline_storage().add("b", 1)
        notifier.publish(["b"])
        two.wait_for("b")
        for subscription in subscriptions:
            subscription.close()

    def test_a_large_fan_out_is_delivered(self, backend: Backend, notifier: Notifier) -> None:
        """N1: to each of a thousand and more, however long the keys."""
        keys = [f"{number:04}{'x' * 500}" for number in range(1_500)]
        received = Received()
        with notifier.subscribe(received) as subscription:
            subscription.add(keys)
            self.settle(backend, subscription, received)
            backend.timeline_storage(notifier=notifier).add_to_many(keys, [1])
            received.wait_for(*keys)

    def test_a_batch_is_delivered_when_it_has_ended(self, backend: Backend, notifier: Notifier) -> None:
        """N1: not earlier, and a failed batch delivers nothing."""
        writes = backend.timeline_storage(notifier=notifier)
        received = Received()
        with notifier.subscribe(received) as subscription:
            subscription.add(["a", "b", "failed"])
            self.settle(backend, subscription, received)
            with pytest.raises(TypeError), backend.batch() as batch:
                writes.add("failed", cast("Any", writes.add("failed", 1, batch_interface=batch)), batch_interface=batch)
            with backend.batch() as batch:
                writes.add("a", 1, batch_interface=batch)
                writes.add_to_many(["b"], [1], batch_interface=batch)
            # On a store that is polled, the first call may have all keys.
            assert received.wait_for("a", "b") >= {"a", "b"}
            assert writes.count("failed") == 0

    def test_keys_are_delivered_unchanged(self, backend: Backend, notifier: Notifier) -> None:
        """K2 for notifiers: hostile keys mean nothing but themselves."""
        received = Received()
        with notifier.subscribe(received) as subscription:
            subscription.add(HARD_KEYS)
            assert subscription.keys() == set(HARD_KEYS)
            backend.timeline_storage(notifier=notifier).add_to_many(HARD_KEYS, [1])
            assert received.wait_for(*HARD_KEYS) == set(HARD_KEYS)

    def test_discarded_keys_are_not_delivered(self, backend: Backend, notifier: Notifier) -> None:
        """N1: nor is any key after the end of the subscription; others go on."""
        received, other = Received(), Received()
        subscription, second = notifier.subscribe(received), notifier.subscribe(other)
        subscription.add(["gone", "kept"])
        second.add(["gone"])
        self.settle(backend, subscription, received)
        subscription.discard(["gone", "never there"])
        assert subscription.keys() == {"kept", "settled"}
        writes = backend.timeline_storage(notifier=notifier)
        writes.add("gone", 1)
        other.wait_for("gone")
        writes.add("kept", 1)
        assert "gone" not in received.wait_for("kept")
        subscription.close()
        subscription.close()
        assert subscription.closed is True
        with pytest.raises(ValueError, match="closed"):
            subscription.add(["kept"])
        writes.add("gone", 2)
        other.wait_for("gone")
        second.close()

    def test_a_callback_that_fails_does_no_harm(self, backend: Backend, notifier: Notifier) -> None:
        """N5: it is logged, and called again; so are the others."""
        received = Received()
        log = logging.handlers.BufferingHandler(1000)
        logging.getLogger("feedstore.notify").addHandler(log)

        def fail(keys: frozenset[str]) -> None:
            received(keys)
            raise RuntimeError("on purpose")

        other = Received()
        with notifier.subscribe(fail) as subscription, notifier.subscribe(other) as second:
            subscription.add(["a"])
            second.add(["a"])
            writes = backend.timeline_storage(notifier=notifier)
            for number in range(3):
                writes.add("a", number)
                received.wait_for("a")
                other.wait_for("a")
        logging.getLogger("feedstore.notify").removeHandler(log)
        assert "on purpose" in str([record.exc_info for record in log.buffer])

    def test_a_callback_may_use_its_subscription(self, backend: Backend, notifier: Notifier) -> None:
        """N5: adding, discarding and closing from within; and so may it read the store."""
        received = Received()
        writes = backend.timeline_storage(notifier=notifier)

        def move_on(keys: frozenset[str]) -> None:
            received(frozenset(key for key in keys if writes.count(key)))
            subscription.discard(keys)
            subscription.add(["b"])
            if "b" in keys and writes.count("b"):
                subscription.close()

        subscription = notifier.subscribe(move_on)
        writes.add("a", 1)
        subscription.add(["a"])
        notifier.publish(["a"])
        received.wait_for("a")
        writes.add("b", 1)
        received.wait_for("b")

    def test_a_recheck_delivers_all_keys(self, backend: Backend, notifier: Notifier) -> None:
        """N4: repeatedly, though nothing was published."""
        received = Received()
        with notifier.subscribe(received, recheck_seconds=0.05) as subscription:
            subscription.add(["a", "b"])
            for _ in range(3):
                received.wait_for("a", "b")

    def test_after_a_gap_all_keys_are_delivered(self, backend: Backend, notifier: Notifier) -> None:
        """N3: once the source works again after an error, and says that it may have missed something."""
        setattr(backend.session, "make_source", Interrupted)  # noqa: B010 - a source that fails on purpose
        received = Received()
        with notifier.subscribe(received, recheck_seconds=None) as subscription:
            subscription.add(["a", "b"])
            assert received.wait_for("a", "b") == {"a", "b"}

    def test_changes_stay_in_their_namespace(
        self, open_backend: OpenBackend, backend: Backend, notifier: Notifier
    ) -> None:
        """N6: the same key is another timeline there."""
        other = open_backend()
        sibling = backend.with_namespace(other.namespace)
        mine, theirs = Received(), Received()
        with notifier.subscribe(mine) as subscription, sibling.notifier().subscribe(theirs) as sibling_subscription:
            subscription.add(["key"])
            sibling_subscription.add(["key"])
            self.settle(backend, subscription, mine)
            self.settle(other, sibling_subscription, theirs)
            for number in range(3):
                other.timeline_storage(notifier=other.notifier()).add("key", number)
                theirs.wait_for("key")
            backend.timeline_storage(notifier=notifier).add("other", 1)
            subscription.add(["last"])
            backend.timeline_storage(notifier=notifier).add("last", 1)
            assert "key" not in mine.wait_for("last")

    def test_closing_the_backend_ends_subscriptions(self, backend: Backend, notifier: Notifier) -> None:
        """Close: each is called once, and any later use is the one clear error."""
        received, ends = Received(), list[str]()
        subscription = notifier.subscribe(received, on_close=lambda: ends.append("closed"))
        subscription.add(["a"])
        early = notifier.subscribe(received, on_close=lambda: ends.append("never"))
        early.close()
        backend.close()
        backend.close()
        assert ends == ["closed"]
        assert subscription.closed is True
        calls: list[Callable[[], Any]] = [
            partial(notifier.publish, ["a"]),
            partial(notifier.subscribe, received),
            backend.notifier,
        ]
        for call in calls:
            with pytest.raises(BackendClosedError):
                call()

    def test_closing_within_a_callback(self, backend: Backend, notifier: Notifier) -> None:
        """Close: the dispatcher's thread does not wait for itself."""
        received = Received()

        def close(keys: frozenset[str]) -> None:
            backend.close()
            received(keys)

        notifier.subscribe(close, recheck_seconds=0.05).add(["a"])
        received.wait_for("a")
        assert backend.closed is True

    def test_threads_subscribe_concurrently(self, backend: Backend, notifier: Notifier) -> None:
        """Threads: they add, write and discard concurrently, and each receives its own keys."""
        writes = backend.timeline_storage(notifier=notifier)

        def work(thread: int) -> None:
            received = Received()
            with notifier.subscribe(received) as subscription:
                for number in range(5):
                    key = f"{thread}:{number}"
                    subscription.add([key])
                    writes.add(key, number)
                    received.wait_for(key)
                    subscription.discard([key])

        run_in_threads([partial(work, thread) for thread in range(4)])

    def test_writes_of_another_process_are_delivered(
        self, open_backend: OpenBackend, backend: Backend, notifier: Notifier
    ) -> None:
        """N1: between processes, on every store that they share."""
        if not backend.abilities.shared_between_processes:
            pytest.skip("the store belongs to one process")

        def write() -> None:
            other = open_backend(backend.namespace)
            other.timeline_storage(notifier=other.notifier()).add_to_many(["a", "b"], [1])

        received = Received()
        with notifier.subscribe(received) as subscription:
            subscription.add(["a"])
            self.settle(backend, subscription, received)
            Child(write).result()
            assert received.wait_for("a") <= {"a", "settled"}

    def test_a_fork_with_a_subscription(self, backend: Backend, notifier: Notifier, timelines: TimelineStorage) -> None:
        """Decision 13: the parent goes on, and the child subscribes by itself."""
        received = Received()
        subscription = notifier.subscribe(received)
        subscription.add(["parent"])
        self.settle(backend, subscription, received)

        def child() -> list[str]:
            mine = Received()
            assert subscription.keys() == set()
            with notifier.subscribe(mine) as own:
                own.add(["child"])
                backend.timeline_storage(notifier=notifier).add("child", 1)
                found = mine.wait_for("child")
            backend.close()
            return sorted(found)

        assert Child(child).result() == ["child"]
        backend.timeline_storage(notifier=notifier).add("parent", 1)
        received.wait_for("parent")
        subscription.close()


class NotifyArgumentSuite(Suite):
    """Invalid keys and options, which subscriptions refuse."""

    @pytest.mark.parametrize(("refused", "error"), REFUSED_KEYS, ids=repr)
    def test_an_invalid_key_is_never_subscribed_to(
        self, notifier: Notifier, refused: Any, error: type[Exception]
    ) -> None:
        """K2 for notifiers: with nothing published, added or discarded."""
        subscription = notifier.subscribe(Received())
        for call in (notifier.publish, subscription.add, subscription.discard):
            with pytest.raises(error, match="key"):
                call(["good", refused])
            with pytest.raises(TypeError, match="pass a list"):
                call("text")
        assert subscription.keys() == set()

    def test_bad_options_of_subscriptions(
        self, open_backend: OpenBackend, backend: Backend, notifier: Notifier
    ) -> None:
        """T5 for notifiers: a callback, a number of seconds, and a notifier of the storage's own namespace."""
        wrong: Any
        for wrong in (None, "text"):
            with pytest.raises(TypeError, match="callback"):
                notifier.subscribe(wrong)
        with pytest.raises(ValueError, match="recheck_seconds"):
            notifier.subscribe(Received(), recheck_seconds=0)
        wrong = "notifier"
        with pytest.raises(TypeError, match="notifier"):
            backend.timeline_storage(notifier=wrong)
        with pytest.raises(ValueError, match="another"):
            backend.timeline_storage(notifier=open_backend().notifier())


__all__ = ["NotifySuite", "Received"]

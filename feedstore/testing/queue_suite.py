"""The contract of queues."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from feedstore.errors import BackendClosedError, NoMessagesException, QueueFull
from feedstore.storage import Backend, QueueStorage
from feedstore.testing.kv_value_suite import REFUSED_TYPES, VALUES, same
from feedstore.testing.samples import HARD_KEYS, REFUSED_KEYS, make_activity
from feedstore.testing.suite import OpenBackend, Suite
from feedstore.testing.waiting import patience

HIDDEN_SECONDS = 0.1
"""A visibility timeout that a test waits for, and within which nothing has to happen: a call may take longer."""


def drained(queue: QueueStorage) -> list[Any]:
    """Receive and acknowledge until the queue has nothing to give."""
    found = []
    with suppress(NoMessagesException):
        while True:
            found.append(queue.pop())
    return found


def wait_until_visible(backend: Backend) -> None:
    """Return once messages that were received before this call, with :data:`HIDDEN_SECONDS`, are visible again."""
    marker = backend.queue("marker", visibility_timeout=HIDDEN_SECONDS)
    marker.push("visible later")
    marker.receive()
    receipt, _ = marker.receive(patience.seconds)
    marker.ack(receipt)


class QueueSuite(Suite):
    """Pushing, receiving, acknowledging, by one consumer."""

    def test_messages_of_all_types_come_back(self, queue: QueueStorage) -> None:
        """Q6: every value that key-value storages keep, in the order of the pushes."""
        queue.push_many(VALUES)
        same(drained(queue), list(VALUES))

    def test_first_in_first_out(self, queue: QueueStorage) -> None:
        """Q3: messages keep their order, pushed singly and in one call."""
        for number in range(10):
            queue.push(number)
        queue.push_many(range(10, 150))
        queue.push_many([])
        queue.push(150)
        assert [message for _, message in queue.receive_many(100)] == list(range(100))
        assert [message for _, message in queue.receive_many(100)] == list(range(100, 151))

    def test_an_empty_queue_has_nothing_to_give(self, queue: QueueStorage) -> None:
        """Q1: which is an error of its own, a ``LookupError``."""
        for call in (queue.receive, queue.pop, partial(queue.receive_many, 5), partial(queue.receive, 0.05)):
            with pytest.raises(NoMessagesException, match="queue 'default'"):
                call()
        assert issubclass(NoMessagesException, LookupError)
        queue.push(1)
        assert queue.pop() == 1
        with pytest.raises(NoMessagesException):
            queue.receive()

    def test_a_message_that_was_received_is_hidden(self, queue: QueueStorage) -> None:
        """Q2: until it is acknowledged; it counts as long."""
        queue.push_many([1, 2])
        receipt, message = queue.receive()
        assert (message, queue.count()) == (1, 2)
        assert queue.receive()[1] == 2
        with pytest.raises(NoMessagesException):
            queue.receive()
        assert queue.ack(receipt) is True
        assert queue.count() == 1

    def test_without_an_ack_it_is_given_again(self, backend: Backend) -> None:
        """Q1: when the visibility timeout is over, in its old place and under another receipt."""
        queue = backend.queue()
        queue.push_many(["first", "second"])
        lost, message = backend.queue(visibility_timeout=HIDDEN_SECONDS).receive()
        assert message == "first"
        wait_until_visible(backend)
        again, message = queue.receive()
        assert message == "first"
        assert again != lost
        kept, message = queue.receive()
        assert message == "second"
        assert [queue.delivery_count(one) for one in (lost, kept, again, "x")] == [1, 1, 2, 0]
        assert queue.ack(lost) is False
        assert queue.count() == 2
        assert queue.ack(kept) is queue.ack(again) is True
        assert queue.count() == 0

    def test_many_deliveries_keep_their_order(self, backend: Backend) -> None:
        """Q1: a message may be redelivered any number of times, before the messages after it."""
        queue = backend.queue(visibility_timeout=HIDDEN_SECONDS)
        queue.push_many([1, 2, 3])
        receipts: set[str] = set()
        for _ in range(3):
            found = queue.receive_many(3)
            assert [message for _, message in found] == [1, 2, 3]
            receipts.update(receipt for receipt, _ in found)
            wait_until_visible(backend)
        assert len(receipts) == 9

    def test_an_ack_counts_once(self, queue: QueueStorage) -> None:
        """Q4: a repeated ack, or an ack with an unknown receipt, returns False."""
        queue.push(1)
        receipt, _ = queue.receive()
        assert queue.ack(receipt) is True
        assert queue.ack(receipt) is False
        for unknown in ("", "0", "1-1", "x", f"{receipt}0", f"0{receipt}", "9" * 40, "\0", "é", "1-1-1", "0-1", "-1-1"):
            assert queue.ack(unknown) is False, unknown
        refused: Any = None
        with pytest.raises(TypeError, match="receipt"):
            queue.ack(refused)

    def test_an_ack_that_comes_late(self, backend: Backend) -> None:
        """Q4: a late ack removes the message as long as no other consumer has received it."""
        queue = backend.queue(visibility_timeout=HIDDEN_SECONDS)
        queue.push(1)
        receipt, _ = queue.receive()
        wait_until_visible(backend)
        assert queue.ack(receipt) is True
        assert queue.count() == 0

    def test_a_receipt_is_good_for_its_own_queue(self, backend: Backend) -> None:
        """Q4, Q8: a receipt is valid for its own queue only."""
        one, other = backend.queue("one"), backend.queue("other")
        one.push(1)
        other.push(2)
        receipt, _ = one.receive()
        other.receive()
        other.ack(receipt)
        assert one.ack(receipt) is True
        assert one.count() == 0

    def test_a_full_queue_refuses(self, backend: Backend) -> None:
        """Q5: a refused call stores nothing; received messages still count."""
        queue = backend.queue(max_length=5)
        queue.push_many([1, 2, 3, 4])
        with pytest.raises(QueueFull, match="5 messages"):
            queue.push_many([5, 6])
        queue.push(5)
        receipt, _ = queue.receive()
        with pytest.raises(QueueFull):
            queue.push(6)
        queue.ack(receipt)
        queue.push(6)
        assert drained(queue) == [2, 3, 4, 5, 6]
        with pytest.raises(QueueFull):
            queue.push_many(range(6))
        assert queue.count() == 0

    def test_a_full_queue_drops_the_oldest(self, backend: Backend) -> None:
        """Q5: received or not; and of too many messages in one call the first."""
        queue = backend.queue(max_length=3, when_full="drop_oldest")
        queue.push_many([1, 2, 3])
        receipt, _ = queue.receive()
        queue.push_many([4, 5])
        assert queue.count() == 3
        assert queue.ack(receipt) is False
        assert drained(queue) == [3, 4, 5]
        queue.push_many(range(10))
        assert drained(queue) == [7, 8, 9]

    def test_bounds_are_those_of_the_pusher(self, backend: Backend) -> None:
        """Q5: the bound belongs to the pushing object, and not to the stored queue."""
        backend.queue(max_length=5).push_many(range(5))
        backend.queue(max_length=7).push_many([5, 6])
        with pytest.raises(QueueFull):
            backend.queue(max_length=6).push(7)
        backend.queue(max_length=2, when_full="drop_oldest").push(7)
        assert drained(backend.queue()) == [6, 7]

    def test_each_name_is_a_queue(self, backend: Backend) -> None:
        """Q8: each name is a queue of its own, as hostile as any key."""
        for key in HARD_KEYS:
            backend.queue(key).push(key)
        for key in HARD_KEYS:
            assert drained(backend.queue(key)) == [key]

    def test_queues_of_namespaces_are_apart(self, open_backend: OpenBackend, queue: QueueStorage) -> None:
        """T10: another namespace has queues of its own under the same names."""
        other = open_backend().queue()
        queue.push(1)
        receipt, _ = queue.receive()
        other.push(2)
        assert other.pop() == 2
        other.flush()
        assert queue.ack(receipt) is True

    def test_flush_empties_one_queue_alone(self, backend: Backend, queue: QueueStorage) -> None:
        """T15: a flush also removes received messages, and no flush of another storage empties a queue."""
        backend.queue("other").push(1)
        backend.activity_storage().add(make_activity())
        backend.timeline_storage().add("key", make_activity())
        backend.kv_storage().upsert("key", 1)
        queue.push_many(range(300))
        receipt, _ = queue.receive()
        queue.flush()
        queue.flush()
        assert queue.count() == 0
        assert queue.ack(receipt) is False
        queue.push("new")
        assert drained(queue) == ["new"]
        assert list(backend.timeline_storage().keys()) == ["key"]
        assert [key for key, _ in backend.kv_storage().items()] == ["key"]
        for storage in (backend.timeline_storage(), backend.activity_storage(), backend.kv_storage()):
            storage.flush()
        assert drained(backend.queue("other")) == [1]

    def test_an_old_receipt_fits_no_new_message(self, queue: QueueStorage) -> None:
        """Q4: numbers are never given again, not even after a flush."""
        queue.push(1)
        old, _ = queue.receive()
        queue.flush()
        queue.push(2)
        receipt, _ = queue.receive()
        assert queue.ack(old) is False
        assert queue.ack(receipt) is True

    def test_a_closed_backend_is_refused(self, backend: Backend, queue: QueueStorage) -> None:
        """Close: every call is the one clear error."""
        backend.close()
        calls: list[Any] = [
            partial(queue.push, 1),
            partial(queue.push_many, []),
            queue.receive,
            queue.pop,
            partial(queue.ack, "1-1"),
            queue.count,
            queue.flush,
        ]
        for call in calls:
            with pytest.raises(BackendClosedError):
                call()


class QueueArgumentSuite(Suite):
    """Invalid messages, names and options, which queues refuse; the codec, value by value."""

    @pytest.mark.parametrize("message", VALUES, ids=lambda value: repr(value)[:40])
    def test_messages_come_back_as_they_went_in(self, queue: QueueStorage, message: Any) -> None:
        """Q6: of every type that key-value storages keep, and never the object that was put in."""
        queue.push(message)
        found = queue.pop()
        assert found == message
        assert type(found) is type(message)

    @pytest.mark.parametrize("refused", REFUSED_TYPES, ids=lambda value: type(value).__name__)
    def test_what_is_no_message_is_refused(self, queue: QueueStorage, refused: Any) -> None:
        """Q6: and nothing of its call is pushed."""
        with pytest.raises(TypeError, match="message of the queue 'default'"):
            queue.push_many([1, refused])
        with pytest.raises(TypeError, match="pass a list"):
            queue.push_many("text")
        assert queue.count() == 0

    @pytest.mark.parametrize(("refused", "error"), REFUSED_KEYS, ids=repr)
    def test_what_is_no_name_is_refused(self, backend: Backend, refused: Any, error: type[Exception]) -> None:
        """Q8: as for keys."""
        with pytest.raises(error, match="name"):
            backend.queue(refused)

    @pytest.mark.parametrize(
        ("options", "error"),
        [
            ({"visibility_timeout": 0}, ValueError),
            ({"visibility_timeout": -1}, ValueError),
            ({"visibility_timeout": float("nan")}, ValueError),
            ({"visibility_timeout": float("inf")}, ValueError),
            ({"visibility_timeout": "30"}, TypeError),
            ({"max_length": 0}, ValueError),
            ({"max_length": -1}, ValueError),
            ({"max_length": 2**31}, ValueError),
            ({"max_length": 1.5}, TypeError),
            ({"when_full": "block"}, ValueError),
            ({"when_full": None}, ValueError),
            ({"colour": 1}, TypeError),
        ],
        ids=repr,
    )
    def test_bad_options_of_queues(self, backend: Backend, options: dict[str, Any], error: type[Exception]) -> None:
        """T5 for queues: an option is honoured, or refused with an error that names it."""
        with pytest.raises(error, match=next(iter(options))):
            backend.queue("name", **options)

    def test_bad_arguments_are_refused(self, queue: QueueStorage) -> None:
        """T6 for queues: of a limit, a timeout and a receipt."""
        wrong: Any
        for call in (queue.ack, queue.delivery_count):
            for wrong in (None, 1, b"1-1"):
                with pytest.raises(TypeError, match="receipt must be the str"):
                    call(wrong)
        for wrong in (-1, float("nan"), "1"):
            with pytest.raises((TypeError, ValueError), match="timeout"):
                queue.receive(wrong)
        queue.push(1)
        assert len(queue.receive_many(10**30)) == 1
        for wrong in (0, -1, "1"):
            with pytest.raises((TypeError, ValueError), match="limit"):
                queue.receive_many(wrong)

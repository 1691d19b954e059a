"""The queues of connections: in memory, and in a backend."""

from __future__ import annotations

from typing import Any

import pytest

from feedstore.channels import (
    DurableQueue,
    InMemoryQueue,
    Message,
    MessageContract,
    NoMessagesException,
    Queue,
    QueueFull,
    SignedMessage,
    UniqueMessage,
)
from feedstore.errors import StoredDataError
from feedstore.storage import Backend
from feedstore.testing.processes import run_in_threads
from polling import poll_until
from stores import OpenBackend, fresh_namespace

MESSAGES = (
    Message("plain"),
    Message("", {"a": [1, None, True, 1.5, b"\0", "ä"]}),
    SignedMessage("ann", "signed", [1]),
    UniqueMessage(Message("inner", "payload"), "ann", "id"),
    UniqueMessage(Message("inner")),
)


class OwnMessage(MessageContract):
    """A message of an application's own class."""

    type = "own"
    payload = None


@pytest.fixture(params=["in memory", "durable"])
def queue(request: pytest.FixtureRequest, backend: Backend) -> Queue:
    return InMemoryQueue() if request.param == "in memory" else DurableQueue(backend.queue("queue"))


def test_first_in_first_out(queue: Queue) -> None:
    for message in MESSAGES:
        queue.push(message)
    assert [queue.pop() for _ in MESSAGES] == list(MESSAGES)
    with pytest.raises(NoMessagesException) as caught:
        queue.pop()
    assert isinstance(caught.value, LookupError)


def test_a_push_calls_the_subscribers(queue: Queue) -> None:
    told: list[int] = []
    unsubscribe = queue.subscribe(lambda: told.append(1))
    assert unsubscribe is not None
    queue.push(MESSAGES[0])
    poll_until(lambda: bool(told), 30, "a call")
    unsubscribe()
    unsubscribe()
    told.clear()
    queue.push(MESSAGES[0])
    assert told == []


def test_what_is_no_message_is_refused(queue: Queue) -> None:
    for refused in ("hello", None, {"type": "a", "payload": 1}):
        with pytest.raises(TypeError, match="Message"):
            queue.push(refused)  # type: ignore[arg-type]
    with pytest.raises(NoMessagesException):
        queue.pop()


def test_a_queue_in_memory_takes_any_message() -> None:
    queue, message = InMemoryQueue(), OwnMessage()
    queue.push(message)
    assert queue.receive() == ("", message)
    assert queue.ack("") is False


def test_a_durable_queue_takes_what_comes_back_whole(backend: Backend) -> None:
    queue = DurableQueue(backend.queue("queue"))
    with pytest.raises(TypeError, match="OwnMessage"):
        queue.push(OwnMessage())
    for payload in (object(), {1, 2}, [{3}]):
        with pytest.raises(TypeError, match="queue"):
            queue.push(Message("a", payload))
    assert backend.queue("queue").count() == 0


def test_a_durable_queue_outlives_its_consumer(open_backend: OpenBackend) -> None:
    namespace = fresh_namespace()
    first = DurableQueue(open_backend(namespace).queue("queue", visibility_timeout=0.2))
    first.push(MESSAGES[1])
    receipt, message = first.receive()
    assert message == MESSAGES[1]
    again = DurableQueue(open_backend(namespace).queue("queue"))
    later, message = again.receive(timeout=30)
    assert message == MESSAGES[1]
    assert first.ack(receipt) is False
    assert again.ack(later) is True
    assert again.seconds_to_next() is None


def test_seconds_to_next_while_others_hold_a_message(backend: Backend) -> None:
    queue = DurableQueue(backend.queue("queue", visibility_timeout=60))
    assert queue.seconds_to_next() is None
    queue.push(MESSAGES[0])
    queue.receive()
    assert queue.seconds_to_next() == 60


def test_discarding_takes_every_message(backend: Backend) -> None:
    queue, other = DurableQueue(backend.queue("queue")), DurableQueue(backend.queue("queue:2"))
    for _ in range(3):
        queue.push(MESSAGES[0])
    other.push(MESSAGES[0])
    queue.receive()
    queue.discard()
    assert backend.queue("queue").count() == 0
    assert other.pop() == MESSAGES[0]


def test_what_others_push_is_no_message(backend: Backend) -> None:
    plain = {"type": "a", "payload": 1}
    several: list[Any] = [
        *("hello", None, [], {"type": "a"}, {"payload": 1}, {"type": 7, "payload": 1}, {**plain, "more": 1}),
        *({**plain, "unique": "id"}, {**plain, "sender": "ann"}, {**plain, "signed": "ann", "unique": "id"}),
    ]
    for value in several:
        backend.queue("queue").push(value)
        with pytest.raises(StoredDataError, match="message"):
            DurableQueue(backend.queue("queue")).pop()


@pytest.mark.parametrize("when_full", ["refuse", "drop_oldest"])
def test_a_bounded_queue(when_full: str, backend: Backend) -> None:
    for queue in (
        InMemoryQueue(2, when_full),
        DurableQueue(backend.queue("queue", max_length=2, when_full=when_full)),
    ):
        queue.push(Message("1"))
        queue.push(Message("2"))
        if when_full == "refuse":
            with pytest.raises(QueueFull):
                queue.push(Message("3"))
            assert [queue.pop().type, queue.pop().type] == ["1", "2"]
        else:
            queue.push(Message("3"))
            assert [queue.pop().type, queue.pop().type] == ["2", "3"]


@pytest.mark.parametrize(
    "arguments", [{"max_length": 0}, {"max_length": -1}, {"max_length": "1"}, {"when_full": "wait"}, {"size": 1}]
)
def test_a_bad_option_is_named(arguments: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError), match=next(iter(arguments))):
        InMemoryQueue(**arguments)


def test_a_durable_queue_is_over_a_backend_s_queue() -> None:
    with pytest.raises(TypeError, match=r"backend\.queue"):
        DurableQueue("queue")  # type: ignore[arg-type]


def test_threads_pop_each_message_once(queue: Queue) -> None:
    for number in range(40):
        queue.push(Message(str(number)))
    found = run_in_threads([lambda: [queue.pop().type for _ in range(10)] for _ in range(4)])
    assert sorted(int(one) for part in found for one in part) == list(range(40))


def test_messages_are_equal_by_what_they_hold() -> None:
    assert Message("a", [1]) == Message("a", [1]) != Message("a", [2])
    assert Message("a") != SignedMessage("ann", "a")
    assert SignedMessage("ann", "a") != SignedMessage("bob", "a")
    assert UniqueMessage(Message("a")) != UniqueMessage(Message("a"))
    assert len({Message("a", [1]), Message("a", [1]), MESSAGES[3], MESSAGES[3]}) == 2
    assert [repr(message) for message in MESSAGES[2:4]] == [
        "SignedMessage('ann', 'signed', [1])",
        "UniqueMessage('inner', 'payload', id='id')",
    ]
    with pytest.raises(TypeError, match="msg_type"):
        Message(7)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="message"):
        UniqueMessage("a")  # type: ignore[arg-type]

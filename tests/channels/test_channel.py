"""Channels: dispatch, broadcast, delivery."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from feedstore import connect
from feedstore.channels import (
    AbstractChannel,
    Channel,
    Connection,
    DurableConnectionsFactory,
    DurableQueue,
    InMemoryConnectionsFactory,
    InMemoryQueue,
    InvalidListenerException,
    Message,
    MessageContract,
    MessageQueueListener,
    NoMessagesException,
    QueueFull,
    SSEChannel,
)
from feedstore.storage import Backend
from feedstore.testing.processes import run_in_threads

HELLO, BYE = Message("greeting", "hello"), Message("greeting", {"words": ["good", "bye"]})


class Remembering(MessageQueueListener):
    """A recorder of deliveries."""

    def __init__(self, listener_id: str | None = None) -> None:
        super().__init__(listener_id)
        self.delivered: list[MessageContract] = []

    def on_message(self, msg: MessageContract) -> None:
        self.delivered.append(msg)


@pytest.fixture(params=["memory alone", "durable"])
def channel(request: pytest.FixtureRequest) -> AbstractChannel:
    """A channel whose queues lie in memory, and one whose queues lie in a backend."""
    if request.param == "memory alone":
        return Channel()
    return Channel(connections_factory=DurableConnectionsFactory(request.getfixturevalue("durable_backend")))


@pytest.fixture
def durable_backend() -> Iterator[Backend]:
    with connect("memory://") as backend:
        yield backend


def started(channel: AbstractChannel) -> MessageQueueListener:
    listener = channel.add_listener()
    listener.start()
    return listener


def test_dispatch_reaches_one(channel: AbstractChannel) -> None:
    one, other = started(channel), started(channel)
    channel.dispatch(one.id, HELLO)
    channel.dispatch(one.id, BYE)
    assert [channel.deliver_next(one.id), channel.deliver_next(one.id)] == [HELLO, BYE]
    for listener in (one, other):
        with pytest.raises(NoMessagesException):
            channel.deliver_next(listener.id)


def test_broadcast_reaches_all(channel: AbstractChannel) -> None:
    channel.broadcast(HELLO)
    listeners = [started(channel) for _ in range(3)]
    channel.broadcast(BYE)
    assert [channel.deliver_next(listener.id) for listener in listeners] == [BYE] * 3
    with pytest.raises(NoMessagesException):
        channel.deliver_next(listeners[0].id)


def test_a_listener_hears_of_its_deliveries(channel: AbstractChannel) -> None:
    listener = Remembering("ann")
    channel.register_listener(listener)
    listener.start()
    channel.dispatch("ann", HELLO)
    assert channel.get_listener("ann") is listener
    assert channel.deliver_next("ann") == HELLO
    assert listener.delivered == [HELLO]


def test_nothing_is_delivered_to_who_is_not_started(channel: AbstractChannel) -> None:
    listener = channel.add_listener()
    channel.dispatch(listener.id, HELLO)
    assert not listener.is_running()
    with pytest.raises(NoMessagesException, match="start"):
        channel.deliver_next(listener.id)
    listener.start()
    listener.stop()
    with pytest.raises(NoMessagesException):
        channel.deliver_next(listener.id)
    listener.start()
    assert channel.deliver_next(listener.id) == HELLO


def test_a_listener_that_is_not_there(channel: AbstractChannel) -> None:
    listener = started(channel)
    channel.remove_listener(listener.id)
    assert not listener.is_running()
    for absent in (listener.id, "never"):
        for call in (channel.deliver_next, channel.get_listener, channel.get_connection, channel.remove_listener):
            with pytest.raises(InvalidListenerException, match=absent) as caught:
                call(absent)
            assert isinstance(caught.value, LookupError)
        with pytest.raises(InvalidListenerException):
            channel.dispatch(absent, HELLO)
    channel.broadcast(HELLO)
    assert channel.get_connections() == []


def test_a_connection_of_one_s_own() -> None:
    channel = Channel()
    queue = InMemoryQueue()
    queue.push(HELLO)
    first, second = (Connection(MessageQueueListener("ann"), queue, one) for one in ("first", "second"))
    channel.register_connection(first)
    channel.register_connection(second)
    assert channel.get_connections() == [second]
    assert channel.get_connection("ann") is second
    second.listener.start()
    assert channel.deliver_next("ann") == HELLO


def test_a_full_queue_does_not_stop_a_broadcast() -> None:
    channel = Channel(connections_factory=InMemoryConnectionsFactory(max_length=2))
    first, second, third = (started(channel) for _ in range(3))
    channel.dispatch(second.id, HELLO)
    channel.dispatch(second.id, HELLO)
    with pytest.raises(QueueFull, match=second.id):
        channel.broadcast(BYE)
    assert [channel.deliver_next(one.id) for one in (first, second, third)] == [BYE, HELLO, BYE]


def test_what_on_message_raises_keeps_the_message() -> None:
    class Failing(Remembering):
        def on_message(self, msg: MessageContract) -> None:
            super().on_message(msg)
            if len(self.delivered) == 1:
                raise ZeroDivisionError

    with connect("memory://") as backend:
        listener = Failing("ann")
        channel = Channel()
        channel.register_connection(Connection(listener, DurableQueue(backend.queue("q", visibility_timeout=0.01))))
        channel.dispatch("ann", HELLO)
        listener.start()
        with pytest.raises(ZeroDivisionError):
            channel.deliver_next("ann")
        assert backend.queue("q").receive(timeout=10)[1] == {"type": "greeting", "payload": "hello"}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"stream_delay_seconds": -1}, ValueError),
        ({"stream_delay_seconds": float("nan")}, ValueError),
        ({"stream_delay_seconds": float("inf")}, ValueError),
        ({"stream_delay_seconds": "1"}, TypeError),
        ({"stream_delay_seconds": True}, TypeError),
        ({"retry_timeout_milliseconds": -1}, ValueError),
        ({"retry_timeout_milliseconds": 1.5}, TypeError),
        ({"channel_id": ""}, ValueError),
        ({"channel_id": "x" * 1025}, ValueError),
        ({"channel_id": 7}, TypeError),
        ({"connections_factory": object()}, TypeError),
        ({"connection_factory": None}, TypeError),
    ],
)
def test_a_bad_argument_is_named(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(arguments)).replace("_id", " id")):
        SSEChannel(**arguments)


@pytest.mark.parametrize(
    "make", [MessageQueueListener, lambda one: Connection(MessageQueueListener(), InMemoryQueue(), one)]
)
def test_ids_follow_the_rules_of_keys(make: Any) -> None:
    assert make("ä:~").id == "ä:~"
    assert make(None).id != make(None).id
    for refused in ("", "x" * 1025, "\ud800"):
        with pytest.raises(ValueError, match="id"):
            make(refused)
    with pytest.raises(TypeError, match="id"):
        make(7)


def test_what_is_no_message_or_connection_is_refused() -> None:
    channel = Channel()
    listener = channel.add_listener()
    with pytest.raises(TypeError, match="Message"):
        channel.dispatch(listener.id, "hello")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Message"):
        channel.broadcast("hello")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Connection"):
        channel.register_connection(listener)  # type: ignore[arg-type]


def test_threads_share_a_channel(backend: Backend) -> None:
    channel = Channel(connections_factory=DurableConnectionsFactory(backend))
    listeners = [started(channel) for _ in range(4)]
    run_in_threads([lambda: channel.broadcast(HELLO) for _ in range(8)])
    delivered = run_in_threads([lambda one=one: [channel.deliver_next(one.id) for _ in range(8)] for one in listeners])  # type: ignore[misc]
    assert delivered == [[HELLO] * 8] * 4
    for listener in listeners:
        with pytest.raises(NoMessagesException):
            channel.deliver_next(listener.id)

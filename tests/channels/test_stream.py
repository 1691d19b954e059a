"""Streams of a listener's messages on an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from feedstore.channels import (
    Channel,
    Connection,
    DurableConnectionsFactory,
    InMemoryQueue,
    InvalidListenerException,
    Message,
    MessageContract,
    MessageQueueListener,
    Queue,
    SSEChannel,
)
from feedstore.storage import Backend
from stores import OpenBackend, fresh_namespace

SECONDS = 30
POLL_SECONDS = 0.05
HELLO, BYE = Message("greeting", "hello"), Message("greeting", "bye")


class MuteQueue(Queue):
    """A third-party queue that sends no notifications of pushes."""

    def __init__(self) -> None:
        self._inside = InMemoryQueue()
        self.looks = 0

    def push(self, message: MessageContract) -> None:
        self._inside.push(message)

    def pop(self) -> MessageContract:
        self.looks += 1
        return self._inside.pop()


class CountingQueue(InMemoryQueue):
    """A queue that counts its reads."""

    looks = 0

    def pop(self) -> MessageContract:
        self.looks += 1
        return super().pop()


async def next_of(stream: AsyncIterator[Any]) -> Any:
    return await asyncio.wait_for(stream.__anext__(), SECONDS)


async def rest_of(stream: AsyncIterator[Any]) -> list[Any]:
    return await asyncio.wait_for(_listed(stream), SECONDS)


async def _listed(stream: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in stream]


async def turns(count: int = 20) -> None:
    """Let everything that can go on go on."""
    for _ in range(count):
        await asyncio.wait({asyncio.ensure_future(_nothing())})


async def _nothing() -> None:
    return


def test_a_watcher_gets_what_comes() -> None:
    async def main() -> None:
        channel = SSEChannel(retry_timeout_milliseconds=7)
        stream = await channel.watch()
        channel.broadcast(HELLO)
        assert await next_of(stream) == {"event": "greeting", "retry": 7, "data": "hello"}
        waiting = asyncio.ensure_future(next_of(stream))
        await turns()
        assert not waiting.done()
        channel.broadcast(BYE)
        assert (await waiting)["data"] == "bye"
        (connection,) = channel.get_connections()
        connection.listener.stop()
        assert await rest_of(stream) == []
        assert channel.get_connections() == []

    asyncio.run(main())


@pytest.fixture(autouse=True)
def frequent_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feedstore.channels.stream.QUEUE_POLL_SECONDS", POLL_SECONDS)


def test_an_idle_stream_does_not_look() -> None:
    async def main() -> None:
        queue, listener = CountingQueue(), MessageQueueListener()
        channel = Channel()
        channel.register_connection(Connection(listener, queue))
        listener.start()
        waiting = asyncio.ensure_future(rest_of(channel.message_stream(listener)))
        await turns()
        looks = queue.looks
        done, _ = await asyncio.wait({waiting}, timeout=POLL_SECONDS * 4)
        assert not done
        assert queue.looks == looks == 1
        channel.dispatch(listener.id, HELLO)
        await turns()
        listener.stop()
        assert await waiting == [HELLO]

    asyncio.run(main())


def test_a_queue_that_cannot_tell_is_looked_at() -> None:
    async def main() -> None:
        queue, listener = MuteQueue(), MessageQueueListener()
        channel = Channel()
        channel.register_connection(Connection(listener, queue))
        listener.start()
        stream = channel.message_stream(listener)
        waiting = asyncio.ensure_future(next_of(stream))
        await turns()
        assert queue.looks == 1
        channel.dispatch(listener.id, HELLO)
        assert await waiting == HELLO
        listener.stop()
        assert await rest_of(stream) == []

    asyncio.run(main())


def test_a_listener_that_is_removed() -> None:
    async def main() -> None:
        channel = SSEChannel()
        listener = channel.add_listener()
        listener.start()
        waiting = asyncio.ensure_future(rest_of(channel.message_stream(listener)))
        await turns()
        channel.remove_listener(listener.id)
        (error,) = await waiting
        assert error["event"] == "error"
        assert listener.id in error["data"]
        with pytest.raises(InvalidListenerException):
            await next_of(channel.message_stream(listener))

    asyncio.run(main())


def test_a_listener_that_is_not_started_has_an_empty_stream() -> None:
    async def main() -> None:
        channel = Channel()
        listener = channel.add_listener()
        channel.dispatch(listener.id, HELLO)
        assert await rest_of(channel.message_stream(listener)) == []

    asyncio.run(main())


def test_what_on_message_raises_ends_the_stream() -> None:
    class Failing(MessageQueueListener):
        def on_message(self, msg: MessageContract) -> None:
            raise ZeroDivisionError

    async def main() -> None:
        channel, listener = Channel(), Failing()
        channel.register_listener(listener)
        listener.start()
        channel.broadcast(HELLO)
        with pytest.raises(ZeroDivisionError):
            await next_of(channel.message_stream(listener))

    asyncio.run(main())


def test_a_stream_leaves_the_event_loop_its_turns() -> None:
    async def main() -> None:
        channel = Channel()
        listener = channel.add_listener()
        listener.start()
        for _ in range(1000):
            channel.dispatch(listener.id, HELLO)
        reading = asyncio.ensure_future(rest_of(channel.message_stream(listener)))
        await turns(50)
        listener.stop()
        assert 0 < len(await reading) < 1000

    asyncio.run(main())


def test_messages_of_another_process_wake_a_stream(open_backend: OpenBackend) -> None:
    """Another backend on the same store stands for another process."""

    async def main() -> None:
        namespace = fresh_namespace()
        here, there = open_backend(namespace), open_backend(namespace)
        channel = Channel(connections_factory=DurableConnectionsFactory(here))
        listener = channel.add_listener()
        listener.start()
        stream = channel.message_stream(listener)
        waiting = asyncio.ensure_future(next_of(stream))
        await turns()
        name = channel.get_connection(listener.id).queue.name  # type: ignore[attr-defined]
        there.queue(name).push({"type": "greeting", "payload": "hello"})
        assert await waiting == HELLO
        assert there.queue(name).count() == 1
        waiting = asyncio.ensure_future(next_of(stream))
        channel.dispatch(listener.id, BYE)
        assert await waiting == BYE
        listener.stop()
        assert await rest_of(stream) == []
        assert there.queue(name).count() == 0

    asyncio.run(main())


def test_what_was_not_taken_comes_again(backend: Backend) -> None:
    """A stream that is cut after a message has not acknowledged it."""

    async def main() -> None:
        channel = Channel(connections_factory=DurableConnectionsFactory(backend, visibility_timeout=0.2))
        listener = channel.add_listener()
        listener.start()
        channel.dispatch(listener.id, HELLO)
        first = channel.message_stream(listener)
        assert await next_of(first) == HELLO
        await first.aclose()  # type: ignore[attr-defined]
        second = channel.message_stream(listener)
        assert await next_of(second) == HELLO
        listener.stop()
        assert await rest_of(second) == []
        assert channel.get_connection(listener.id).queue.seconds_to_next() is None

    asyncio.run(main())


def test_a_stream_that_is_cancelled_while_it_subscribes() -> None:
    """The thread that subscribes goes on, and the subscription that it began is ended."""

    class Slow(InMemoryQueue):
        blocking = True

        def __init__(self) -> None:
            super().__init__()
            self.asked, self.may_go_on, self.ended = threading.Event(), threading.Event(), threading.Event()

        def subscribe(self, callback: Callable[[], object]) -> Callable[[], None]:
            self.asked.set()
            assert self.may_go_on.wait(SECONDS)
            return self.ended.set

    async def main() -> None:
        queue, listener = Slow(), MessageQueueListener()
        channel = Channel()
        channel.register_connection(Connection(listener, queue))
        listener.start()
        waiting = asyncio.ensure_future(next_of(channel.message_stream(listener)))
        assert await asyncio.to_thread(queue.asked.wait, SECONDS)
        waiting.cancel()
        await asyncio.wait({waiting})
        assert not queue.ended.is_set()
        queue.may_go_on.set()
        assert await asyncio.to_thread(queue.ended.wait, SECONDS)

    asyncio.run(main())


def test_a_stream_that_is_cancelled_leaves_nothing_behind(backend: Backend) -> None:
    async def main() -> None:
        channel = Channel(connections_factory=DurableConnectionsFactory(backend))
        stream = await channel.watch()
        waiting = asyncio.ensure_future(next_of(stream))
        await turns()
        waiting.cancel()
        await asyncio.wait({waiting})
        assert waiting.cancelled()
        assert channel.get_connections() == []

    asyncio.run(main())

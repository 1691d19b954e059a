"""The stream of a listener's messages: it waits for notifications if the queue sends them, else it polls."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, suppress
from typing import Any, Protocol, TypeVar

from feedstore.channels.connection import Connection
from feedstore.channels.listener import MessageQueueListener
from feedstore.channels.message import Message, MessageContract
from feedstore.channels.queue import Queue
from feedstore.errors import InvalidListenerException, NoMessagesException
from feedstore.shown import shown

ERROR_TYPE = "error"
"""The type of the message that ends the stream of a listener that was removed."""
QUEUE_POLL_SECONDS = 1.0
"""The interval of polls of a queue that cannot notify of pushes."""

_Result = TypeVar("_Result")


class StreamedChannel(Protocol):
    """The members of a channel that a stream uses."""

    stream_delay_seconds: float

    @property
    def id(self) -> str:
        """The channel's id."""

    def get_connection(self, listener_id: str) -> Connection:
        """Return the connection of a listener's id, or raise :class:`InvalidListenerException`."""

    def adapt(self, msg: MessageContract) -> Any:
        """Return the item that a stream yields for a message."""


async def adapted_messages(
    channel: StreamedChannel, listener: MessageQueueListener, on_end: Callable[[], None] | None = None
) -> AsyncGenerator[Any, None]:
    """Yield the adapted messages until the listener stops; see ``AbstractChannel.message_stream``."""
    with ExitStack() as ending:
        if on_end is not None:
            ending.callback(on_end)
        wait = _Wait(channel.get_connection(listener.id), ending)
        await wait.subscribe()
        while listener.is_running():
            delivery = await wait.for_message()
            if delivery is None:
                continue
            receipt, message = delivery
            listener.on_message(message)
            yield channel.adapt(message)
            await wait.ack(receipt)
            # Even without a delay, the sleep lets the event loop run other tasks while the queue is full.
            await asyncio.sleep(channel.stream_delay_seconds)
        if not _is_registered(channel, listener.id):
            yield channel.adapt(Message(ERROR_TYPE, f"the channel has no listener {shown(listener.id)} any more"))


def _is_registered(channel: StreamedChannel, listener_id: str) -> bool:
    try:
        channel.get_connection(listener_id)
    except InvalidListenerException:
        return False
    return True


class _Subscription:
    """A queue's subscription. It also ends if a thread is still making it when the stream is cancelled."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_over = False
        self._unsubscribe: Callable[[], None] | None = None

    def begin(self, queue: Queue, callback: Callable[[], object]) -> bool:
        """Subscribe; return whether the queue can notify of pushes."""
        unsubscribe = queue.subscribe(callback)
        with self._lock:
            self._unsubscribe = unsubscribe
            is_over = self._is_over
        if is_over:
            self.end()
        return unsubscribe is not None

    def end(self) -> None:
        """Unsubscribe now, or as soon as :meth:`begin` has subscribed."""
        with self._lock:
            self._is_over = True
            unsubscribe, self._unsubscribe = self._unsubscribe, None
        if unsubscribe is not None:
            unsubscribe()


class _Wait:
    """Waits for the messages of one connection, on the running event loop."""

    def __init__(self, connection: Connection, ending: ExitStack) -> None:
        self._queue: Queue = connection.queue
        self._listener = connection.listener
        self._ending = ending
        self._woken = asyncio.Event()
        self._is_notified = False

    async def subscribe(self) -> None:
        """Subscribe to pushes and to the listener's stop."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            # A late callback may come from a thread after the loop has ended, which raises RuntimeError.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._woken.set)

        self._ending.callback(self._listener.subscribe(wake))
        subscription = _Subscription()
        self._ending.callback(subscription.end)
        self._is_notified = await self._call(subscription.begin, self._queue, wake)

    async def for_message(self) -> tuple[str, MessageContract] | None:
        """Return the next delivery, or None after a wait for a push, a stop, or the redelivery of a message."""
        self._woken.clear()
        try:
            return await self._call(self._queue.receive)
        except NoMessagesException:
            pause = await self._call(self._queue.seconds_to_next) if self._is_notified else QUEUE_POLL_SECONDS
        if self._listener.is_running():
            await self._sleep(pause)
        return None

    async def ack(self, receipt: str) -> None:
        """Acknowledge the delivered message."""
        await self._call(self._queue.ack, receipt)

    async def _sleep(self, seconds: float | None) -> None:
        try:
            await asyncio.wait_for(self._woken.wait(), seconds)
        except TimeoutError:
            return

    async def _call(self, function: Callable[..., _Result], *arguments: Any) -> _Result:
        if self._queue.blocking:
            return await asyncio.to_thread(function, *arguments)
        return function(*arguments)

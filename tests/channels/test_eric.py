"""eric-sse itself, its own repositories over each of our backends."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from importlib.metadata import version
from typing import Any

import pytest
from eric_sse.exception import ItemNotFound as EricItemNotFound
from eric_sse.exception import NoMessagesException as EricNoMessagesException
from eric_sse.listener import MessageQueueListener
from eric_sse.message import Message, SignedMessage, UniqueMessage
from eric_sse.prefabs import SSEChannel, SSEChannelRepository
from eric_sse.queues import InMemoryQueue
from eric_sse.repository import ConnectionRepository, InMemoryStorage, KvStorage

from channels.repositories import repository_on
from feedstore.compat import eric
from feedstore.errors import InvalidTypeError
from feedstore.storage import Backend
from feedstore.testing import OpenChannels, RepositoryContract
from stores import OpenBackend, fresh_namespace


def eric_repository(backend: Backend, **queue_options: Any) -> SSEChannelRepository:
    """eric-sse's own repositories, each on a key-value storage of its own."""
    connections = ConnectionRepository(
        eric.EricKvStorage(backend.kv_storage(name="connections")),
        eric.EricListenerRepository(backend.kv_storage(name="listeners")),
        eric.EricQueueRepository(backend.kv_storage(name="queues")),
    )
    storage = eric.EricKvStorage(backend.kv_storage(name="channels"))
    return SSEChannelRepository(storage, connections, eric.EricConnectionsFactory(backend, **queue_options))


@pytest.fixture
def channels(backend: Backend) -> SSEChannelRepository:
    return eric_repository(backend)


def listeners_of(channel: Any) -> dict[str, str]:
    return {connection.id: connection.listener.id for connection in channel.get_connections()}


def test_it_is_the_package_that_the_module_is_for() -> None:
    assert version("eric-sse") == "2.1.1.2"
    assert issubclass(eric.EricKvStorage, KvStorage)


def test_a_channel_comes_back(open_backend: OpenBackend) -> None:
    namespace = fresh_namespace()
    channels = eric_repository(open_backend(namespace))
    channel = SSEChannel(3, 500, "news", channels.connections_factory)
    for _ in range(3):
        channel.add_listener()
    channels.persist(channel)
    loaded = eric_repository(open_backend(namespace)).load_one("news")
    assert type(loaded) is SSEChannel
    assert (loaded.id, loaded.stream_delay_seconds, loaded.retry_timeout_milliseconds) == ("news", 3, 500)
    assert listeners_of(loaded) == listeners_of(channel)
    assert [one.id for one in channels.load_all()] == ["news"]


def test_messages_wait_for_the_channel_to_be_loaded_again(open_backend: OpenBackend) -> None:
    namespace = fresh_namespace()
    channels = eric_repository(open_backend(namespace))
    channel = channels.create({"channel_id": "news"})
    listener = channel.add_listener()
    channels.persist(channel)
    channel.broadcast(Message("greeting", {"to": "all"}))
    loaded = eric_repository(open_backend(namespace)).load_one("news")
    loaded.get_listener(listener.id).start()
    message = loaded.deliver_next(listener.id)
    assert (message.type, message.payload) == ("greeting", {"to": "all"})
    with pytest.raises(EricNoMessagesException):
        loaded.deliver_next(listener.id)


def test_saving_and_deleting(channels: SSEChannelRepository, backend: Backend) -> None:
    channel = channels.create({"channel_id": "news"})
    gone, kept = channel.add_listener(), channel.add_listener()
    channels.persist(channel)
    channel.dispatch(gone.id, Message("a"))
    channel.remove_listener(gone.id)
    channels.persist(channel)
    assert list(listeners_of(channels.load_one("news")).values()) == [kept.id]
    channels.delete("news")
    channels.delete("news")
    for name in ("channels", "connections", "listeners", "queues"):
        assert list(backend.kv_storage(name).items()) == []
    with pytest.raises(EricItemNotFound):
        channels.load_one("news")


def test_a_connection_of_another_channel(channels: SSEChannelRepository) -> None:
    channel = channels.create({"channel_id": "news"})
    channel.add_listener()
    channels.persist(channel)
    (connection,) = channel.get_connections()
    connections = channels.connections_repository
    assert connections.load_one("news", connection.id).listener.id == connection.listener.id
    with pytest.raises(EricItemNotFound):
        connections.load_one("other", connection.id)


def test_the_storage_is_what_eric_sse_s_own_is(backend: Backend) -> None:
    storages: list[Any] = [InMemoryStorage(), eric.EricKvStorage(backend.kv_storage())]
    for storage in storages:
        storage.upsert("a:1", {"id": "1"})
        storage.upsert("a:2", [2])
        storage.upsert("b", None)
        assert list(storage.fetch_by_prefix("a:")) == [{"id": "1"}, [2]]
        assert list(storage.fetch_all()) == [{"id": "1"}, [2], None]
        assert storage.fetch_one("b") is None
        storage.delete(key="b")
        storage.delete(key="b")
        with pytest.raises(EricItemNotFound) as caught:
            storage.fetch_one("b")
        assert caught.value.key == "b"


def test_no_object_gets_into_a_store(backend: Backend) -> None:
    storage = eric.EricKvStorage(backend.kv_storage())
    for refused in (MessageQueueListener("ann"), InMemoryQueue(), object(), {1, 2}):
        with pytest.raises(InvalidTypeError, match="'one'"):
            storage.upsert("one", refused)
    assert list(storage.fetch_all()) == []


def test_listeners_and_queues_of_one_s_own_classes(backend: Backend) -> None:
    class Mailer(MessageQueueListener):  # type: ignore[misc]
        def __init__(self, address: str) -> None:
            super().__init__(address)
            self.address = address

    with pytest.raises(InvalidTypeError, match="Mailer"):
        eric.EricListenerRepository(backend.kv_storage("listeners")).persist("one", Mailer("ann@x"))
    classes = eric.eric_listener_classes()
    classes.register(Mailer, lambda mailer: {"address": mailer.address})
    listeners = eric.EricListenerRepository(backend.kv_storage("listeners"), classes)
    listeners.persist("one", Mailer("ann@x"))
    listeners.persist("two", MessageQueueListener("bob"))
    assert type(listeners.load("one")) is Mailer
    assert [listeners.load("one").address, listeners.load("two").id] == ["ann@x", "bob"]
    queues = eric.EricQueueRepository(backend.kv_storage("queues"))
    queues.persist("one", InMemoryQueue())
    assert type(queues.load("one")) is InMemoryQueue
    queues.delete("one")
    with pytest.raises(EricItemNotFound):
        queues.load("one")


def test_messages_come_back_as_what_they_were(backend: Backend) -> None:
    queue = eric.EricQueue(backend.queue("queue"))
    sent = [
        Message("plain", [1]),
        SignedMessage("ann", "signed"),
        UniqueMessage(Message("inner", {"a": 1}), sender_id="bob", message_id="id"),
    ]
    for message in sent:
        queue.push(message)
    for message in sent:
        found = queue.pop()
        assert type(found) is type(message)
        names = [name for name in ("type", "payload", "sender_id", "id") if hasattr(message, name)]
        assert [getattr(found, name) for name in names] == [getattr(message, name) for name in names]
    with pytest.raises(EricNoMessagesException):
        queue.pop()
    with pytest.raises(TypeError, match="Message"):
        queue.push("hello")


def test_a_stream_of_eric_sse_s(channels: SSEChannelRepository) -> None:
    async def main() -> list[Any]:
        channel = channels.create({"channel_id": "news"})
        listener = channel.add_listener()
        listener.start()
        channel.dispatch(listener.id, Message("greeting", "hello"))
        found = []
        async for event in channel.message_stream(listener):
            found.append(event)
            listener.stop()
        return found

    assert asyncio.run(main()) == [{"event": "greeting", "retry": 5, "data": "hello"}]


class TestOurRepositoriesOnTheirStorage(RepositoryContract):
    """eric-sse's storage in memory is a third-party storage, whose error for an absent key is no LookupError."""

    @pytest.fixture
    def open_channels(self) -> OpenChannels:
        storage = InMemoryStorage()
        return lambda: repository_on(storage)


def test_a_storage_is_checked() -> None:
    storages: tuple[Any, ...] = (InMemoryStorage(), None)
    for refused in storages:
        with pytest.raises(TypeError, match="kv_storage"):
            eric.EricKvStorage(refused)
    with pytest.raises(TypeError, match=r"backend\.queue"):
        eric.EricQueue(InMemoryQueue())


def test_a_machine_without_eric_sse() -> None:
    script = (
        "import sys; sys.modules['eric_sse'] = None\n"
        "import feedstore.channels\n"
        "from feedstore.errors import MissingDriverError\n"
        "try:\n"
        "    import feedstore.compat.eric\n"
        "except MissingDriverError as error:\n"
        "    print(error)\n"
    )
    printed = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert "feedstore[eric]" in printed

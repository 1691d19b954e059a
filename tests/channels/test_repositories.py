"""The shipped repositories beyond the contract of all repositories."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from channels.repositories import repository_on
from channels.storages import ForeignStorage
from feedstore.channels import (
    AbstractChannel,
    AbstractChannelRepository,
    Channel,
    ChannelRepository,
    ClassRegistry,
    Connection,
    DurableConnectionsFactory,
    DurableQueue,
    InMemoryConnectionsFactory,
    InMemoryQueue,
    ItemNotFound,
    ListenerRepository,
    Message,
    MessageQueueListener,
    NoMessagesException,
    QueueRepository,
    SSEChannel,
    SSEChannelRepository,
    listener_classes,
    queue_classes,
)
from feedstore.compat.eric_sse import InMemoryStorage
from feedstore.errors import StoredDataError
from feedstore.storage import Backend
from feedstore.storage.backend import backend_of
from feedstore.testing import OpenChannels, RepositoryContract
from stores import OpenBackend, fresh_namespace


class RoomChannel(AbstractChannel):
    """A channel of an application's own class, with an argument of its own."""

    def __init__(self, topic: str = "", channel_id: str | None = None, connections_factory: Any = None) -> None:
        super().__init__(channel_id=channel_id, connections_factory=connections_factory)
        self.topic = topic

    def adapt(self, msg: Any) -> Any:
        return self.topic, msg


class RoomRepository(AbstractChannelRepository):
    """An application's own repository."""

    def create(self, channel_data: dict[str, Any]) -> RoomChannel:
        return RoomChannel(**channel_data, connections_factory=self.connections_factory)

    @staticmethod
    def _channel_to_dict(channel: RoomChannel) -> dict[str, Any]:
        return {"channel_id": channel.id, "topic": channel.topic}


class Mailer(MessageQueueListener):
    """A listener that holds a client, which cannot be stored."""

    def __init__(self, address: str, client: object) -> None:
        super().__init__(f"mail:{address}")
        self.address = address
        self.client = client


@pytest.mark.parametrize("backend_kind", ["memory"])
class TestRepositoriesOfOnesOwn(RepositoryContract):
    """An application's own channel class keeps the contract too, with the rows of any other class."""

    @pytest.fixture
    def open_channels(self, open_backend: OpenBackend) -> OpenChannels:
        namespace = fresh_namespace()
        return lambda: RoomRepository.on_backend(open_backend(namespace))


CHANNELS: list[tuple[type[AbstractChannelRepository], AbstractChannel, dict[str, Any]]] = [
    (
        SSEChannelRepository,
        SSEChannel(stream_delay_seconds=3, retry_timeout_milliseconds=700, channel_id="ä:~"),
        {"stream_delay_seconds": 3, "retry_timeout_milliseconds": 700, "channel_id": "ä:~"},
    ),
    (SSEChannelRepository, SSEChannel(channel_id="x"), {"stream_delay_seconds": 0, "retry_timeout_milliseconds": 5}),
    (ChannelRepository, Channel(0.5, "x" * 1024), {"stream_delay_seconds": 0.5, "channel_id": "x" * 1024}),
    (RoomRepository, RoomChannel("news", "room"), {"topic": "news", "channel_id": "room"}),
]


@pytest.mark.parametrize(("kind", "channel", "arguments"), CHANNELS)
def test_create_undoes_channel_to_dict(
    kind: type[AbstractChannelRepository], channel: AbstractChannel, arguments: dict[str, Any], backend: Backend
) -> None:
    """C1: equal in every argument of the constructor, with the repository's own factory, and nothing is stored."""
    channels = kind.on_backend(backend)
    made = channels.create(channels._channel_to_dict(channel))
    assert type(made) is type(channel)
    for name in inspect.signature(type(channel)).parameters:
        if name != "connections_factory":
            attribute = "id" if name == "channel_id" else name
            assert getattr(made, attribute) == getattr(channel, attribute)
            assert getattr(made, attribute) == arguments.get(name, getattr(channel, attribute))
    assert made.connections_factory is channels.connections_factory
    assert list(backend.kv_storage("channels").items()) == []
    channels.persist(channel)
    loaded = channels.load_one(channel.id)
    assert channels._channel_to_dict(loaded) == channels._channel_to_dict(channel)


def test_create_takes_the_channel_s_arguments_alone() -> None:
    channels = repository_on(InMemoryStorage())
    several: tuple[Any, ...] = ({"connections_factory": None}, {"topic": "news"}, {"channel_id": 7}, [], None)
    for refused in several:
        with pytest.raises(TypeError):
            channels.create(refused)
    with pytest.raises(ValueError, match="channel id"):
        channels.create({"channel_id": ""})
    with pytest.raises(TypeError, match="channel"):
        channels.persist("news")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="connection"):
        channels.connections_repository.persist("news", "one")  # type: ignore[arg-type]


def test_only_configuration_is_stored(backend: Backend) -> None:
    """No message, no client, no object: class names, ids, and the queue's name and options."""
    channels = SSEChannelRepository.on_backend(backend, max_length=10, when_full="drop_oldest")
    channel = channels.create({"channel_id": "news"})
    listener = channel.add_listener()
    listener.start()
    channel.broadcast(Message("secret", "payload"))
    channels.persist(channel)
    rows = dict(backend.kv_storage("channels").items())
    (connection,) = channel.get_connections()
    assert rows[f"{{rows}}listeners:{connection.id}:"]["value"] == {
        "class": "MessageQueueListener",
        "configuration": {"listener_id": listener.id},
    }
    assert rows[f"{{rows}}queues:{connection.id}:"]["value"] == {
        "class": "DurableQueue",
        "configuration": {
            "name": f"connection:{connection.id}",
            "visibility_timeout": 30.0,
            "max_length": 10,
            "when_full": "drop_oldest",
        },
    }
    assert "payload" not in str(rows)
    loaded = channels.load_one("news")
    assert not loaded.get_listener(listener.id).is_running()
    loaded.get_listener(listener.id).start()
    assert loaded.deliver_next(listener.id) == Message("secret", "payload")


def test_deleting_a_connection_takes_its_messages(backend: Backend) -> None:
    """C2: the messages of a durable queue are deleted with it."""
    channels = SSEChannelRepository.on_backend(backend)
    channel = channels.create({"channel_id": "news"})
    gone, kept = channel.add_listener(), channel.add_listener()
    channel.broadcast(Message("greeting"))
    channels.persist(channel)
    names = {one: channel.get_connection(one.id).queue.name for one in (gone, kept)}  # type: ignore[attr-defined]
    channel.remove_listener(gone.id)
    channels.persist(channel)
    assert (backend.queue(names[gone]).count(), backend.queue(names[kept]).count()) == (0, 1)
    channels.delete("news")
    assert backend.queue(names[kept]).count() == 0


def test_repositories_of_different_names_are_apart(backend: Backend) -> None:
    storage = backend.kv_storage()
    connections = repository_on(storage).connections_repository
    factory = InMemoryConnectionsFactory()
    rooms = RoomRepository(storage, connections, factory, name="rooms")
    events = SSEChannelRepository(storage, connections, factory, name="events")
    rooms.persist(RoomChannel("news", "room"))
    events.persist(SSEChannel(channel_id="event"))
    assert [one.id for one in rooms.load_all()] == ["room"]
    assert [one.id for one in events.load_all()] == ["event"]
    with pytest.raises(ItemNotFound):
        rooms.load_one("event")
    for refused in ("", "x" * 1025, None):
        with pytest.raises((ValueError, TypeError), match="name"):
            SSEChannelRepository(storage, connections, factory, name=refused)  # type: ignore[arg-type]


def test_what_else_lies_in_the_storage_is_left_alone(backend: Backend) -> None:
    storage = backend.kv_storage("channels")
    storage.upsert("channels", 1)
    storage.upsert("settings", {"a": 1})
    channels = SSEChannelRepository.on_backend(backend)
    channels.persist(channels.create({"channel_id": "news"}))
    channels.delete("news")
    assert dict(storage.items()) == {"channels": 1, "settings": {"a": 1}}


@pytest.mark.parametrize("storage", [InMemoryStorage(), ForeignStorage()])
def test_a_listener_with_a_client_of_its_own(storage: Any) -> None:
    client = object()
    classes = listener_classes()
    classes.register(Mailer, lambda mailer: {"address": mailer.address}, lambda address: Mailer(address, client))
    ListenerRepository(storage, classes).persist("one", Mailer("ann@x", client))
    loaded = ListenerRepository(storage, classes).load("one")
    assert isinstance(loaded, Mailer)
    assert (loaded.id, loaded.address, loaded.client is client) == ("mail:ann@x", "ann@x", True)
    with pytest.raises(StoredDataError, match="Mailer"):
        ListenerRepository(storage).load("one")


def test_a_class_that_is_not_registered_is_refused() -> None:
    class Special(InMemoryQueue):
        pass

    storage = InMemoryStorage()
    for repository, thing in (
        (ListenerRepository(storage), Mailer("ann@x", None)),
        (QueueRepository(storage), Special()),
        (QueueRepository(ForeignStorage()), DurableQueue(backend_of(InMemoryStorage().session).queue())),
    ):
        with pytest.raises(TypeError, match=type(thing).__name__):
            repository.persist("one", thing)  # type: ignore[arg-type]
    assert list(storage.fetch_all()) == []


def test_a_registry_knows_what_it_was_told() -> None:
    classes: ClassRegistry[Any] = ClassRegistry("listener")
    classes.register(Mailer, lambda mailer: {"address": mailer.address}, name="mail")
    for arguments in ((Mailer, dict), (MessageQueueListener, dict, None, "mail")):
        with pytest.raises(ValueError, match="registered already"):
            classes.register(*arguments)
    with pytest.raises(TypeError, match="class"):
        classes.register("Mailer", dict)  # type: ignore[arg-type]
    rows: tuple[Any, ...] = (
        None,
        [],
        {"class": "mail"},
        {"class": "system", "configuration": {}},
        {"configuration": {}},
        {"class": [], "configuration": {}},
        {"class": "mail", "configuration": []},
        {"class": "mail", "configuration": {}, "more": 1},
    )
    for value in rows:
        with pytest.raises(StoredDataError, match="listener"):
            classes.make(value)


def test_two_registries_share_nothing() -> None:
    classes = listener_classes()
    classes.register(Mailer, dict)
    with pytest.raises(TypeError, match="Mailer"):
        listener_classes().describe(Mailer("ann@x", None))
    assert queue_classes() is not queue_classes()


def test_queues_in_memory_come_back_empty_with_their_options() -> None:
    storage = ForeignStorage()
    queue = InMemoryQueue(max_length=7, when_full="drop_oldest")
    queue.push(Message("a"))
    QueueRepository(storage).persist("one", queue)
    loaded = QueueRepository(storage).load("one")
    assert isinstance(loaded, InMemoryQueue)
    assert (loaded.max_length, loaded.when_full) == (7, "drop_oldest")
    with pytest.raises(NoMessagesException):
        loaded.pop()


def test_factories_check_their_options_at_once(backend: Backend) -> None:
    with pytest.raises(TypeError, match="size"):
        InMemoryConnectionsFactory(size=1)
    with pytest.raises(TypeError, match="size"):
        DurableConnectionsFactory(backend, size=1)
    with pytest.raises(ValueError, match="max_length"):
        DurableConnectionsFactory(backend, max_length=0)
    with pytest.raises(TypeError, match="backend"):
        DurableConnectionsFactory("memory://")  # type: ignore[arg-type]
    listener = MessageQueueListener("ann")
    for factory in (InMemoryConnectionsFactory(), DurableConnectionsFactory(backend)):
        made: Connection = factory.create(listener=listener)
        assert made.listener is listener
        assert made.id != factory.create().id

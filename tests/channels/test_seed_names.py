"""Every class, method and argument of eric-sse's persistence exists here, under the name it had."""

from __future__ import annotations

import inspect
import subprocess
import sys
from abc import ABC
from typing import Any

import pytest

from channels.storages import SubclassStorage
from feedstore import channels
from feedstore.channels import (
    AbstractChannel,
    AbstractChannelRepository,
    Channel,
    ChannelRepositoryInterface,
    Connection,
    ConnectionRepository,
    ConnectionRepositoryInterface,
    ConnectionsFactory,
    InMemoryConnectionsFactory,
    KvStorage,
    ListenerRepositoryInterface,
    Message,
    MessageQueueListener,
    Queue,
    QueueRepositoryInterface,
    SSEChannel,
)
from feedstore.compat.eric_sse import InMemoryStorage
from seed_names import SeedMethod, seed_methods

KV = {
    "fetch_by_prefix": ["prefix"],
    "fetch_all": [],
    "upsert": ["key", "value"],
    "fetch_one": ["key"],
    "delete": ["key"],
}
CONNECTIONS = {
    "load_all": ["channel_id"],
    "load_one": ["channel_id", "connection_id"],
    "persist": ["channel_id", "connection"],
    "delete": ["channel_id", "connection_id"],
}
CHANNELS = {
    "load_all": [],
    "load_one": ["channel_id"],
    "persist": ["channel"],
    "delete": ["channel_id"],
    "create": ["channel_data"],
}
CHANNEL = {
    "adapt": ["msg"],
    "add_listener": [],
    "register_listener": ["listener"],
    "register_connection": ["connection"],
    "remove_listener": ["listener_id"],
    "deliver_next": ["listener_id"],
    "dispatch": ["listener_id", "msg"],
    "broadcast": ["msg"],
    "get_listener": ["listener_id"],
    "get_connections": [],
    "message_stream": ["listener"],
    "watch": [],
}
CLASSES: list[tuple[type[Any], dict[str, list[str]]]] = [
    (KvStorage, KV),
    (InMemoryStorage, {**KV, "__init__": ["items"]}),
    (
        QueueRepositoryInterface,
        {"load": ["connection_id"], "persist": ["connection_id", "queue"], "delete": ["connection_id"]},
    ),
    (
        ListenerRepositoryInterface,
        {"load": ["connection_id"], "persist": ["connection_id", "listener"], "delete": ["connection_id"]},
    ),
    (ConnectionRepositoryInterface, CONNECTIONS),
    (ConnectionRepository, {**CONNECTIONS, "__init__": ["storage", "listeners_repository", "queues_repository"]}),
    (ChannelRepositoryInterface, CHANNELS),
    (AbstractChannelRepository, {**CHANNELS, "__init__": ["storage", "connections_repository", "connections_factory"]}),
    (AbstractChannel, {**CHANNEL, "__init__": ["stream_delay_seconds", "channel_id", "connections_factory"]}),
    (
        SSEChannel,
        {
            **CHANNEL,
            "__init__": ["stream_delay_seconds", "retry_timeout_milliseconds", "channel_id", "connections_factory"],
        },
    ),
    (Channel, CHANNEL),
    (Message, {"__init__": ["msg_type", "msg_payload"]}),
    (Queue, {"push": ["message"], "pop": []}),
    (
        MessageQueueListener,
        {"__init__": ["listener_id"], "on_message": ["msg"], "start": [], "stop": [], "is_running": []},
    ),
    (Connection, {"__init__": ["listener", "queue", "connection_id"]}),
    (ConnectionsFactory, {"create": ["listener"]}),
]


@pytest.mark.parametrize("method", seed_methods(CLASSES), ids=str)
def test_a_method_takes_the_arguments_it_had(method: SeedMethod) -> None:
    method.check()


@pytest.mark.parametrize(
    ("owner", "abstract"),
    [
        (QueueRepositoryInterface, {"load", "persist", "delete"}),
        (ListenerRepositoryInterface, {"load", "persist", "delete"}),
        (
            ConnectionRepositoryInterface,
            {"queues_repository", "listeners_repository", "load_all", "load_one", "persist", "delete"},
        ),
        (
            ChannelRepositoryInterface,
            {
                "connections_factory",
                "connections_repository",
                "load_all",
                "load_one",
                "persist",
                "delete",
                "create",
            },
        ),
        (AbstractChannelRepository, {"create", "_channel_to_dict"}),
        (AbstractChannel, {"adapt"}),
        (ConnectionsFactory, {"create"}),
        (Queue, {"push", "pop"}),
    ],
)
def test_what_is_abstract(owner: Any, abstract: set[str]) -> None:
    assert owner.__abstractmethods__ == abstract
    assert issubclass(owner, ABC)
    with pytest.raises(TypeError, match="abstract"):
        owner()


def test_channel_to_dict_is_static() -> None:
    assert isinstance(inspect.getattr_static(AbstractChannelRepository, "_channel_to_dict"), staticmethod)


def test_the_properties_are_properties() -> None:
    for owner, names in (
        (ConnectionRepositoryInterface, ("queues_repository", "listeners_repository")),
        (ChannelRepositoryInterface, ("connections_factory", "connections_repository")),
        (ConnectionRepository, ("queues_repository", "listeners_repository")),
        (AbstractChannelRepository, ("connections_factory", "connections_repository")),
        (Connection, ("listener", "queue", "id")),
        (Message, ("type", "payload")),
        (AbstractChannel, ("id",)),
    ):
        assert all(isinstance(inspect.getattr_static(owner, name), property) for name in names)


def test_all_names_are_there() -> None:
    assert all(hasattr(channels, name) for name in channels.__all__)
    assert sorted(channels.__all__) == channels.__all__


def test_importing_channels_imports_no_driver() -> None:
    script = "import sys, feedstore.channels; print(*sys.modules)"
    printed = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    loaded = {name.split(".")[0] for name in printed.split()}
    assert "feedstore" in loaded
    assert loaded.isdisjoint({"sqlalchemy", "redis", "psycopg", "eric_sse", "starlette", "sse_starlette"})


def test_a_storage_in_memory_stands_on_its_own() -> None:
    items = {"a": 1}
    storage = InMemoryStorage(items)
    storage.upsert("b", 2)
    assert (list(storage.fetch_all()), items) == ([1, 2], {"a": 1})
    assert list(InMemoryStorage(items=None).fetch_all()) == []


def test_the_default_factory_makes_queues_in_memory() -> None:
    assert isinstance(SSEChannel().connections_factory, InMemoryConnectionsFactory)
    assert SSEChannel().retry_timeout_milliseconds == 5
    assert SSEChannel().id != SSEChannel().id


def test_a_subclass_of_the_storage_needs_its_five_methods_alone() -> None:
    assert KvStorage.__abstractmethods__ == set(KV)
    assert isinstance(SubclassStorage(), KvStorage)
    assert isinstance(InMemoryStorage(), KvStorage)
    with pytest.raises(TypeError, match="fetch_one"):
        type("Partial", (KvStorage,), {name: None for name in KV if name != "fetch_one"})()

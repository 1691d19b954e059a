"""Channels and connections: messages that are dispatched to one listener or broadcast to all, and what keeps them.

Every name of eric-sse's persistence is here, over feedstore's own backends; :mod:`feedstore.channels.eric` makes these
backends the storage of eric-sse itself.
"""

from feedstore.backends.memory import InMemoryStorage
from feedstore.channels.channel import AbstractChannel, Channel
from feedstore.channels.channel_repository import AbstractChannelRepository, ChannelRepository, SSEChannelRepository
from feedstore.channels.class_registry import ClassRegistry
from feedstore.channels.connection import Connection
from feedstore.channels.connection_repository import ConnectionRepository
from feedstore.channels.connections_factory import (
    ConnectionsFactory,
    DurableConnectionsFactory,
    InMemoryConnectionsFactory,
)
from feedstore.channels.durable_queue import DurableQueue
from feedstore.channels.in_memory_queue import InMemoryQueue
from feedstore.channels.interfaces import (
    ChannelRepositoryInterface,
    ConnectionRepositoryInterface,
    KvStorage,
    ListenerRepositoryInterface,
    QueueRepositoryInterface,
)
from feedstore.channels.listener import MessageQueueListener
from feedstore.channels.listener_repository import ListenerRepository
from feedstore.channels.message import Message, MessageContract, SignedMessage, UniqueMessage
from feedstore.channels.queue import Queue
from feedstore.channels.queue_repository import QueueRepository
from feedstore.channels.registered import listener_classes, queue_classes
from feedstore.channels.sse_channel import SSEChannel
from feedstore.channels.unit_of_work import KeyValueStorage, UnitOfWork
from feedstore.errors import InvalidListenerException, ItemNotFound, NoMessagesException, QueueFull

__all__ = [
    "AbstractChannel",
    "AbstractChannelRepository",
    "Channel",
    "ChannelRepository",
    "ChannelRepositoryInterface",
    "ClassRegistry",
    "Connection",
    "ConnectionRepository",
    "ConnectionRepositoryInterface",
    "ConnectionsFactory",
    "DurableConnectionsFactory",
    "DurableQueue",
    "InMemoryConnectionsFactory",
    "InMemoryQueue",
    "InMemoryStorage",
    "InvalidListenerException",
    "ItemNotFound",
    "KeyValueStorage",
    "KvStorage",
    "ListenerRepository",
    "ListenerRepositoryInterface",
    "Message",
    "MessageContract",
    "MessageQueueListener",
    "NoMessagesException",
    "Queue",
    "QueueFull",
    "QueueRepository",
    "QueueRepositoryInterface",
    "SSEChannel",
    "SSEChannelRepository",
    "SignedMessage",
    "UniqueMessage",
    "UnitOfWork",
    "listener_classes",
    "queue_classes",
]

"""Channels and connections: messages that are dispatched to one listener or broadcast to all, and their repositories.

The names are those of eric-sse's persistence, over feedstore's own backends. :mod:`feedstore.compat.eric` makes these
backends the storage of eric-sse itself.
"""

from feedstore.channels.channel import AbstractChannel, Channel, SSEChannel
from feedstore.channels.channel_repository import AbstractChannelRepository, ChannelRepository, SSEChannelRepository
from feedstore.channels.class_registry import ClassRegistry, listener_classes, queue_classes
from feedstore.channels.connection import (
    Connection,
    ConnectionsFactory,
    DurableConnectionsFactory,
    InMemoryConnectionsFactory,
)
from feedstore.channels.connection_repository import ConnectionRepository, ListenerRepository, QueueRepository
from feedstore.channels.durable_queue import DurableQueue
from feedstore.channels.interfaces import (
    ChannelRepositoryInterface,
    ConnectionRepositoryInterface,
    KvStorage,
    ListenerRepositoryInterface,
    QueueRepositoryInterface,
)
from feedstore.channels.listener import MessageQueueListener
from feedstore.channels.message import Message, MessageContract, SignedMessage, UniqueMessage
from feedstore.channels.queue import InMemoryQueue, Queue
from feedstore.channels.rows import KeyValueStorage
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
    "listener_classes",
    "queue_classes",
]

"""Channels with queues in a message broker with its own client: the example of "Writing repositories"."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Iterable

from feedstore.channels import (
    Connection,
    ConnectionRepository,
    ConnectionsFactory,
    ItemNotFound,
    ListenerRepository,
    Message,
    MessageContract,
    MessageQueueListener,
    NoMessagesException,
    Queue,
    QueueRepositoryInterface,
    SSEChannelRepository,
    listener_classes,
)
from feedstore.storage import Backend, KvStorage


class Broker:
    """Stand-in for the client of a message broker. Like most clients it holds a lock, which cannot be serialized."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lists: dict[str, deque[tuple[str, object]]] = defaultdict(deque)

    def append(self, name: str, item: tuple[str, object]) -> None:
        """Append an item to a list."""
        with self._lock:
            self._lists[name].append(item)

    def take(self, name: str) -> tuple[str, object] | None:
        """Remove and return the first item of a list, or return None if the list is empty."""
        with self._lock:
            return self._lists[name].popleft() if self._lists[name] else None

    def drop(self, name: str) -> None:
        """Remove a list."""
        with self._lock:
            self._lists.pop(name, None)


class BrokerQueue(Queue):
    """Queue in a list of the broker."""

    blocking = True

    def __init__(self, broker: Broker, name: str) -> None:
        self._broker = broker
        self.name = name

    def push(self, message: MessageContract) -> None:
        """One request."""
        self._broker.append(self.name, (message.type, message.payload))

    def pop(self) -> MessageContract:
        """One request."""
        item = self._broker.take(self.name)
        if item is None:
            raise NoMessagesException(f"the broker's list {self.name!r} is empty")
        return Message(*item)

    def discard(self) -> None:
        """One request."""
        self._broker.drop(self.name)


class BrokerQueueRepository(QueueRepositoryInterface):
    """Repository that stores the name of each connection's list. The constructor takes the client."""

    def __init__(self, storage: KvStorage, broker: Broker) -> None:
        self._storage = storage
        self._broker = broker

    def load(self, connection_id: str) -> BrokerQueue:
        """One round trip."""
        return BrokerQueue(self._broker, self._storage.fetch_one(connection_id))

    def load_many(self, connection_ids: Iterable[str]) -> dict[str, Queue]:
        """One round trip for each few hundred."""
        names = self._storage.fetch_many(connection_ids)
        return {connection_id: BrokerQueue(self._broker, name) for connection_id, name in names.items()}

    def persist(self, connection_id: str, queue: Queue) -> None:
        """One round trip. Accepts only queues of this broker."""
        if not isinstance(queue, BrokerQueue):
            raise TypeError(f"this repository keeps queues of the broker's, not {queue!r}")
        self._storage.upsert(connection_id, queue.name)

    def delete(self, connection_id: str) -> None:
        """Delete the messages first, then the name of their list."""
        try:
            queue = self.load(connection_id)
        except ItemNotFound:
            return
        queue.discard()
        self._storage.delete(connection_id)


class BrokerConnectionsFactory(ConnectionsFactory):
    """Factory that gives each new connection a separate list."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def create(self, listener: MessageQueueListener | None = None) -> Connection:
        """No request: the broker creates a list when an item is appended to it."""
        listener = Mailbox("zoe@example.org", self._broker) if listener is None else listener
        return Connection(listener, BrokerQueue(self._broker, f"listener:{listener.id}"))


class Mailbox(MessageQueueListener):
    """Listener that forwards each delivery through the broker."""

    def __init__(self, address: str, broker: Broker, listener_id: str | None = None) -> None:
        super().__init__(listener_id)
        self.address = address
        self._broker = broker

    def on_message(self, msg: MessageContract) -> None:
        """One request."""
        self._broker.append("outgoing", (self.address, msg.payload))


def channels_on(backend: Backend, broker: Broker) -> SSEChannelRepository:
    """Return a repository that stores its rows in a backend and its messages in the broker."""
    mailboxes = listener_classes()
    mailboxes.register(
        Mailbox,
        configuration=lambda mailbox: {"address": mailbox.address, "listener_id": mailbox.id},
        make=lambda address, listener_id: Mailbox(address, broker, listener_id),
    )
    storage = backend.kv_storage("channels")
    connections = ConnectionRepository(
        storage,
        ListenerRepository(storage, mailboxes),
        BrokerQueueRepository(backend.kv_storage("queues"), broker),
    )
    return SSEChannelRepository(storage, connections, BrokerConnectionsFactory(broker))

"""Channel repositories over given storages."""

from __future__ import annotations

from feedstore.channels import (
    ConnectionRepository,
    ConnectionsFactory,
    InMemoryConnectionsFactory,
    KeyValueStorage,
    ListenerRepository,
    QueueRepository,
    SSEChannelRepository,
)


def repository_on(
    channels: KeyValueStorage,
    connections: KeyValueStorage | None = None,
    listeners: KeyValueStorage | None = None,
    queues: KeyValueStorage | None = None,
    factory: ConnectionsFactory | None = None,
) -> SSEChannelRepository:
    """A channel repository on one storage, or on one for each of the four repositories."""
    connection_repository = ConnectionRepository(
        connections or channels, ListenerRepository(listeners or channels), QueueRepository(queues or channels)
    )
    return SSEChannelRepository(channels, connection_repository, factory or InMemoryConnectionsFactory())

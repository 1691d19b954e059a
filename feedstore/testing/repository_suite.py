"""Base class and helpers of the suites of repositories."""

from __future__ import annotations

from typing import Any, Protocol

import pytest

from feedstore.channels import (
    AbstractChannel,
    ChannelRepositoryInterface,
    Connection,
    ConnectionRepositoryInterface,
)
from feedstore.testing.samples import HARD_KEYS

HARD_IDS = (*HARD_KEYS, "~", "~0", "~1", "a~1b", ":", "a:", ":a", "a:b:c", "ab", "x" * 300, "x" * 301, "x" * 1022 + ":")
"""Ids that differ: prefixes of each other, with separators in them, as long as a key may be."""
MORE_THAN_ONE_SCAN = 260
"""More rows than a shipped backend scans in one call."""
REFUSED: tuple[tuple[Any, type[Exception]], ...] = (
    ("x" * 1025, ValueError),
    ("", ValueError),
    (7, TypeError),
    (None, TypeError),
)


class OpenChannels(Protocol):
    """Type of the fixture ``open_channels``, which closes the backends that it opens."""

    def __call__(self) -> ChannelRepositoryInterface:
        """Make a channel repository on one store, which was empty before the test, as another process would."""


class RepositorySuite:
    """Fixtures over ``open_channels``, which the inheriting class or a conftest provides.

    Connections are made by the repository's own connections factory, so that listeners and queues are of the classes
    that it keeps; channels by its ``create``.
    """

    @pytest.fixture
    def channels(self, open_channels: OpenChannels) -> ChannelRepositoryInterface:
        """The channel repository."""
        return open_channels()

    @pytest.fixture
    def connections(self, channels: ChannelRepositoryInterface) -> ConnectionRepositoryInterface:
        """The repository of its connections."""
        return channels.connections_repository


def new_connection(channels: ChannelRepositoryInterface, connection_id: str | None = None) -> Connection:
    """Return a connection of the classes that the repository keeps, under an id if one is given."""
    made = channels.connections_factory.create()
    return Connection(made.listener, made.queue, made.id if connection_id is None else connection_id)


def new_channel(channels: ChannelRepositoryInterface, channel_id: str, connections: int = 0) -> AbstractChannel:
    """Return a channel with so many connections."""
    channel = channels.create({"channel_id": channel_id})
    for _ in range(connections):
        channel.register_connection(new_connection(channels))
    return channel


def seen(connections: Any) -> dict[str, str]:
    """Return ``{connection id: listener id}``."""
    return {connection.id: connection.listener.id for connection in connections}

"""The contract of the repositories of connections."""

from __future__ import annotations

import pytest

from feedstore.channels import ChannelRepositoryInterface, ConnectionRepositoryInterface, ItemNotFound
from feedstore.testing.repository_suite import (
    HARD_IDS,
    MORE_THAN_ONE_SCAN,
    REFUSED,
    OpenChannels,
    RepositorySuite,
    new_channel,
    new_connection,
    seen,
)
from feedstore.testing.suite import naming


class ConnectionRepositorySuite(RepositorySuite):
    """Repositories of connections."""

    def test_a_connection_comes_back(self, channels: ChannelRepositoryInterface, open_channels: OpenChannels) -> None:
        """Connections: with its id, its listener and its queue."""
        connection = new_connection(channels)
        channels.connections_repository.persist("news", connection)
        loaded = open_channels().connections_repository.load_one("news", connection.id)
        assert (loaded.id, loaded.listener.id) == (connection.id, connection.listener.id)
        assert type(loaded.queue) is type(connection.queue)
        assert seen(open_channels().connections_repository.load_all("news")) == seen([connection])
        assert list(channels.connections_repository.connection_ids("news")) == [connection.id]

    def test_persisting_again_replaces(
        self, channels: ChannelRepositoryInterface, connections: ConnectionRepositoryInterface
    ) -> None:
        """Connections: the same id once, with the last listener."""
        for _ in range(2):
            connection = new_connection(channels, "one")
            connections.persist("news", connection)
        assert seen(connections.load_all("news")) == {"one": connection.listener.id}

    def test_an_absent_connection(
        self, channels: ChannelRepositoryInterface, connections: ConnectionRepositoryInterface
    ) -> None:
        """C2: never there, deleted, or another channel's: ItemNotFound. A channel without any has none."""
        kept, gone = new_connection(channels, "kept"), new_connection(channels, "gone")
        connections.persist("news", kept)
        connections.persist("news", gone)
        connections.delete("news", "gone")
        for channel_id, connection_id in (("news", "gone"), ("news", "never"), ("other", "kept"), ("kept", "news")):
            with pytest.raises(ItemNotFound):
                connections.load_one(channel_id, connection_id)
        assert list(connections.load_all("other")) == []

    def test_deleting_takes_the_parts(
        self, channels: ChannelRepositoryInterface, connections: ConnectionRepositoryInterface
    ) -> None:
        """C2: the listener and the queue go with their connection, others stay; deleting twice is no error."""
        for one in ("kept", "gone"):
            connections.persist("news", new_connection(channels, one))
        for _ in range(2):
            connections.delete("news", "gone")
        connections.delete("news", "never")
        for part in (connections.listeners_repository, connections.queues_repository):
            with pytest.raises(ItemNotFound):
                part.load("gone")
            part.load("kept")
        assert connections.load_one("news", "kept").id == "kept"

    def test_deleting_another_channel_s_connection(
        self, channels: ChannelRepositoryInterface, connections: ConnectionRepositoryInterface
    ) -> None:
        """C2: a delete through another channel does not change the connection."""
        connections.persist("news", new_connection(channels, "one"))
        connections.delete("other", "one")
        assert connections.load_one("news", "one").id == "one"

    def test_hard_ids(self, channels: ChannelRepositoryInterface, connections: ConnectionRepositoryInterface) -> None:
        """K1: no channel loads another's connections, for any ids."""
        made = {one: new_connection(channels, other) for one, other in zip(HARD_IDS, reversed(HARD_IDS), strict=True)}
        for channel_id, connection in made.items():
            connections.persist(channel_id, connection)
        for channel_id, connection in made.items():
            assert seen(connections.load_all(channel_id)) == seen([connection]), channel_id
            assert connections.load_one(channel_id, connection.id).listener.id == connection.listener.id
        first, *others = made.items()
        connections.delete(first[0], first[1].id)
        assert list(connections.load_all(first[0])) == []
        assert all(seen(connections.load_all(one)) == seen([connection]) for one, connection in others)

    def test_one_id_in_two_channels(
        self, channels: ChannelRepositoryInterface, connections: ConnectionRepositoryInterface
    ) -> None:
        """C2: a shared connection is deleted with the last of its channels."""
        connection = new_connection(channels, "one")
        for channel_id in ("a", "a:b", "b"):
            connections.persist(channel_id, connection)
        for channel_id in ("a", "b"):
            connections.delete(channel_id, "one")
            assert seen(connections.load_all("a:b")) == seen([connection])
        connections.delete("a:b", "one")
        with pytest.raises(ItemNotFound):
            connections.listeners_repository.load("one")

    def test_deleting_while_iterating(
        self, channels: ChannelRepositoryInterface, connections: ConnectionRepositoryInterface
    ) -> None:
        """K3: returned connections may be deleted during the scan, and no other connection is missed."""
        channel = new_channel(channels, "news", connections=MORE_THAN_ONE_SCAN)
        channels.persist(channel)
        found = []
        for connection in connections.load_all("news"):
            found.append(connection)
            if len(found) % 4 == 0:
                connections.delete("news", connection.id)
        assert seen(found) == seen(channel.get_connections())
        assert seen(connections.load_all("news")) == seen(one for place, one in enumerate(found, 1) if place % 4)

    def test_what_is_no_channel_s_id_is_refused(self, channels: ChannelRepositoryInterface) -> None:
        """Connections: an id follows the rules of keys, and nothing is left of a connection that was refused."""
        connection = new_connection(channels, "one")
        for refused, error in REFUSED:
            with naming(refused), pytest.raises(error):
                channels.connections_repository.persist(refused, connection)
            with naming(refused), pytest.raises(ItemNotFound):
                channels.connections_repository.listeners_repository.load("one")

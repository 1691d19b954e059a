"""The contract of the repositories of channels."""

from __future__ import annotations

import pytest

from feedstore.channels import ChannelRepositoryInterface, ConnectionRepositoryInterface, ItemNotFound
from feedstore.testing.repository_suite import (
    HARD_IDS,
    MORE_THAN_ONE_SCAN,
    OpenChannels,
    RepositorySuite,
    new_channel,
    new_connection,
    seen,
)


class ChannelRepositorySuite(RepositorySuite):
    """Repositories of channels."""

    def test_a_channel_comes_back(self, channels: ChannelRepositoryInterface, open_channels: OpenChannels) -> None:
        """Channels: of the same class, with its connections, and with the repository's factory."""
        channel = new_channel(channels, "news", connections=3)
        channels.persist(channel)
        other = open_channels()
        loaded = other.load_one("news")
        assert type(loaded) is type(channel)
        assert loaded is not channel
        assert loaded.id == "news"
        assert seen(loaded.get_connections()) == seen(channel.get_connections())
        assert loaded.connections_factory is other.connections_factory

    def test_creating_stores_nothing(self, channels: ChannelRepositoryInterface) -> None:
        """Channels: until the channel is persisted."""
        channel = channels.create({"channel_id": "news"})
        assert channel.id == "news"
        assert list(channels.load_all()) == []
        with pytest.raises(ItemNotFound):
            channels.load_one("news")

    def test_what_a_channel_has_no_argument_for(self, channels: ChannelRepositoryInterface) -> None:
        """Channels: is a TypeError, not ignored."""
        with pytest.raises(TypeError):
            channels.create({"channel_id": "news", "no_such_argument": 1})

    def test_an_absent_channel(self, channels: ChannelRepositoryInterface) -> None:
        """C2: never there or deleted: ItemNotFound; deleting twice is no error."""
        channels.persist(new_channel(channels, "gone", connections=1))
        for _ in range(2):
            channels.delete("gone")
        channels.delete("never")
        for absent in ("gone", "never"):
            with pytest.raises(ItemNotFound):
                channels.load_one(absent)
        assert list(channels.load_all()) == []

    def test_saving_removes_what_was_dropped(
        self, channels: ChannelRepositoryInterface, open_channels: OpenChannels
    ) -> None:
        """C1: a connection that the channel has no longer goes, with its parts; a new one comes."""
        channel = new_channel(channels, "news", connections=3)
        channels.persist(channel)
        dropped, *kept = channel.get_connections()
        channel.remove_listener(dropped.listener.id)
        channel.register_connection(new_connection(channels))
        channels.persist(channel)
        loaded = open_channels().load_one("news")
        assert seen(loaded.get_connections()) == seen(channel.get_connections())
        assert {one.id for one in kept} < seen(loaded.get_connections()).keys()
        for part in (
            channels.connections_repository.listeners_repository,
            channels.connections_repository.queues_repository,
        ):
            with pytest.raises(ItemNotFound):
                part.load(dropped.id)

    def test_another_object_of_the_same_channel(self, channels: ChannelRepositoryInterface) -> None:
        """C1: the last saved channel is loaded, also if another process saved it."""
        channels.persist(new_channel(channels, "news", connections=2))
        last = new_channel(channels, "news", connections=1)
        channels.persist(last)
        assert seen(channels.load_one("news").get_connections()) == seen(last.get_connections())

    def test_deleting_takes_the_connections(
        self, channels: ChannelRepositoryInterface, connections: ConnectionRepositoryInterface
    ) -> None:
        """C2: with their parts, and no other channel's."""
        gone, kept = new_channel(channels, "a", connections=2), new_channel(channels, "a:", connections=2)
        channels.persist(gone)
        channels.persist(kept)
        channels.delete("a")
        assert list(connections.load_all("a")) == []
        for connection in gone.get_connections():
            with pytest.raises(ItemNotFound):
                connections.queues_repository.load(connection.id)
        assert seen(channels.load_one("a:").get_connections()) == seen(kept.get_connections())

    def test_all_channels(self, channels: ChannelRepositoryInterface, open_channels: OpenChannels) -> None:
        """K1: every channel is returned once, with its own connections, for any ids."""
        made = {one: new_channel(channels, one, connections=number % 3) for number, one in enumerate(HARD_IDS)}
        for channel in made.values():
            channels.persist(channel)
        loaded = {channel.id: channel for channel in open_channels().load_all()}
        assert loaded.keys() == made.keys()
        for one, channel in made.items():
            assert seen(loaded[one].get_connections()) == seen(channel.get_connections()), one
            assert channels.load_one(one).id == one

    def test_deleting_channels_while_iterating(self, channels: ChannelRepositoryInterface) -> None:
        """K3: each channel that a load gave may be deleted."""
        for number in range(5):
            channels.persist(new_channel(channels, f"news:{number}", connections=1))
        for channel in channels.load_all():
            channels.delete(channel.id)
        assert list(channels.load_all()) == []

    def test_many_connections(self, channels: ChannelRepositoryInterface, open_channels: OpenChannels) -> None:
        """C1: more connections than the shipped backends scan or read in one call."""
        channel = new_channel(channels, "news", connections=MORE_THAN_ONE_SCAN)
        channels.persist(channel)
        assert seen(open_channels().load_one("news").get_connections()) == seen(channel.get_connections())
        channels.delete("news")
        assert list(channels.connections_repository.load_all("news")) == []

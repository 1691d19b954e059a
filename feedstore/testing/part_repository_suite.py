"""The contract of the repositories of listeners and of queues."""

from __future__ import annotations

from typing import Any

import pytest

from feedstore.channels import ChannelRepositoryInterface, Connection, ItemNotFound
from feedstore.testing.repository_suite import HARD_IDS, REFUSED, OpenChannels, RepositorySuite, new_connection
from feedstore.testing.suite import naming


class PartRepositorySuite(RepositorySuite):
    """Repositories of listeners and of queues."""

    def test_a_listener_comes_back(self, channels: ChannelRepositoryInterface, open_channels: OpenChannels) -> None:
        """Listeners: another object of the same class with the same id, not started; the last one that was stored."""
        repository = channels.connections_repository.listeners_repository
        for _ in range(2):
            listener = new_connection(channels).listener
            listener.start()
            repository.persist("one", listener)
        loaded = open_channels().connections_repository.listeners_repository.load("one")
        assert type(loaded) is type(listener)
        assert loaded is not listener
        assert loaded.id == listener.id
        assert not loaded.is_running()

    def test_a_queue_comes_back(self, channels: ChannelRepositoryInterface, open_channels: OpenChannels) -> None:
        """Queues: one of the same class."""
        queue = new_connection(channels).queue
        channels.connections_repository.queues_repository.persist("one", queue)
        loaded = open_channels().connections_repository.queues_repository.load("one")
        assert type(loaded) is type(queue)

    @pytest.mark.parametrize("part", ["listeners_repository", "queues_repository"])
    def test_an_absent_part(self, channels: ChannelRepositoryInterface, part: str) -> None:
        """Parts: ItemNotFound, never there or deleted; deleting twice is no error."""
        repository: Any = getattr(channels.connections_repository, part)
        connection = new_connection(channels)
        repository.persist("gone", connection.listener if part == "listeners_repository" else connection.queue)
        for _ in range(2):
            repository.delete("gone")
        repository.delete("never")
        for absent in ("gone", "never"):
            with pytest.raises(ItemNotFound):
                repository.load(absent)

    @pytest.mark.parametrize("part", ["listeners_repository", "queues_repository"])
    def test_many_parts(self, channels: ChannelRepositoryInterface, part: str) -> None:
        """Parts: load_many leaves out those that are not there, and none asked for are none."""
        repository: Any = getattr(channels.connections_repository, part)
        made = {one: new_connection(channels) for one in HARD_IDS}
        for one, connection in made.items():
            repository.persist(one, connection.listener if part == "listeners_repository" else connection.queue)
        found = repository.load_many(iter(["never", *HARD_IDS]))
        assert found.keys() == set(HARD_IDS)
        if part == "listeners_repository":
            assert {one: listener.id for one, listener in found.items()} == seen_listeners(made)
        assert repository.load_many([]) == repository.load_many(["never"]) == {}

    def test_parts_are_apart(self, channels: ChannelRepositoryInterface) -> None:
        """Parts: a listener and a queue of one connection are separate rows, also in a shared storage."""
        listeners = channels.connections_repository.listeners_repository
        queues = channels.connections_repository.queues_repository
        connection = new_connection(channels)
        listeners.persist("one", connection.listener)
        with pytest.raises(ItemNotFound):
            queues.load("one")
        queues.persist("one", connection.queue)
        listeners.delete("one")
        assert type(queues.load("one")) is type(connection.queue)

    def test_what_is_no_id_is_refused(self, channels: ChannelRepositoryInterface) -> None:
        """Parts: an id follows the rules of keys."""
        connection = new_connection(channels)
        repository = channels.connections_repository
        for refused, error in REFUSED:
            with naming(refused), pytest.raises(error):
                repository.listeners_repository.persist(refused, connection.listener)
            with naming(refused), pytest.raises(error):
                repository.queues_repository.persist(refused, connection.queue)


def seen_listeners(made: dict[str, Connection]) -> dict[str, str]:
    """Return ``{id: listener id}`` of connections by any id."""
    return {one: connection.listener.id for one, connection in made.items()}

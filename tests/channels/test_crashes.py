"""The rows after a process died in the middle of a write, and after two processes saved one channel concurrently."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from channels.repositories import repository_on
from channels.storages import ForeignStorage
from feedstore.channels import (
    ConnectionRepository,
    InMemoryConnectionsFactory,
    ListenerRepository,
    ListenerRepositoryInterface,
    MessageQueueListener,
    QueueRepository,
    SSEChannel,
    SSEChannelRepository,
)
from feedstore.compat.eric_sse import InMemoryStorage
from feedstore.storage import Backend
from feedstore.testing.processes import run_in_threads
from feedstore.testing.repository_suite import new_channel, new_connection, seen
from stores import OpenBackend, fresh_namespace

ROUNDS = 2
CONNECTIONS = 4
# Saves one channel again and again, each time with other connections, which all carry the number of the round.
SAVER = """
import sys
from feedstore import connect
from feedstore.channels import Connection, DurableQueue, MessageQueueListener, SSEChannelRepository

url, namespace, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
with connect(url, namespace=namespace) as backend:
    channels = SSEChannelRepository.on_backend(backend)
    for number in range(10**6):
        channel = channels.create({"channel_id": "news", "retry_timeout_milliseconds": number})
        for one in range(count):
            queue = DurableQueue(backend.queue(f"{number}:{one}"))
            channel.register_connection(Connection(MessageQueueListener(f"{number}:{one}"), queue, f"{number}:{one}"))
        channels.persist(channel)
        print(number, flush=True)
"""


class Died(Exception):
    """The process is no more."""


class DyingStorage(ForeignStorage):
    """Carries out so many writes, and dies at the next one."""

    writes_left = 10**9

    def _write(self) -> None:
        if self.writes_left == 0:
            raise Died
        self.writes_left -= 1

    def upsert(self, key: str, value: Any) -> None:
        self._write()
        super().upsert(key, value)

    def delete(self, key: str) -> None:
        self._write()
        super().delete(key)


class AtOnce(ListenerRepositoryInterface):
    """An application's own repository, with only the required methods."""

    def __init__(self, storage: Any) -> None:
        self._inside = ListenerRepository(storage)

    def load(self, connection_id: str) -> MessageQueueListener:
        return self._inside.load(connection_id)

    def persist(self, connection_id: str, listener: MessageQueueListener) -> None:
        self._inside.persist(connection_id, listener)

    def delete(self, connection_id: str) -> None:
        self._inside.delete(connection_id)


@pytest.fixture(params=["joined", "at once"])
def dying(request: pytest.FixtureRequest) -> tuple[DyingStorage, SSEChannelRepository]:
    storage = DyingStorage()
    listeners = ListenerRepository(storage) if request.param == "joined" else AtOnce(storage)
    connections = ConnectionRepository(storage, listeners, QueueRepository(storage))
    return storage, SSEChannelRepository(storage, connections, InMemoryConnectionsFactory())


@contextmanager
def dies_after(storage: DyingStorage, writes: int) -> Iterator[None]:
    storage.writes_left = writes
    try:
        with pytest.raises(Died):
            yield
    finally:
        storage.writes_left = 10**9


@pytest.mark.parametrize("writes", range(9))
def test_dying_while_a_new_channel_is_saved(dying: tuple[DyingStorage, SSEChannelRepository], writes: int) -> None:
    """The channel is not stored. Saving it again has the effect of the first attempt."""
    storage, channels = dying
    channel = new_channel(channels, "news", connections=2)
    with dies_after(storage, writes):
        channels.persist(channel)
    assert list(channels.load_all()) == []
    assert seen(channels.connections_repository.load_all("news")).items() <= seen(channel.get_connections()).items()
    channels.persist(channel)
    assert seen(channels.load_one("news").get_connections()) == seen(channel.get_connections())
    channels.delete("news")
    assert storage.items == {}


@pytest.mark.parametrize("writes", range(9))
def test_dying_while_a_channel_is_deleted(dying: tuple[DyingStorage, SSEChannelRepository], writes: int) -> None:
    """The remaining channel is complete. Deleting it again leaves nothing."""
    storage, channels = dying
    channel = new_channel(channels, "news", connections=2)
    channels.persist(channel)
    with dies_after(storage, writes):
        channels.delete("news")
    assert seen(channels.load_one("news").get_connections()).items() <= seen(channel.get_connections()).items()
    channels.delete("news")
    assert storage.items == {}


@pytest.mark.parametrize("writes", range(4))
def test_dying_while_a_connection_is_saved(dying: tuple[DyingStorage, SSEChannelRepository], writes: int) -> None:
    """It is not there, and goes with its channel."""
    storage, channels = dying
    channels.persist(new_channel(channels, "news"))
    with dies_after(storage, writes):
        channels.connections_repository.persist("news", new_connection(channels, "one"))
    assert channels.load_one("news").get_connections() == []
    channels.delete("news")
    rows = [key for key in storage.items if not key.startswith("{rows}listeners:")]
    assert rows == []


def test_one_bad_connection_and_nothing_is_written(backend: Backend) -> None:
    """T13: a listener of an unknown class is refused before anything is sent."""

    class Unknown(MessageQueueListener):
        pass

    for storage in (backend.kv_storage(), InMemoryStorage(), ForeignStorage()):
        channels = repository_on(storage)
        channel = new_channel(channels, "news", connections=2)
        channel.register_listener(Unknown())
        with pytest.raises(TypeError, match="Unknown"):
            channels.persist(channel)
        assert list(storage.fetch_all()) == []


def test_writes_beyond_the_atomic_scope_are_sent_all_the_same(backend: Backend) -> None:
    """Items of many names may be in any slot of a Cluster. The order of the writes replaces a batch."""
    one, two, three, four = (backend.kv_storage(f"storage:{number}") for number in range(4))
    channels = repository_on(one, two, three, four)
    channel = new_channel(channels, "news", connections=3)
    channels.persist(channel)
    assert seen(channels.load_one("news").get_connections()) == seen(channel.get_connections())


def test_what_a_channel_cannot_store_is_refused_whole(backend: Backend) -> None:
    """K6: no object gets into a store, and the channel's connections stay out with it."""
    channels = SSEChannelRepository.on_backend(backend)
    channel = channels.create({"channel_id": "news"})
    channel.add_listener()
    channel.retry_timeout_milliseconds = object()  # type: ignore[assignment]
    with pytest.raises(TypeError, match="channels:news"):
        channels.persist(channel)
    assert list(backend.kv_storage("channels").fetch_all()) == []


@pytest.mark.parametrize("backend_kind", ["sqlite", "postgresql", "redis", "redis_cluster"])
def test_a_killed_process_leaves_one_state_or_the_other(open_backend: OpenBackend, store_url: str) -> None:
    """C1: however it ends, the channel is as it was before a save or after it, with all of that one's connections."""
    backend = open_backend()
    for _ in range(ROUNDS):
        command = [sys.executable, "-c", SAVER, store_url, backend.namespace, str(CONNECTIONS)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as saver:
            assert saver.stdout is not None
            for _ in range(5):
                saver.stdout.readline()
            saver.kill()
        channel = SSEChannelRepository.on_backend(backend).load_one("news")
        assert isinstance(channel, SSEChannel)
        number = channel.retry_timeout_milliseconds
        expected = {f"{number}:{one}": f"{number}:{one}" for one in range(CONNECTIONS)}
        assert seen(channel.get_connections()) == expected
    SSEChannelRepository.on_backend(backend).delete("news")
    assert list(backend.kv_storage("channels").items()) == []


def test_two_that_save_one_channel_at_once(open_backend: OpenBackend) -> None:
    """Connections are those of one of them or of both, each whole; the next save settles it."""
    namespace = fresh_namespace()
    repositories = [SSEChannelRepository.on_backend(open_backend(namespace)) for _ in range(2)]
    for _ in range(5):
        versions = [new_channel(channels, "news", connections=3) for channels in repositories]
        run_in_threads(
            [
                lambda one=channels, other=version: one.persist(other)  # type: ignore[misc]
                for channels, version in zip(repositories, versions, strict=True)
            ]
        )
        first, second = (seen(version.get_connections()) for version in versions)
        assert seen(repositories[0].load_one("news").get_connections()) in (first, second, {**first, **second})
    repositories[0].persist(versions[0])
    assert seen(repositories[1].load_one("news").get_connections()) == first
    repositories[0].delete("news")
    assert list(open_backend(namespace).kv_storage("channels").items()) == []


def test_connections_that_are_added_at_once(open_backend: OpenBackend) -> None:
    """Persisting connections one by one does not disturb other writers."""
    namespace = fresh_namespace()
    repositories = [SSEChannelRepository.on_backend(open_backend(namespace)) for _ in range(3)]
    repositories[0].persist(new_channel(repositories[0], "news"))

    def add(channels: SSEChannelRepository) -> dict[str, str]:
        made = [new_connection(channels) for _ in range(10)]
        for connection in made:
            channels.connections_repository.persist("news", connection)
        return seen(made)

    added = run_in_threads([lambda one=channels: add(one) for channels in repositories])  # type: ignore[misc]
    assert seen(repositories[0].load_one("news").get_connections()) == {**added[0], **added[1], **added[2]}

"""The round trips of repositories do not depend on their content (C1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from feedstore.channels import SSEChannelRepository
from feedstore.storage import KvStorage
from feedstore.testing.repository_suite import new_connection
from stores import OpenBackend, fresh_namespace


class Counted:
    """Counts the calls that leave for the store."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def take(self) -> list[str]:
        calls, self.calls = self.calls, []
        return calls

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            self.calls.append(name)
            return function(*arguments, **options)

        return counted


@pytest.fixture
def counted() -> Counted:
    return Counted()


@pytest.fixture
def channels(open_backend: OpenBackend, counted: Counted, monkeypatch: pytest.MonkeyPatch) -> SSEChannelRepository:
    """A repository whose storage counts its hooks, and whose backend counts its batches and requests."""
    backend = open_backend(fresh_namespace())
    repository = SSEChannelRepository.on_backend(backend)
    storage = repository._rows.storage
    assert isinstance(storage, KvStorage)
    for name in ("_fetch_one", "_fetch_many", "_items", "_upsert", "_delete"):
        monkeypatch.setattr(storage, name, counted.around(name, getattr(storage, name)))
    monkeypatch.setattr(backend.session, "transact", counted.around("batch", backend.session.transact))
    return repository


@pytest.mark.parametrize("count", [1, 10, 250])
def test_loading_a_channel(channels: SSEChannelRepository, counted: Counted, count: int) -> None:
    """C1: the channel, the connections, the listeners, the queues: four reads for any number of them."""
    channel = channels.create({"channel_id": "news"})
    for _ in range(count):
        channel.add_listener()
    channels.persist(channel)
    for number in range(20):
        channels.connections_repository.persist(f"news:{number}", new_connection(channels))
    counted.take()
    assert len(channels.load_one("news").get_connections()) == count
    assert counted.take() == ["_fetch_one", "_items", "_fetch_many", "_fetch_many"]
    assert len(list(channels.connections_repository.load_all("news"))) == count
    assert counted.take() == ["_items", "_fetch_many", "_fetch_many"]


def test_loading_many_connections_reads_a_bounded_number_at_once(
    channels: SSEChannelRepository, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C1: one scan, and for each part of the connections one read of the listeners and one of the queues."""
    monkeypatch.setattr("feedstore.channels.connection_repository._CONNECTIONS_IN_ONE_READ", 2)
    channel = channels.create({"channel_id": "news"})
    for _ in range(5):
        channel.add_listener()
    channels.persist(channel)
    counted.take()
    loaded = channels.connections_repository.load_all("news")
    assert {one.id for one in loaded} == {one.id for one in channel.get_connections()}
    assert counted.take() == ["_items"] + ["_fetch_many"] * 6


@pytest.mark.parametrize("backend_kind", ["sqlite", "postgresql", "redis"])
@pytest.mark.parametrize("count", [1, 250])
def test_what_loading_a_channel_asks_the_server(
    channels: SSEChannelRepository, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C1: each of those reads is one round trip, as the store itself counts them."""
    channel = channels.create({"channel_id": "news"})
    for _ in range(count):
        channel.add_listener()
    channels.persist(channel)
    asked = Counted()
    store: Any = channels._rows.storage.session.store  # type: ignore[attr-defined]
    for name in ("fetch", "read", "ask", "send"):
        if hasattr(store, name):
            monkeypatch.setattr(store, name, asked.around(name, getattr(store, name)))
    assert len(channels.load_one("news").get_connections()) == count
    assert len(asked.calls) == 4


@pytest.mark.parametrize("count", [1, 60])
def test_saving_a_channel(channels: SSEChannelRepository, counted: Counted, count: int) -> None:
    """C1: one scan and one batch for any number of connections."""
    channel = channels.create({"channel_id": "news"})
    for _ in range(count):
        channel.add_listener()
    counted.take()
    channels.persist(channel)
    calls = counted.take()
    assert calls[:2] == ["_items", "batch"]
    assert set(calls[2:]) <= {"_upsert"}
    channels.persist(channel)
    assert counted.take()[:2] == ["_items", "batch"]


def test_creating_asks_nothing(channels: SSEChannelRepository, counted: Counted) -> None:
    channel = channels.create({"channel_id": "news"})
    channel.add_listener()
    assert counted.take() == []


def test_a_repository_without_load_many_loads_one_after_the_other(
    channels: SSEChannelRepository, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C1's bound holds where both repositories have the optional method."""
    listeners = channels.connections_repository.listeners_repository
    base: Any = type(listeners).__mro__[1]
    monkeypatch.setattr(type(listeners), "load_many", base.load_many)
    channel = channels.create({"channel_id": "news"})
    for _ in range(3):
        channel.add_listener()
    channels.persist(channel)
    counted.take()
    assert len(channels.load_one("news").get_connections()) == 3
    assert counted.take() == ["_fetch_one", "_items", "_fetch_one", "_fetch_one", "_fetch_one", "_fetch_many"]

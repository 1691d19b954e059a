"""Each of many broken repositories fails the shipped contract, so that passing it means something."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from channels.repositories import repository_on
from conformance.direct import cases
from feedstore.channels import (
    ChannelRepositoryInterface,
    ConnectionRepository,
    InMemoryConnectionsFactory,
    ItemNotFound,
    ListenerRepository,
    QueueRepository,
    SSEChannelRepository,
    rows,
)
from feedstore.channels.rows import RowBatch
from feedstore.compat.eric_sse import InMemoryStorage
from feedstore.storage import Batch
from feedstore.testing import RepositoryContract

MakeChannels = Callable[[Any], ChannelRepositoryInterface]


def over(
    storage: Any,
    channels: type[SSEChannelRepository] = SSEChannelRepository,
    connections: type[ConnectionRepository] = ConnectionRepository,
    listeners: type[ListenerRepository] = ListenerRepository,
    queues: type[QueueRepository] = QueueRepository,
) -> SSEChannelRepository:
    return channels(storage, connections(storage, listeners(storage), queues(storage)), InMemoryConnectionsFactory())


class KeepsWhatWasDropped(SSEChannelRepository):
    def persist(self, channel: Any) -> None:
        for connection in channel.get_connections():
            self.connections_repository.persist(channel.id, connection)
        self._rows.put(self._channel_to_dict(channel), channel.id)


class ForgetsTheConnections(SSEChannelRepository):
    def delete(self, channel_id: str) -> None:
        self._rows.drop(channel_id)


class StoresWhatItCreates(SSEChannelRepository):
    def create(self, channel_data: dict[str, Any]) -> Any:
        channel = super().create(channel_data)
        self._rows.put(self._channel_to_dict(channel), channel.id)
        return channel


class MakesAFactoryOfItsOwn(SSEChannelRepository):
    def create(self, channel_data: dict[str, Any]) -> Any:
        made = super().create(channel_data)
        return type(made)(**self._channel_to_dict(made))


class IgnoresWhatItDoesNotKnow(SSEChannelRepository):
    def create(self, channel_data: dict[str, Any]) -> Any:
        return super().create({"channel_id": channel_data["channel_id"]})


class LoadsWithoutConnections(SSEChannelRepository):
    def _with_connections(self, channel: Any) -> Any:
        return channel


class RaisesForAnAbsentChannel(SSEChannelRepository):
    def delete(self, channel_id: str) -> None:
        self._rows.get(channel_id)
        super().delete(channel_id)


class LeavesTheListener(ConnectionRepository):
    def delete(self, channel_id: str, connection_id: str, *, batch_interface: Batch | RowBatch | None = None) -> None:
        self._rows.drop(channel_id, connection_id, batch=batch_interface)
        self._channels.drop(connection_id, channel_id, batch=batch_interface)


class TakesAnotherChannelsParts(ConnectionRepository):
    def delete(self, channel_id: str, connection_id: str, *, batch_interface: Batch | RowBatch | None = None) -> None:
        self._queues.delete(connection_id)
        self._listeners.delete(connection_id)
        self._rows.drop(channel_id, connection_id, batch=batch_interface)


class LoadsAnyChannelsConnection(ConnectionRepository):
    def load_one(self, channel_id: str, connection_id: str) -> Any:
        (connection,) = self._load([connection_id])
        return connection


class LoadsEverybodysConnections(ConnectionRepository):
    def connection_ids(self, channel_id: str) -> list[str]:
        return [ids[1] for ids, _ in self._rows.scan()]


class StartsWhatItLoads(ListenerRepository):
    def load(self, connection_id: str) -> Any:
        listener = super().load(connection_id)
        listener.start()
        return listener


class NeverFindsOne(ListenerRepository):
    def load(self, connection_id: str) -> Any:
        raise ItemNotFound(connection_id)


class RaisesForOneOfMany(QueueRepository):
    def load_many(self, connection_ids: Any) -> Any:
        return {one: self.load(one) for one in connection_ids}


class InventsQueues(QueueRepository):
    def load(self, connection_id: str) -> Any:
        try:
            return super().load(connection_id)
        except ItemNotFound:
            return InMemoryConnectionsFactory().create().queue


def joined_plainly(*parts: str) -> str:
    return ":".join(parts)


def escaped_without_an_end(*parts: str) -> str:
    return ":".join(part.replace("~", "~0").replace(":", "~1") for part in parts)


BROKEN: dict[str, MakeChannels] = {
    **{
        kind.__name__: lambda storage, kind=kind: over(storage, channels=kind)  # type: ignore[misc]
        for kind in SSEChannelRepository.__subclasses__()
        if kind.__module__ == __name__
    },
    **{
        kind.__name__: lambda storage, kind=kind: over(storage, connections=kind)  # type: ignore[misc]
        for kind in ConnectionRepository.__subclasses__()
    },
    **{
        kind.__name__: lambda storage, kind=kind: over(storage, listeners=kind)  # type: ignore[misc]
        for kind in ListenerRepository.__subclasses__()
    },
    **{
        kind.__name__: lambda storage, kind=kind: over(storage, queues=kind)  # type: ignore[misc]
        for kind in QueueRepository.__subclasses__()
    },
}


def first_failure(make_channels: MakeChannels) -> str | None:
    """The name of the first test of the contract that fails, None if none does."""
    for name, method, parameters in cases(RepositoryContract):  # type: ignore[arg-type]
        with opened(make_channels) as fixtures:
            wanted = inspect.signature(method).parameters
            try:
                method(RepositoryContract(), **parameters, **{one: fixtures[one] for one in fixtures if one in wanted})
            # Any exception is a failure; `pytest.raises` has an exception class of its own.
            except (Exception, pytest.fail.Exception):  # noqa: BLE001
                return name
    return None


@contextmanager
def opened(make_channels: MakeChannels) -> Iterator[dict[str, Any]]:
    storage = InMemoryStorage()
    channels = make_channels(storage)
    yield {
        "open_channels": lambda: make_channels(storage),
        "channels": channels,
        "connections": channels.connections_repository,
    }
    storage.session.close()


def test_what_is_not_broken_passes() -> None:
    assert first_failure(over) is None
    assert first_failure(repository_on) is None
    assert len(BROKEN) == 15


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_repository_fails(name: str) -> None:
    assert first_failure(BROKEN[name])


@pytest.mark.parametrize("key", [joined_plainly, escaped_without_an_end])
def test_keys_that_are_not_escaped_fail(key: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "row_key", key)
    assert first_failure(over)


def test_every_test_is_run_and_cites_what_it_checks() -> None:
    inherited = [name for base in RepositoryContract.__mro__ for name in vars(base) if name.startswith("test_")]
    assert len(inherited) == len(set(inherited)) > 20
    for name in inherited:
        assert str(getattr(RepositoryContract, name).__doc__).partition(":")[1], name

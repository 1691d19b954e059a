"""The contract of repositories, on every backend and on third-party storages."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, repeat

import pytest

from channels.repositories import repository_on
from channels.storages import ForeignStorage, NoneForAbsent, SubclassStorage
from conformance.modest_backend import ModestBackend
from feedstore.channels import DurableConnectionsFactory, KeyValueStorage, SSEChannelRepository
from feedstore.compat.eric_sse import InMemoryStorage
from feedstore.storage import Backend
from feedstore.testing import OpenChannels, RepositoryContract
from stores import OpenBackend, fresh_namespace

OpenInTurn = Callable[[], Backend]


@pytest.fixture
def open_in_turn(backend_kind: str, shared_backend: OpenBackend, open_backend: OpenBackend) -> OpenInTurn:
    """Open backends on one namespace: the first on the session's connections, each further one on its own.

    In memory, the two would be different stores.
    """
    namespace = fresh_namespace()
    ways = chain([] if backend_kind == "memory" else [shared_backend], repeat(open_backend))
    return lambda: next(ways)(namespace)


class TestOneStorage(RepositoryContract):
    """One key-value storage for all four repositories, and durable queues."""

    @pytest.fixture
    def open_channels(self, open_in_turn: OpenInTurn) -> OpenChannels:
        return lambda: SSEChannelRepository.on_backend(open_in_turn())


@pytest.mark.parametrize("backend_kind", ["sqlite", "redis_cluster"])
class TestFourStorages(RepositoryContract):
    """A key-value storage of its own for each of the four, on a backend with a table, and on one with hash slots."""

    @pytest.fixture
    def open_channels(self, open_in_turn: OpenInTurn) -> OpenChannels:
        def open_channels() -> SSEChannelRepository:
            backend = open_in_turn()
            return repository_on(
                backend.kv_storage("channels"),
                backend.kv_storage("connections"),
                backend.kv_storage("listeners"),
                backend.kv_storage("queues"),
                DurableConnectionsFactory(backend),
            )

        return open_channels


@pytest.mark.parametrize("kind", [ForeignStorage, SubclassStorage, NoneForAbsent, InMemoryStorage])
class TestAnyStorage(RepositoryContract):
    """Third-party storages with only the five methods, and one without a base class."""

    @pytest.fixture
    def open_channels(self, kind: type[KeyValueStorage]) -> OpenChannels:
        storage = kind()
        return lambda: repository_on(storage)


class TestABackendWithoutAbilities(RepositoryContract):
    """A backend that has no atomic batch, and reads many items one after the other."""

    @pytest.fixture
    def open_channels(self) -> OpenChannels:
        backend = ModestBackend(namespace=fresh_namespace())
        return lambda: SSEChannelRepository.on_backend(backend)


class TestStoragesOfTwoKinds(RepositoryContract):
    """Channels in one storage, and the rows of their connections in another."""

    @pytest.fixture
    def open_channels(self) -> OpenChannels:
        mine, foreign = InMemoryStorage(), ForeignStorage()
        return lambda: repository_on(mine, foreign, mine, foreign)

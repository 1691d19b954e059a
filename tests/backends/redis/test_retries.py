"""Every write whose answer is lost, and writes that wait for replicas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from feedstore import connect
from feedstore.errors import InvalidValueError, StorageTimeoutError
from feedstore.serializers import MsgpackSerializer
from feedstore.storage import Backend
from feedstore.testing.samples import with_id
from servers.ports import LOOPBACK
from servers.proxy import Proxy
from servers.redis import OwnRedisServer
from stores import fresh_namespace

_KEYS = [f"key{number}" for number in range(30)]
_Write = Callable[[Backend], Any]


@pytest.fixture(scope="module")
def server() -> Iterator[OwnRedisServer]:
    """A server for all tests of this module."""
    server = OwnRedisServer()
    yield server
    server.stop()


@pytest.fixture
def proxy(server: OwnRedisServer) -> Iterator[Proxy]:
    """A proxy in front of the server, with planned actions on scripts."""
    proxy = Proxy(server.port, b"EVALSHA")
    yield proxy
    proxy.close()


def _filled(url: str) -> Backend:
    """Open a backend under a fresh namespace that holds a little of everything."""
    backend = connect(url, namespace=fresh_namespace(), retry_seconds=20)
    backend.timeline_storage().add_to_many(["a", "b"], range(1, 9), max_length=6)
    backend.timeline_storage(serializer_class=MsgpackSerializer).add_many("p", [with_id(n, "old") for n in (1, 2, 3)])
    backend.activity_storage().add_many([with_id(n, "old") for n in (1, 2, 3)])
    backend.kv_storage().upsert("item", 1)
    return backend


def _state(backend: Backend) -> list[Any]:
    timelines = backend.timeline_storage()
    pages = {key: timelines.get_page(key, 99) for key in sorted(timelines.keys())}
    payloads = backend.timeline_storage(serializer_class=MsgpackSerializer).get_slice("p", 0, None)
    return [
        {key: (page.items, page.floor, page.complete) for key, page in pages.items()},
        [(one.serialization_id, one.extra_context) for one in payloads],
        list(backend.activity_storage().iterate()),
        list(backend.kv_storage().items()),
    ]


def _in_a_batch(backend: Backend) -> Any:
    with backend.batch(atomic=True) as batch:
        backend.timeline_storage().add_to_many(["a", "c"], [9], max_length=5, batch_interface=batch)
        backend.activity_storage().remove(2, batch_interface=batch)
        backend.kv_storage().upsert("item", 2, batch_interface=batch)
    return sum(count or 0 for count in batch.results)


@pytest.mark.parametrize("losses", [1, 2])
@pytest.mark.parametrize(
    "write",
    [
        lambda backend: backend.timeline_storage().add("a", 9),
        lambda backend: backend.timeline_storage().add_to_many(["a", "b", "c"], [0, 9, 10], max_length=6),
        lambda backend: backend.timeline_storage().remove_from_many(["a", "b"], [3, 8]),
        lambda backend: backend.timeline_storage().trim("a", 2),
        lambda backend: backend.timeline_storage().delete("a"),
        lambda backend: backend.timeline_storage().flush(),
        lambda backend: backend.timeline_storage(serializer_class=MsgpackSerializer).add("p", with_id(2, "new")),
        lambda backend: backend.timeline_storage(serializer_class=MsgpackSerializer).trim("p", 1),
        lambda backend: backend.activity_storage().add_many([with_id(2, "new"), with_id(4, "new")]),
        lambda backend: backend.activity_storage().remove_many([1, 2, 9]),
        lambda backend: backend.activity_storage().flush(),
        lambda backend: backend.kv_storage().upsert("other", 2),
        lambda backend: backend.kv_storage().delete("item"),
        lambda backend: backend.kv_storage().flush(),
        _in_a_batch,
    ],
)
def test_every_write_whose_answer_is_lost_changes_nothing_twice(
    server: OwnRedisServer, proxy: Proxy, write: _Write, losses: int
) -> None:
    with _filled(server.url) as undisturbed, _filled(f"redis://{LOOPBACK}:{proxy.port}") as disturbed:
        exact = write(undisturbed)
        before = proxy.requests
        proxy.plan.extend([None] * losses)
        counted = write(disturbed)
        assert not proxy.plan
        assert proxy.requests >= before + losses + 1
        assert (counted or 0) <= (exact or 0)
        assert _state(disturbed) == _state(undisturbed)


def test_a_wait_longer_than_the_timeout_is_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"wait_timeout is 5 seconds.*timeout"):
        connect("redis://localhost", wait_replicas=1, wait_timeout=5)
    connect("redis://localhost", wait_timeout=5).close()


def test_the_shortest_wait_ends(server: OwnRedisServer) -> None:
    with (
        connect(server.url, namespace=fresh_namespace(), wait_replicas=1, wait_timeout=0.0001) as backend,
        pytest.raises(StorageTimeoutError, match="0 replicas instead of 1"),
    ):
        backend.timeline_storage().add("key", 1)


def test_writes_of_a_cluster_that_replicas_confirm(redis_cluster_url: str) -> None:
    namespace = fresh_namespace()
    with connect(redis_cluster_url, namespace=namespace, wait_replicas=1, wait_timeout=20, timeout=30) as backend:
        assert backend.timeline_storage().add_to_many(_KEYS, [1, 2], max_length=1) == 2 * len(_KEYS)
        assert backend.activity_storage().add_many([with_id(n, "new") for n in range(1, 100)]) == 99
    with connect(redis_cluster_url, namespace=namespace, wait_replicas=2, wait_timeout=0.05) as backend:
        with pytest.raises(StorageTimeoutError, match="1 replicas instead of 2"):
            backend.timeline_storage().add("key0", 3)
        # Reads do not wait, and no answer that was given up comes back as that of another request.
        assert backend.timeline_storage().count("key0") == 2


def test_a_write_that_is_not_confirmed_is_written_on_every_node(redis_cluster_url: str) -> None:
    options: dict[str, Any] = {"namespace": fresh_namespace(), "wait_timeout": 0.05}
    with connect(redis_cluster_url, wait_replicas=2, **options) as backend:
        with pytest.raises(StorageTimeoutError, match="1 replicas instead of 2 confirmed a write"):
            backend.timeline_storage().add_to_many(_KEYS, [1], max_length=9)
        assert [backend.timeline_storage().count(key) for key in _KEYS] == [1] * len(_KEYS)

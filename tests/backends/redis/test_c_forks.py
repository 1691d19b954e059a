"""Processes that were forked by C's ``fork()``, as uWSGI's workers are: Python's fork hooks do not run in them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest

import soak
from everything import use_storages
from feedstore import connect
from feedstore.storage import Backend
from feedstore.testing.processes import run_in_child
from forking import PLAIN_FORKS, fork_in_c
from servers.redis_sentinel import OwnRedisSentinel
from stores import fresh_namespace

pytestmark = PLAIN_FORKS
_WORKERS = 3


@pytest.fixture(scope="module")
def sentinel_url() -> Iterator[str]:
    """The URL of a Sentinel that these tests share."""
    sentinel = OwnRedisSentinel()
    yield sentinel.url
    sentinel.stop()


@pytest.fixture(params=["redis_url", "redis_cluster_url", "sentinel_url"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of each kind of Redis."""
    found: str = request.getfixturevalue(request.param)
    return found


def wrong_answers(backend: Backend, calls: int) -> int:
    """Return how many reads gave another answer than the one that is right."""
    timelines, wrong = backend.timeline_storage(), 0
    for number in range(calls):
        found = [one.serialization_id for one in timelines.get_slice(f"key{number % 9}", 0, 3)]
        wrong += found != [100 + number % 9, 50, 49]
        wrong += timelines.count("key0") != 51
    return wrong


def in_c_child(work: Callable[[], int]) -> int:
    """Fork as C does and return the child's process id; it ends with status 0 if ``work()`` returns 0."""
    child = fork_in_c()
    if child == 0:
        signal.alarm(60)
        status = 1
        try:
            status = int(bool(work()))
        finally:
            os._exit(status)
    return child


@pytest.mark.soak
@pytest.mark.parametrize("is_connected", [True, False])
def test_workers_leave_their_parents_connections_alone(url: str, is_connected: bool) -> None:
    namespace, calls = fresh_namespace(), soak.count(50, 2000)
    with connect(url, namespace=namespace) as other:
        for number in range(9):
            other.timeline_storage().add_many(f"key{number}", [*range(1, 51), 100 + number])
    with connect(url, namespace=namespace) as backend:
        if is_connected:
            assert wrong_answers(backend, 9) == 0
        workers = [in_c_child(lambda: wrong_answers(backend, calls)) for _ in range(_WORKERS)]
        assert wrong_answers(backend, calls) == 0
        assert [os.waitpid(worker, 0)[1] for worker in workers] == [0] * _WORKERS
        # A worker that ends, or closes its backend, leaves the parent's connections open.
        worker = in_c_child(lambda: backend.close() or 0)  # type: ignore[func-returns-value]
        assert os.waitpid(worker, 0)[1] == 0
        assert wrong_answers(backend, 9) == 0


def test_a_worker_of_a_worker_has_connections_of_its_own(url: str) -> None:
    with connect(url, namespace=fresh_namespace()) as backend:
        backend.ping()

        def use_in_grandchild() -> int:
            backend.ping()
            worker = in_c_child(lambda: use_storages(backend) or 0)  # type: ignore[func-returns-value]
            status: int = os.waitpid(worker, 0)[1]
            backend.ping()
            return status

        assert run_in_child(use_in_grandchild) == 0

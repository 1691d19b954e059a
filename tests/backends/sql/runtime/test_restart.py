"""A server that is killed and started again between calls, and one that ends connections."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from backends.sql.runtime.faulty import end_connections
from feedstore import connect
from feedstore.errors import StorageUnavailableError
from feedstore.testing.processes import run_in_threads
from servers.postgresql import OwnPostgreSQLServer


def test_the_next_call_works(own_postgresql_server: OwnPostgreSQLServer) -> None:
    server = own_postgresql_server
    with connect(server.url(server.create_database()), pool_size=3) as backend:
        timelines, kv = backend.timeline_storage(), backend.kv_storage()
        # Several connections lie in the pool when the server goes.
        run_in_threads([partial(timelines.add, "key", number) for number in range(3)])
        server.kill()
        calls: list[Callable[[], object]] = [
            partial(timelines.count, "key"),
            partial(timelines.add, "key", 9),
            backend.ping,
        ]
        for call in calls:
            with pytest.raises(StorageUnavailableError, match="cannot be reached"):
                call()
        server.start()
        assert timelines.add("key", 3) == 1
        server.kill()
        server.start()
        with backend.batch(atomic=True) as batch:
            timelines.add("key", 4, batch_interface=batch)
            kv.upsert("key", 1, batch_interface=batch)
        assert batch.results == [1, None]
        assert timelines.count("key") == 5


def test_an_administrator_ends_connections(postgresql_database: str) -> None:
    with connect(postgresql_database) as backend:
        timelines = backend.timeline_storage()
        for number in range(3):
            timelines.add("key", number)
            end_connections(postgresql_database)
            assert timelines.count("key") == number + 1

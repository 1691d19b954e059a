"""The behaviour of a real node that the floor of a timeline depends on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest

from feedstore.backends.cassandra import CassandraBackend
from feedstore.backends.cassandra.floor import Floor, floor_from_bytes, floor_to_bytes
from feedstore.backends.cassandra.tables import TIMELINES
from feedstore.errors import StoredDataError
from feedstore.storage import Backend

GROWING = [
    Floor(),
    Floor(0, 0),
    Floor(0, 1),
    Floor(0, 255),
    Floor(0, 256),
    Floor(0, 2**127),
    Floor(0, 2**128 - 1),
    Floor(0, 2**128),
    Floor(1),
    Floor(1, 0),
    Floor(1_700_000_000_000_000),
    Floor(1_700_000_000_000_000, 2**127),
    Floor(1_700_000_000_000_001),
]


@pytest.fixture
def cassandra(cassandra_url: str) -> Iterator[CassandraBackend]:
    with CassandraBackend(cassandra_url, namespace="floors") as backend:
        backend.ping()
        yield backend


def execute(backend: CassandraBackend, statement: str, *parameters: object) -> list[Any]:
    """Carry out a statement of the driver's own about the table of timelines."""
    session = backend.session.store.session()
    text = statement.replace("TABLE", f'"{backend.session.store.keyspace}".{TIMELINES}')
    return list(session.driver_session.execute(text, parameters))


def test_floors_are_kept_byte_by_byte_in_their_order() -> None:
    stored = [floor_to_bytes(floor) for floor in GROWING]
    assert stored == sorted(stored)
    assert [floor_from_bytes(data) for data in stored] == GROWING
    assert floor_from_bytes(None) == Floor()


@pytest.mark.parametrize("damaged", [b"", b"1234567", b"123456789", bytes(24), bytes(26)])
def test_a_damaged_floor_is_no_floor(damaged: bytes) -> None:
    with pytest.raises(StoredDataError, match="floor"):
        floor_from_bytes(damaged)


def test_of_values_at_one_timestamp_the_largest_stays(cassandra: CassandraBackend) -> None:
    """A static column only grows, in any order of its writes."""
    some = [GROWING[0], GROWING[3], GROWING[7], GROWING[10]]
    for number, order in enumerate(permutations(some)):
        key = f"floors:order {number}"
        for floor in order:
            execute(
                cassandra,
                "UPDATE TABLE USING TIMESTAMP 1 SET floor = %s WHERE timeline = %s",
                floor_to_bytes(floor),
                key,
            )
        rows = execute(cassandra, "SELECT floor FROM TABLE WHERE timeline = %s", key)
        assert floor_from_bytes(rows[0][0]) == GROWING[10]


def test_a_range_tombstone_leaves_the_column_and_one_of_the_partition_kills_it(cassandra: CassandraBackend) -> None:
    where = "WHERE timeline = 'floors:tombstones'"
    for deletion, left in ((f"DELETE FROM TABLE {where} AND id <= 0xff", 1), (f"DELETE FROM TABLE {where}", 0)):
        execute(cassandra, f"UPDATE TABLE USING TIMESTAMP 1 SET floor = 0x01 {where}")
        execute(cassandra, deletion)
        execute(cassandra, f"UPDATE TABLE USING TIMESTAMP 1 SET floor = 0x02 {where}")
        assert len(execute(cassandra, f"SELECT floor FROM TABLE {where}")) == left


@pytest.mark.parametrize("backend_kind", ["cassandra"])
def test_a_trim_of_an_earlier_epoch_does_not_raise_the_floor(backend: Backend) -> None:
    """Two processes, one trims and one deletes: a floor that arrives late belongs to the deleted timeline."""
    assert isinstance(backend, CassandraBackend)
    timelines = backend.timeline_storage()
    timelines.add_many("key", range(10))
    timelines.trim("key", 5)
    timelines.delete("key")
    timelines.add_many("key", range(3))
    execute(
        backend,
        "UPDATE TABLE USING TIMESTAMP 1 SET floor = %s WHERE timeline = %s",
        floor_to_bytes(Floor(0, 9)),
        f"{backend.namespace}:key",
    )
    page = timelines.get_page("key", 9)
    assert (page.floor, page.complete) == (None, True)
    timelines.trim("key", 1)
    assert timelines.get_page("key", 9).floor == 2

"""The columns of a timeline on SQLite, which are cut out of one run of bytes where all payloads have one length."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from feedstore import connect
from feedstore.backends.sql import SqlBackend
from feedstore.backends.sql.connection import Connection
from feedstore.errors import StoredDataError
from feedstore.ids import ID_BYTES
from feedstore.storage import Backend, EntryColumns
from feedstore.storage.page import PackedIds, PackedPayloads, positions_by_value
from feedstore.testing.delivery_suite import Raw, RawSerializer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of the backend."""
    return tmp_path / "columns.db"


@pytest.fixture
def backend(path: Path) -> Iterator[Backend]:
    """A backend on a file."""
    with connect(f"sqlite:///{path}") as backend:
        yield backend


def _columns(backend: Backend, payloads: list[bytes], limit: int) -> EntryColumns:
    """Return the columns of a timeline of entries 1, 2 and so on with some payloads."""
    timelines = backend.timeline_storage(RawSerializer)
    timelines.add_many("key", [Raw(number, payload) for number, payload in enumerate(payloads, start=1)])
    return timelines.get_columns("key", limit)


@pytest.mark.parametrize("length", [1, 3, 8, 16])
@pytest.mark.parametrize("count", [1, 2, 64, 65, 66, 200])
def test_payloads_of_one_length_come_out_of_the_run(backend: Backend, count: int, length: int) -> None:
    """Each payload stands beside its own id: SQLite writes the separator of a row before its value."""
    payloads = [(number % 7).to_bytes(length, "big") for number in range(count)]
    for limit in {1, count - 1, count, count + 1} - {0}:
        columns = _columns(backend, payloads, limit)
        newest = payloads[-limit:][::-1]
        assert isinstance(columns.payloads, PackedPayloads)
        assert list(columns.ids) == list(range(count, max(count - limit, 0), -1))
        assert (list(columns.payloads), len(columns.payloads)) == (newest, len(newest))
        assert columns.payloads.places() == positions_by_value(newest)
        assert list(columns.payloads.places()) == list(positions_by_value(newest))
        assert (columns.payloads[0], columns.payloads[-1], columns.payloads[1:3]) == (
            newest[0],
            newest[-1],
            newest[1:3],
        )


@pytest.mark.parametrize("some", [[b"seven__", b"nine_____"], [b"", b"eight___"], [b"eight___", b"eight___", b""]])
def test_payloads_of_different_lengths_are_told_apart(backend: Backend, some: list[bytes]) -> None:
    """Also if the run has the length that it has with payloads of one length."""
    payloads = [payload for payload, _ in zip(cycle(some), range(12), strict=False)]
    columns = _columns(backend, payloads, 20)
    assert not isinstance(columns.payloads, PackedPayloads)
    assert (list(columns.ids), list(columns.payloads)) == (list(range(12, 0, -1)), payloads[::-1])


def test_an_absent_timeline_takes_one_statement(path: Path) -> None:
    """The follow graph asks for the followers of users who have none."""
    statements: list[str] = []
    with SqlBackend(f"sqlite:///{path}") as backend:
        timelines = backend.timeline_storage(RawSerializer)
        timelines.add("other", Raw(1, b"eight___"))

        def observe(connection: Connection, first: object, second: object) -> None:
            connection.raw.set_trace_callback(statements.append)

        backend.session.store._connections.call(observe, None, None)
        assert len(timelines.get_columns("key", 20)) == 0
    assert len([statement for statement in statements if "feedstore_entry" in statement]) == 1


def _damage(path: Path, statement: str, *parameters: Any) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert connection.execute(statement, parameters).rowcount == 1


def test_damaged_ids_are_found_also_if_the_run_keeps_its_length(backend: Backend, path: Path) -> None:
    """One id is a byte too short, and another one a byte too long."""
    assert isinstance(_columns(backend, [b"eight___"] * 9, 20).payloads, PackedPayloads)
    statement = "UPDATE feedstore_entry SET activity_id = ? WHERE activity_id = ?"
    for number, length in ((4, ID_BYTES - 1), (7, ID_BYTES + 1)):
        _damage(path, statement, number.to_bytes(length, "big"), number.to_bytes(ID_BYTES, "big"))
    with pytest.raises(StoredDataError, match="damaged id"):
        list(backend.timeline_storage(RawSerializer).get_columns("key", 20).ids)


def test_the_columns_do_not_trust_the_length_in_the_header(backend: Backend, path: Path) -> None:
    """A damaged length changes no entry of a read."""
    payloads = [bytes([number]) * 8 for number in range(9)]
    for length in (8, 10, -1, 2**62, "nine", 0.5):
        assert len(_columns(backend, payloads, 20)) == 9
        _damage(path, "UPDATE feedstore_timeline SET length = ?", length)
        columns = backend.timeline_storage(RawSerializer).get_columns("key", 20)
        assert (list(columns.ids), list(columns.payloads)) == (list(range(9, 0, -1)), payloads[::-1])
        _damage(path, "UPDATE feedstore_timeline SET length = ?", 9)


def test_empty_payloads_of_another_program(backend: Backend, path: Path) -> None:
    """This package stores NULL in their place. A run of ids alone holds as many payloads as ids."""
    _columns(backend, [b"eight___"], 20)
    _damage(path, "UPDATE feedstore_entry SET data = x''")
    columns = backend.timeline_storage(RawSerializer).get_columns("key", 20)
    assert (list(columns.ids), list(columns.payloads)) == ([1], [b""])


def test_ids_in_a_run() -> None:
    """The run may end with the last id, or with the bytes that follow it."""
    ids = [number << 64 for number in range(1, 6)]
    for end in (b"", b"--"):
        run = b"--".join(number.to_bytes(ID_BYTES, "big") for number in ids) + end
        packed = PackedIds(run, ID_BYTES + 2)
        assert (list(packed), packed[-1], packed[1:3]) == (ids[::-1], ids[0], ids[3:1:-1])
        assert packed.at([4, 0]) == [ids[0], ids[4]]

"""What the server undid is run again as a whole, and changes nothing twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import psycopg
import pytest

from backends.sql.runtime.faulty import Fault, dump, install
from backends.sql.runtime.test_faults import WRITES, fill
from feedstore.backends.sql import SqlBackend
from feedstore.errors import StorageTimeoutError

pytestmark = pytest.mark.parametrize("database_kind", ["postgresql"])


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Fault:
    fault = Fault()
    install(fault, monkeypatch, "postgresql")
    return fault


@pytest.fixture
def filled(fault: Fault, database_url: str) -> Iterator[SqlBackend]:
    with SqlBackend(database_url) as backend:
        fill(backend)
        yield backend


def _deadlock() -> NoReturn:
    raise psycopg.errors.DeadlockDetected("deadlock detected")


def _serialization_failure() -> NoReturn:
    raise psycopg.errors.SerializationFailure("could not serialize access")


def _without_numbers(tables: dict[str, Sequence[Any]]) -> object:
    """The contents alone: timelines that are made again get other numbers."""
    keys = {row[0]: row[2] for row in tables["timeline"]}
    return (
        tables["activity"],
        tables["item"],
        sorted((keys[row[0]], *row[1:]) for row in tables["entry"]),
        sorted(row[1:] for row in tables["timeline"]),
    )


@pytest.mark.parametrize("name", WRITES)
def test_a_deadlock_at_every_statement(name: str, fault: Fault, filled: SqlBackend) -> None:
    with fault.at((), lambda: None):
        expected = WRITES[name](filled)
    statements = len(fault.statements)
    after = _without_numbers(dump(filled))
    for position in range(statements):
        fill(filled)
        with fault.at([position], _deadlock if position % 2 else _serialization_failure):
            assert WRITES[name](filled) == expected
        assert _without_numbers(dump(filled)) == after


def test_retries_end(fault: Fault, filled: SqlBackend) -> None:
    before = dump(filled)
    with fault.at(range(1, 1000, 2), _deadlock), pytest.raises(StorageTimeoutError, match="deadlock"):
        filled.timeline_storage().trim("key0", 1)
    assert dump(filled) == before
    assert filled.timeline_storage().trim("key0", 1) == 7

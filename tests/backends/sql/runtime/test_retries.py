"""A transaction that the server undid is run again as a whole, and applied once."""

from __future__ import annotations

from typing import NoReturn

import psycopg
import pytest

from backends.sql.runtime.faulty import Fault, Tables, dump
from backends.sql.runtime.writes import WRITES, fill
from feedstore.backends.sql import SqlBackend
from feedstore.errors import StorageTimeoutError

pytestmark = pytest.mark.parametrize("database_kind", ["postgresql"])


# One write of each kind of storage and of delivery: each goes through the same transaction.
RETRIED = ("batch", "add activities", "fan out", "flush timelines", "upsert")


def _deadlock() -> NoReturn:
    raise psycopg.errors.DeadlockDetected("deadlock detected")


def _serialization_failure() -> NoReturn:
    raise psycopg.errors.SerializationFailure("could not serialize access")


def _without_numbers(tables: Tables) -> object:
    """The contents alone: timelines that are made again get other numbers."""
    keys = {row[0]: row[2] for row in tables["timeline"]}
    return (
        tables["activity"],
        tables["item"],
        sorted((keys[row[0]], *row[1:]) for row in tables["entry"]),
        sorted(row[1:] for row in tables["timeline"]),
    )


@pytest.mark.parametrize("name", RETRIED)
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

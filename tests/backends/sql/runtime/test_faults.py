"""A failure at the k-th statement, for every k: nothing of the call stays, no lock stays, and the next call works."""

from __future__ import annotations

import sqlite3
from typing import NoReturn

import psycopg
import pytest

from backends.sql.runtime.faulty import Fault, Tables, dump, end_connections
from backends.sql.runtime.writes import KEYS, WRITES, fill, run_batch
from feedstore.backends.sql import SqlBackend
from feedstore.errors import StorageError, StorageUnavailableError


def _assert_nothing_stayed(backend: SqlBackend, before: Tables, other_backend: SqlBackend) -> None:
    assert dump(backend) == before
    # No other process waits for a lock that was never released.
    other_backend.kv_storage("locks").upsert("key", 1)
    other_backend.timeline_storage().trim(KEYS[1], 10**9)
    other_backend.kv_storage("locks").delete("key")


def _input_output_error(kind: str) -> NoReturn:
    if kind == "sqlite":
        raise sqlite3.OperationalError("disk I/O error")
    raise psycopg.errors.IoError("could not extend file")


@pytest.mark.parametrize("name", WRITES)
def test_an_error_at_every_statement(
    name: str, fault: Fault, filled: SqlBackend, database_kind: str, other_backend: SqlBackend
) -> None:
    statements = fault.count(lambda: WRITES[name](filled))
    assert statements > 0
    fill(filled)
    before = dump(filled)
    for position in range(statements):
        with fault.at([position], lambda: _input_output_error(database_kind)), pytest.raises(StorageError) as caught:
            WRITES[name](filled)
        assert isinstance(caught.value.__cause__, (sqlite3.Error, psycopg.Error))
        _assert_nothing_stayed(filled, before, other_backend)
    WRITES[name](filled)
    assert dump(filled) != before


class Interrupt(BaseException):
    """Something that is no error, such as Ctrl-C."""


def _interrupt() -> NoReturn:
    raise Interrupt


def test_an_interrupt_at_every_statement(fault: Fault, filled: SqlBackend, other_backend: SqlBackend) -> None:
    statements = fault.count(lambda: run_batch(filled))
    fill(filled)
    before = dump(filled)
    for position in range(statements):
        with fault.at([position], _interrupt), pytest.raises(Interrupt):
            run_batch(filled)
        _assert_nothing_stayed(filled, before, other_backend)


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_a_connection_that_breaks_at_every_statement(
    fault: Fault, filled: SqlBackend, database_url: str, other_backend: SqlBackend
) -> None:
    statements = fault.count(lambda: run_batch(filled))
    fill(filled)
    before = dump(filled)

    for position in range(statements):
        with fault.at([position], lambda: end_connections(database_url)), pytest.raises(StorageUnavailableError):
            run_batch(filled)
        _assert_nothing_stayed(filled, before, other_backend)
    assert run_batch(filled)


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_a_read_whose_connection_is_lost_is_repeated(fault: Fault, filled: SqlBackend) -> None:
    def lose() -> NoReturn:
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    with fault.at([0], lose):
        assert filled.timeline_storage().count(KEYS[0]) == 8
    with fault.at(range(10), lose), pytest.raises(StorageUnavailableError):
        filled.timeline_storage().count(KEYS[0])
    assert filled.timeline_storage().count(KEYS[0]) == 8

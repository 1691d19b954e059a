"""Drivers whose connections fail at chosen statements."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.pool import NullPool

from feedstore.backends.sql import SqlBackend
from polling import poll_until

Tables = dict[str, Sequence[Any]]
_CONNECTIONS = "FROM pg_stat_activity WHERE application_name = 'feedstore' AND datname = current_database()"


class Fault:
    """Counter of the statements on a backend's connections. It replaces chosen statements by an action."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self._positions: Container[int] = ()
        self._action: Callable[[], None] = lambda: None
        self._is_acting = False

    @contextmanager
    def at(self, positions: Container[int], action: Callable[[], None]) -> Iterator[None]:
        """Count the statements of a block from 0, and call ``action`` before those at ``positions``; it may raise."""
        self.calls = []
        self._positions, self._action = positions, action
        try:
            yield
        finally:
            self._positions = ()

    def count(self, function: Callable[[], object]) -> int:
        """Return how many statements ``function`` takes."""
        with self.at((), lambda: None):
            function()
        return len(self.calls)

    @property
    def statements(self) -> list[str]:
        """The text of each statement that was counted."""
        return [statement for statement, _ in self.calls]

    def before(self, statement: str, parameters: Any = ()) -> None:
        """Count a statement that is about to run, unless the action runs it."""
        if self._is_acting:
            return
        self.calls.append((statement, parameters))
        if len(self.calls) - 1 in self._positions:
            self._is_acting = True
            try:
                self._action()
            finally:
                self._is_acting = False


def install(fault: Fault, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Let every connection that a driver opens from now on count its statements."""
    if kind == "sqlite":
        _install_in_sqlite(fault, monkeypatch)
    else:
        _install_in_psycopg(fault, monkeypatch)


def _install_in_sqlite(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            fault.before(sql, *parameters)
            return super().execute(sql, *parameters)

        def executemany(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            fault.before(sql)
            return super().executemany(sql, *parameters)

    connect = sqlite3.dbapi2.connect
    monkeypatch.setattr(
        sqlite3.dbapi2, "connect", lambda *arguments, **options: connect(*arguments, **options, factory=Connection)
    )


def _install_in_psycopg(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    execute = psycopg.Cursor.execute

    def counted(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        if query != "ROLLBACK":
            fault.before(query, *arguments)
        return execute(self, query, *arguments, **options)

    monkeypatch.setattr(psycopg.Cursor, "execute", counted)


def end_connections(url: str) -> None:
    """Let the server end every connection of feedstore's to the database, and wait until they are gone."""
    with psycopg.connect(url, autocommit=True) as connection:
        execute = connection.execute
        execute(f"SELECT pg_terminate_backend(pid) {_CONNECTIONS}")
        # pg_terminate_backend with a timeout polls every 100 ms for each connection.
        poll_until(lambda: not execute(f"SELECT 1 {_CONNECTIONS}").fetchall(), 30, "the end of every connection")


@cache
def _engine_at(url: URL) -> Engine:
    """Return an engine that keeps no connections. A new one would query the server's version and settings first."""
    return create_engine(url, poolclass=NullPool)


def dump(backend: SqlBackend) -> Tables:
    """Return every row of every table, and check each header against its rows."""
    with _engine_at(backend.session._store.engine.url).connect() as connection:
        tables: Tables = {
            name: connection.exec_driver_sql(f"SELECT * FROM feedstore_{name} ORDER BY 1, 2, 3").all()
            for name in ("activity", "timeline", "entry", "item")
        }
    lengths = {row.id: row.length for row in tables["timeline"]}
    counted = dict.fromkeys(lengths, 0)
    for entry in tables["entry"]:
        counted[entry.timeline_id] += 1
    assert lengths == counted
    return tables

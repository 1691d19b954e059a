"""Polling a SQLite file for the writes of other processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Select, bindparam, func, select

from feedstore.backends.sql.compiler import Compiler, this_namespace
from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.database import Database
from feedstore.backends.sql.dialect import StatesReader
from feedstore.backends.sql.stored import read_text
from feedstore.backends.sql.tables import entry_table, queue_table, timeline_table
from feedstore.storage.notify.polling import PollingSource
from feedstore.storage.notify.registry import Kind, TopicRegistry

POLL_SECONDS = 0.1
_SIZES = (1, 20, 500)


class SqliteSource(PollingSource):
    """A source that polls a file ten times a second.

    It asks SQLite whether another connection has committed, which needs no read of the file. Only if one has, it
    compares the headers of the timelines with subscriptions with those of the last poll. It uses the connection of the
    dispatcher's own thread, so it finds the writes of this process's other threads too. Each added or removed entry
    changes its timeline's header, at any position.
    """

    def __init__(self, database: Database, compiler: Compiler, read_states: StatesReader) -> None:
        super().__init__(read_states, POLL_SECONDS)
        self._database = database
        self._heads = Heads(compiler)
        self._seen: tuple[Any, ...] = ()

    def poll(self, registry: TopicRegistry[Any]) -> list[bytes]:
        """One statement, and one more for each 500 keys if another connection has committed or keys were added."""
        if not registry:
            return []
        seen = (registry.version, *self._database.read(_data_version))
        if seen == self._seen:
            return []
        # Only after the poll: if it fails, the next poll must find the change again.
        found = super().poll(registry)
        self._seen = seen
        return found

    def fetch_states(self, namespace: str, kind: Kind, keys: list[str]) -> Mapping[str, Any]:
        """One statement."""
        found = self._database.namespaces.find(namespace)
        return {} if found is None else self._heads.fetch(self._database, kind, found, keys)


class Heads:
    """The statements that read the states of many timelines or queues, compiled for a few numbers of keys."""

    def __init__(self, compiler: Compiler) -> None:
        self._texts = {
            (kind, size): compiler.text(*statement(size))
            for kind, statement in ((Kind.TIMELINE, _newest_entries), (Kind.QUEUE, _newest_messages))
            for size in _SIZES
        }

    def fetch(self, database: Database, kind: Kind, namespace: str, keys: list[str]) -> dict[str, tuple[Any, ...]]:
        """Return ``{key: state}`` of up to 500 timelines or queues that exist. Each write changes the state."""
        size = next(size for size in _SIZES if size >= len(keys))
        padded = [key.encode() for key in keys] + [b""] * (size - len(keys))
        rows = database.fetch(self._texts[kind, size], (namespace, *padded))
        return {read_text(row[0], "the key of a timeline or queue"): tuple(row[1:]) for row in rows}


def _newest_entries(size: int) -> Any:
    header, entry = timeline_table.c, entry_table.c
    newest = select(func.max(entry.activity_id)).where(entry.timeline_id == header.id).scalar_subquery()
    columns = select(header.key, header.id, header.length, header.newest_dropped, newest)
    return _of_many(columns, header.namespace_id, header.key, size)


def _newest_messages(size: int) -> Any:
    header = queue_table.c
    return _of_many(select(header.name, header.id, header.last_position), header.namespace_id, header.name, size)


def _of_many(columns: Select[Any], namespace: Any, key: Any, size: int) -> Any:
    names = [f"key_{number}" for number in range(size)]
    wanted = key.in_([bindparam(name) for name in names])
    return columns.where(namespace == this_namespace(), wanted), "namespace", *names


def _data_version(connection: Connection) -> tuple[int, int]:
    # Each connection counts for itself, so a new one, after a fork for example, is a change.
    return id(connection.raw), connection.execute("PRAGMA data_version").fetchone()[0]

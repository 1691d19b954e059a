"""Hearing of what other processes write to a SQLite file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, bindparam, func, select

from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.statements import this_namespace
from feedstore.backends.sql.stored import read_text
from feedstore.backends.sql.tables import entry_table, queue_table, timeline_table
from feedstore.storage.polling import PollingSource
from feedstore.storage.topic import Kind
from feedstore.storage.watched import Watched

if TYPE_CHECKING:
    from feedstore.backends.sql.backend import SqlBackend
    from feedstore.backends.sql.statements import Compiler
    from feedstore.backends.sql.store import Store
    from feedstore.storage.backend import Backend

POLL_SECONDS = 0.1
_SIZES = (1, 20, 500)


class SqliteSource(PollingSource):
    """Asks SQLite ten times a second whether anybody else has committed, which it knows without reading the file; only
    then the headers of the timelines that are watched are compared with what they were.

    It runs on a connection of the watcher's own thread, so that writes of this process's other threads are noticed too.
    An entry that is added or dropped shows in its timeline's header, wherever it stands.
    """

    def __init__(self, backend: SqlBackend) -> None:
        super().__init__(backend, POLL_SECONDS)
        self._store: Store = backend.store
        self._heads = Heads(backend.database.compiler)
        self._seen: tuple[Any, ...] = ()

    def look(self, watched: Watched[Any]) -> list[bytes]:
        """One statement, and one more for each 500 keys if somebody has committed or keys were added."""
        if not watched:
            return []
        seen = (watched.version, *self._store.read(_data_version))
        if seen == self._seen:
            return []
        # Noted only after the look: if that fails, the next one has to see the change again.
        found = super().look(watched)
        self._seen = seen
        return found

    def states_of(self, backend: Backend, kind: Kind, keys: list[str]) -> Mapping[str, Any]:
        """One statement."""
        namespace = self._store.namespaces.find(backend.namespace)
        return {} if namespace is None else self._heads.fetch(self._store, kind, namespace, keys)


class Heads:
    """Statements that read what is newest in many timelines or queues, each compiled for a few numbers of keys."""

    def __init__(self, compiler: Compiler) -> None:
        self._texts = {
            (kind, size): compiler.text(*statement(size))
            for kind, statement in ((Kind.TIMELINE, _newest_entries), (Kind.QUEUE, _newest_messages))
            for size in _SIZES
        }

    def fetch(self, store: Store, kind: Kind, namespace: str, keys: list[str]) -> dict[str, tuple[Any, ...]]:
        """Return ``{key: what changes with each write}`` of up to 500 timelines or queues that are there."""
        size = next(size for size in _SIZES if size >= len(keys))
        padded = [key.encode() for key in keys] + [b""] * (size - len(keys))
        rows = store.fetch(self._texts[kind, size], (namespace, *padded))
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
    # Another connection counts from anew: after a fork, say.
    return id(connection.raw), connection.execute("PRAGMA data_version").fetchone()[0]

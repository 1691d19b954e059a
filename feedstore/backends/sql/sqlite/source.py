"""Polling a SQLite file for the writes of other processes."""

from __future__ import annotations

from typing import Any

from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.database import Database
from feedstore.backends.sql.dialect import StatesReader
from feedstore.storage.notify.polling import PollingSource
from feedstore.storage.notify.registry import TopicRegistry

POLL_SECONDS = 0.1


class SqliteSource(PollingSource):
    """A source that polls a file ten times a second.

    It asks SQLite whether another connection has committed, which needs no read of the file. Only if one has, it
    compares the headers of the timelines with subscriptions with those of the last poll. It uses the connection of the
    dispatcher's own thread, so it finds the writes of this process's other threads too. Each added or removed entry
    changes its timeline's header, at any position.
    """

    def __init__(self, database: Database, read_states: StatesReader) -> None:
        super().__init__(read_states, POLL_SECONDS)
        self._database = database
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


def _data_version(connection: Connection) -> tuple[int, int]:
    # Each connection counts for itself, so a new one, after a fork for example, is a change.
    return id(connection.raw), connection.execute("PRAGMA data_version").fetchone()[0]

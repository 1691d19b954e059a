"""Hearing of changes by PostgreSQL's LISTEN and NOTIFY."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import psycopg

from feedstore.storage.topic import cut
from feedstore.storage.topic_source import EVERYTHING, PushedSource
from feedstore.storage.watched import Watched

if TYPE_CHECKING:
    from feedstore.backends.sql.store import Store

# A payload ends below 8,000 bytes.
_DIGESTS_AT_ONCE = 700
NOTIFY = "SELECT pg_notify(%b, payload) FROM unnest(%b::text[]) AS payload"
"""The statement that announces; its parameters are those of :func:`notification`."""


class PostgresqlSource(PushedSource):
    """One connection of its own, outside the pool, that listens to a channel for each namespace that is watched.

    A notification holds the digests of what has changed, and reaches who listens when its transaction commits. After a
    lost connection anything may have changed. Nothing is asked while nothing happens; the operating system's keepalive
    finds a server that has vanished.
    """

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._pooled: Any = None
        self._raw: Any = None
        self._channels: set[str] = set()

    def wait(self, watched: Watched[Any], seconds: float) -> Collection[bytes] | None:
        """Connects when something is watched, and stays connected."""
        if self._raw is None and not watched:
            self._waker.sleep(None, seconds)
            return ()
        try:
            if self._raw is None:
                self._connect()
            if self._follow({channel_of(namespace) for namespace in watched.namespaces()}):
                return EVERYTHING
            return self._heard() if self._waker.sleep(self._raw.fileno(), seconds) else ()
        except psycopg.Error as error:
            self._disconnect()
            raise self._store.database.translated(error) from error

    def _connect(self) -> None:
        self._pooled, self._raw = self._store.new_connection()
        self._raw.autocommit = True
        self._channels = set()

    def _disconnect(self) -> None:
        raw, self._raw = self._raw, None
        if raw is not None:
            raw.close()

    def _follow(self, channels: set[str]) -> bool:
        """Listen to these channels alone; return whether something may have been missed."""
        changes = [("LISTEN", channels - self._channels), ("UNLISTEN", self._channels - channels)]
        for command, changed in changes:
            for channel in changed:
                # A namespace holds no quote. What is notified during the command is lost to it.
                self._raw.execute(f'{command} "{channel}"')
        has_changed = channels != self._channels
        self._channels = channels
        return has_changed

    def _heard(self) -> Collection[bytes]:
        found: set[bytes] = set()
        connection = self._raw.pgconn
        connection.consume_input()
        while notification := connection.notifies():
            found.update(_digests(notification.extra))
        if connection.status != psycopg.pq.ConnStatus.OK:
            raise psycopg.OperationalError("the connection was lost")
        return found


def channel_of(namespace: str) -> str:
    """Return the channel on which the changes of a namespace are notified."""
    return f"feedstore_{namespace}"


def notification(namespace: str, digests: Sequence[bytes]) -> tuple[str, list[str]]:
    """Return the parameters of :data:`NOTIFY`: as many payloads as it takes."""
    starts = range(0, len(digests), _DIGESTS_AT_ONCE)
    payloads = [b64encode(b"".join(digests[start : start + _DIGESTS_AT_ONCE])).decode() for start in starts]
    return channel_of(namespace), payloads


def _digests(payload: bytes) -> list[bytes]:
    """Return the digests in a payload; none of what somebody else notifies on the channel."""
    try:
        return cut(b64decode(payload))
    except ValueError:
        return []

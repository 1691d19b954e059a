"""Receiving changes by PostgreSQL's LISTEN."""

from __future__ import annotations

import logging
import time
from base64 import b64decode, b64encode
from collections.abc import Collection, Sequence
from typing import Any

import psycopg

from feedstore.backends.sql.database import Database
from feedstore.backends.sql.dialect import StatesReader
from feedstore.storage.notify.polling import PollingSource
from feedstore.storage.notify.registry import TopicRegistry, split_digests
from feedstore.storage.notify.source import ALL_TOPICS, PushedSource

_logger = logging.getLogger("feedstore.backends.sql")
_CHECK_SECONDS = 60.0
# A payload ends below 8,000 bytes.
_DIGESTS_A_MESSAGE = 700
NOTIFY = "SELECT pg_notify(%b, payload) FROM unnest(%b::text[]) AS payload"
"""The statement that publishes changes; :func:`notification` returns its parameters."""


class PostgresqlSource(PushedSource):
    """A source with a connection of its own, which listens to a channel for each namespace with subscriptions.

    A notification holds the digests of the topics that have changed, and arrives when its transaction commits. After a
    lost connection all topics may have changed. After a minute without a notification the source sends a statement to
    check the connection. Through a pooler that shares the server's connections no notification arrives: without a
    ``listen_url`` that goes past the pooler, the source polls once a second.
    """

    def __init__(self, database: Database, read_states: StatesReader) -> None:
        super().__init__()
        self._database = database
        self._read_states = read_states
        self._raw: Any = None
        self._channels: set[str] = set()
        self._late: set[bytes] = set()
        self._checked = 0.0
        self._polling: PollingSource | None = None

    def wait(self, registry: TopicRegistry[Any], seconds: float) -> Collection[bytes] | None:
        """Wait for notifications. Connect once the registry has topics, and stay connected."""
        if self._polling is not None:
            return self._polling.wait(registry, seconds)
        if self._raw is None and not registry:
            self._waker.sleep(None, seconds)
            return ()
        try:
            if self._raw is None and not self._connect():
                return ALL_TOPICS
            if self._listen({channel_of(namespace) for namespace in registry.namespaces()}):
                return ALL_TOPICS
            if self._waker.sleep(self._raw.fileno(), seconds):
                return self._received()
            return self._still_works()
        except psycopg.Error as error:
            self._disconnect()
            raise self._database.driver.translated(error) from error

    def wake(self) -> None:
        """End the sleep."""
        super().wake()
        if self._polling is not None:
            self._polling.wake()

    def _connect(self) -> bool:
        """Connect; return False if a pooler stands in between, and polling begins."""
        _, raw = self._database.new_connection()
        if getattr(raw, "shares_server", False):
            raw.close()
            _logger.warning(
                "%s: a connection pooler stands before the server, so that changes are polled once a second; pass "
                "listen_url, the URL of the server itself, to receive them",
                self._database.label,
            )
            self._polling = PollingSource(self._read_states)
            return False
        raw.autocommit = True
        raw.add_notify_handler(lambda notify: self._late.update(_digests(notify.payload.encode())))
        self._raw, self._channels, self._checked = raw, set(), time.monotonic()
        return True

    def _disconnect(self) -> None:
        raw, self._raw = self._raw, None
        if raw is not None:
            raw.close()

    def _listen(self, channels: set[str]) -> bool:
        """Listen to these channels and no others; return whether notifications may have been missed."""
        changes = [("LISTEN", channels - self._channels), ("UNLISTEN", self._channels - channels)]
        for command, changed in changes:
            for channel in changed:
                # A namespace holds no quote.
                self._raw.execute(f'{command} "{channel}"')
        has_changed = channels != self._channels
        self._channels = channels
        return has_changed

    def _received(self) -> Collection[bytes]:
        found, self._late = self._late, set()
        connection = self._raw.pgconn
        connection.consume_input()
        while notification := connection.notifies():
            found.update(_digests(notification.extra))
        if connection.status != psycopg.pq.ConnStatus.OK:
            raise psycopg.OperationalError("the connection was lost")
        self._checked = time.monotonic()
        return found

    def _still_works(self) -> Collection[bytes]:
        """Check the connection once a minute; return the topics of notifications that arrived before the answer."""
        if time.monotonic() - self._checked < _CHECK_SECONDS:
            return ()
        self._raw.execute("SELECT 1")
        return self._received()


def channel_of(namespace: str) -> str:
    """Return the channel on which the changes of a namespace are notified."""
    return f"feedstore_{namespace}"


def notification(namespace: str, digests: Sequence[bytes]) -> tuple[str, list[str]]:
    """Return the parameters of :data:`NOTIFY`, with as many payloads as the digests need."""
    starts = range(0, len(digests), _DIGESTS_A_MESSAGE)
    payloads = [b64encode(b"".join(digests[start : start + _DIGESTS_A_MESSAGE])).decode() for start in starts]
    return channel_of(namespace), payloads


def _digests(payload: bytes) -> list[bytes]:
    """Return the digests in a payload; none if another program sent it."""
    try:
        return split_digests(b64decode(payload))
    except ValueError:
        return []

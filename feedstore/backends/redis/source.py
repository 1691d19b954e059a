"""The source of changes that Redis publishes."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

from feedstore.backends.redis.errors import DRIVER_ERRORS, translated
from feedstore.backends.redis.keys import channel_of
from feedstore.backends.redis.store import Store
from feedstore.errors import StorageTimeoutError
from feedstore.storage.notify.registry import DIGEST_BYTES, TopicRegistry, split_digests
from feedstore.storage.notify.source import ALL_TOPICS, PushedSource

_PING_SECONDS = 30.0
_ANSWER_SECONDS = 10.0


class RedisSource(PushedSource):
    """One connection that is subscribed to the channel of each namespace with subscriptions. On a Cluster it goes to
    any node, because each node passes published messages on.

    A message holds the digests of the topics that have changed. Redis keeps no message for a client that is
    disconnected, and disconnects a client that reads too slowly, so after each SUBSCRIBE all topics may have changed.
    After 30 seconds without a message the source sends a PING, which is the only cost of an idle connection.
    """

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._connection: Any = None
        self._channels: set[bytes] = set()
        self._silent_since = 0.0
        self._pinged_since: float | None = None

    def wait(self, registry: TopicRegistry[Any], seconds: float) -> Collection[bytes] | None:
        """Connects when the registry has topics, and stays connected."""
        try:
            if self._connection is None:
                if not registry:
                    self._waker.sleep(None, seconds)
                    return ()
                self._connect()
            self._subscribe({channel_of(namespace).encode() for namespace in registry.namespaces()})
            if self._waker.sleep(self._connection._sock.fileno(), min(seconds, self._seconds_to_ping())):
                return self._received()
            self._ping_if_due()
        except (*DRIVER_ERRORS, OSError) as error:
            self._disconnect()
            raise translated(error, self._store.label) from error
        except StorageTimeoutError:
            self._disconnect()
            raise
        return ()

    def _connect(self) -> None:
        self._connection = self._store.new_connection()
        self._connection.connect()
        self._channels = set()
        self._note_answer()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def _subscribe(self, channels: set[bytes]) -> None:
        for command, changed in (("SUBSCRIBE", channels - self._channels), ("UNSUBSCRIBE", self._channels - channels)):
            if changed:
                self._connection.send_command(command, *changed, check_health=False)
        self._channels = channels

    def _received(self) -> Collection[bytes] | None:
        """Return the topics of all messages that have arrived. Reads all of them: the socket does not become readable
        again for messages that the driver has buffered."""
        found: set[bytes] = set()
        is_gap = False
        while self._connection.can_read(timeout=0):
            answer = self._connection.read_response()
            self._note_answer()
            if answer[0] == b"message":
                found.update(split_digests(answer[2]))
                # Another program published a message of unknown meaning.
                is_gap = is_gap or len(answer[2]) % DIGEST_BYTES != 0
            is_gap = is_gap or answer[0] == b"subscribe"
        return ALL_TOPICS if is_gap else found

    def _seconds_to_ping(self) -> float:
        due = self._silent_since + _PING_SECONDS if self._pinged_since is None else self._pinged_since + _ANSWER_SECONDS
        return max(0.0, due - time.monotonic())

    def _note_answer(self) -> None:
        self._silent_since, self._pinged_since = time.monotonic(), None

    def _ping_if_due(self) -> None:
        if self._seconds_to_ping():
            return
        if self._pinged_since is not None:
            raise StorageTimeoutError(f"{self._store.label}: no answer to PING within {_ANSWER_SECONDS:g} seconds")
        self._pinged_since = time.monotonic()
        self._connection.send_command("PING", check_health=False)

"""Hearing of changes through Redis's channels."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from feedstore.backends.redis.errors import DRIVER_ERRORS, translated
from feedstore.backends.redis.keys import channel_of
from feedstore.errors import StorageTimeoutError
from feedstore.storage.topic import DIGEST_BYTES, cut
from feedstore.storage.topic_source import EVERYTHING, PushedSource
from feedstore.storage.watched import Watched

if TYPE_CHECKING:
    from feedstore.backends.redis.store import Store

_PING_SECONDS = 30.0
_ANSWER_SECONDS = 10.0


class RedisSource(PushedSource):
    """One connection that is subscribed to the channel of each namespace that is watched; on a Cluster any node will
    do, for each passes on what is published.

    A message holds the digests of what has changed. Redis keeps none for who is away, and cuts off who is too slow:
    after every new subscription anything may have changed. A connection that has been silent for 30 seconds is asked
    for a sign of life, which is all that an idle one costs.
    """

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._connection: Any = None
        self._channels: set[bytes] = set()
        self._silent_since = 0.0
        self._asked_since: float | None = None

    def wait(self, watched: Watched[Any], seconds: float) -> Collection[bytes] | None:
        """Connects when something is watched, and stays connected."""
        try:
            if self._connection is None:
                if not watched:
                    self._waker.sleep(None, seconds)
                    return ()
                self._connect()
            self._follow({channel_of(namespace).encode() for namespace in watched.namespaces()})
            if self._waker.sleep(self._connection._sock.fileno(), min(seconds, self._seconds_to_ping())):
                return self._heard()
            self._ask_for_life()
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
        self._note_life()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def _follow(self, channels: set[bytes]) -> None:
        for command, changed in (("SUBSCRIBE", channels - self._channels), ("UNSUBSCRIBE", self._channels - channels)):
            if changed:
                self._connection.send_command(command, *changed, check_health=False)
        self._channels = channels

    def _heard(self) -> Collection[bytes] | None:
        """Return what has come in: all of it, so that nothing is left that the socket would not tell of."""
        found: set[bytes] = set()
        is_gap = False
        while self._connection.can_read(timeout=0):
            answer = self._connection.read_response()
            self._note_life()
            if answer[0] == b"message":
                found.update(cut(answer[2]))
                # Another program published something else: it may have meant anything.
                is_gap = is_gap or len(answer[2]) % DIGEST_BYTES != 0
            is_gap = is_gap or answer[0] == b"subscribe"
        return EVERYTHING if is_gap else found

    def _seconds_to_ping(self) -> float:
        due = self._silent_since + _PING_SECONDS if self._asked_since is None else self._asked_since + _ANSWER_SECONDS
        return max(0.0, due - time.monotonic())

    def _note_life(self) -> None:
        self._silent_since, self._asked_since = time.monotonic(), None

    def _ask_for_life(self) -> None:
        if self._seconds_to_ping():
            return
        if self._asked_since is not None:
            raise StorageTimeoutError(f"{self._store.label}: no sign of life within {_ANSWER_SECONDS:g} seconds")
        self._asked_since = time.monotonic()
        self._connection.send_command("PING", check_health=False)

"""The connections of a channel, by their listeners' ids."""

from __future__ import annotations

import threading

from feedstore.channels.connection import Connection
from feedstore.errors import InvalidListenerException, InvalidTypeError
from feedstore.shown import shown


class ConnectionTable:
    """Connections by the id of their listener, in the order of their registration. Safe to share between threads."""

    def __init__(self, channel_id: str) -> None:
        self._channel_id = channel_id
        self._lock = threading.Lock()
        self._connections: dict[str, Connection] = {}

    def add(self, connection: Connection) -> None:
        """Add a connection, or replace the one of the same listener."""
        if not isinstance(connection, Connection):
            raise InvalidTypeError(f"a channel registers connections, not {shown(connection)}")
        with self._lock:
            self._connections[connection.listener.id] = connection

    def get(self, listener_id: str) -> Connection:
        """Return the listener's connection, or raise :class:`InvalidListenerException`."""
        with self._lock:
            found = self._connections.get(listener_id)
        if found is None:
            raise self._unknown(listener_id)
        return found

    def remove(self, listener_id: str) -> Connection:
        """Remove the listener's connection and return it, or raise :class:`InvalidListenerException`."""
        with self._lock:
            found = self._connections.pop(listener_id, None)
        if found is None:
            raise self._unknown(listener_id)
        return found

    def all(self) -> list[Connection]:
        """Return the connections as they are now."""
        with self._lock:
            return list(self._connections.values())

    def _unknown(self, listener_id: str) -> InvalidListenerException:
        return InvalidListenerException(f"the channel {shown(self._channel_id)} has no listener {shown(listener_id)}")

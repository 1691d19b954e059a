"""One Redis server, and the connections to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.exceptions import ResponseError


class Exchange:
    """One request that is under way: sent when it is made; :meth:`answers` or :meth:`abandon` ends it."""

    def __init__(self, pool: Any, commands: Sequence[tuple[Any, ...]]) -> None:
        self._pool = pool
        self._expected = len(commands)
        self._connection = pool.get_connection()
        try:
            self._connection.send_packed_command(_packed(self._connection, commands))
        except BaseException:
            self.abandon()
            raise

    def answers(self) -> list[Any]:
        """Return the answers in order; what the server refuses stands among them as an exception.

        Raises the driver's ConnectionError or TimeoutError when the answers are lost, and the connection with them.
        """
        connection = self._connection
        try:
            answers = [_answer(connection) for _ in range(self._expected)]
        except BaseException:
            self.abandon()
            raise
        self._pool.release(connection)
        return answers

    def abandon(self) -> None:
        """Give the answers up, and the connection with them."""
        # Answers may be under way that the connection's next user would take for its own.
        self._connection.disconnect()
        self._pool.release(self._connection)


class Node:
    """Sends requests to one server over the connections of a pool."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def begin(self, commands: Sequence[tuple[Any, ...]]) -> Exchange:
        """Send commands and return without waiting for their answers."""
        return Exchange(self._pool, commands)

    def request(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Return the answers to commands, in one round trip."""
        return Exchange(self._pool, commands).answers()

    def reconnect(self) -> None:
        """Close the connections that nobody uses; the next requests open new ones."""
        self._pool.disconnect(inuse_connections=False)

    def close(self) -> None:
        """Close every connection."""
        self._pool.disconnect()


def _packed(connection: Any, commands: Sequence[tuple[Any, ...]]) -> Any:
    return connection.pack_command(*commands[0]) if len(commands) == 1 else connection.pack_commands(commands)


def _answer(connection: Any) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error

"""One Redis server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.exceptions import ResponseError, TimeoutError

from feedstore.backends.redis.connections import Connections

_MANY_WORDS = 500


class Exchange:
    """One request that is under way: sent when it is made; :meth:`answers` or :meth:`abandon` ends it."""

    def __init__(self, connections: Connections, commands: Sequence[tuple[Any, ...]]) -> None:
        self._connections = connections
        self._expected = len(commands)
        self._connection = connections.take()
        try:
            _send(self._connection, commands)
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
        self._connections.give_back(connection)
        return answers

    def answers_so_far(self) -> list[Any]:
        """Return the answers if the first has come in. Raises the driver's TimeoutError, without waiting, if not."""
        try:
            is_there = self._connection.can_read(timeout=0)
        except BaseException:
            self.abandon()
            raise
        if not is_there:
            self.abandon()
            raise TimeoutError("no answer came in while another node was waited for")
        return self.answers()

    def abandon(self) -> None:
        """Give the answers up, and the connection with them."""
        # Answers may be under way that the connection's next user would take for its own.
        self._connections.discard(self._connection)


class Node:
    """Sends requests to one server."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def begin(self, commands: Sequence[tuple[Any, ...]]) -> Exchange:
        """Send commands and return without waiting for their answers."""
        return Exchange(self._connections, commands)

    def new_connection(self) -> Any:
        """Return a connection that is the caller's alone, not connected yet."""
        return self._connections.make()

    def request(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Return the answers to commands, in one round trip."""
        return Exchange(self._connections, commands).answers()

    def ask(self, words: tuple[Any, ...]) -> Any:
        """Return the answer to one command; what the server refuses is raised."""
        connections = self._connections
        connection = connections.take()
        # Each way out names what becomes of the connection: an exception in a `finally` must not give back one whose
        # answer is under way.
        try:
            connection.send_packed_command(connection.pack_command(*words), check_health=False)
            answer = connection.read_response()
        except ResponseError:
            connections.give_back(connection)
            raise
        except BaseException:
            connections.discard(connection)
            raise
        connections.give_back(connection)
        return answer


def _send(connection: Any, commands: Sequence[tuple[Any, ...]]) -> None:
    if sum(map(len, commands)) < _MANY_WORDS:
        connection.send_packed_command(connection.pack_commands(commands), check_health=False)
        return
    # The server works on the first while the next one is packed.
    for words in commands:
        connection.send_packed_command(connection.pack_command(*words), check_health=False)


def _answer(connection: Any) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error

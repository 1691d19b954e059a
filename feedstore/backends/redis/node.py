"""The node: one Redis server, and the requests to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.exceptions import ResponseError, TimeoutError

from feedstore.backends.redis.connections import Connections

try:
    from hiredis import pack_command
except ImportError:
    # The driver packs the commands in Python.
    pack_command = None  # type: ignore[assignment]

_MANY_WORDS = 500


class Exchange:
    """One request, which the constructor sends. :meth:`answers` or :meth:`abandon` ends it."""

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
        """Return the answers in order. The answer to a refused command is an exception.

        It raises the driver's ConnectionError or TimeoutError, and discards the connection, if the answers are lost.
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
        """Return the answers if the first has arrived. Otherwise raise the driver's TimeoutError, without waiting."""
        try:
            is_there = self._connection.can_read(timeout=0)
        except BaseException:
            self.abandon()
            raise
        if not is_there:
            self.abandon()
            raise TimeoutError("no answer arrived during the wait for another node")
        return self.answers()

    def abandon(self) -> None:
        """Give up the answers, and discard the connection."""
        # The next user of the connection would read the outstanding answers as its own.
        self._connections.discard(self._connection)


class Node:
    """One server, and its connections."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def begin(self, commands: Sequence[tuple[Any, ...]]) -> Exchange:
        """Send commands and return without waiting for their answers."""
        return Exchange(self._connections, commands)

    def new_connection(self) -> Any:
        """Return an unconnected connection that only the caller uses."""
        return self._connections.make()

    def request(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Return the answers to commands, in one round trip."""
        return Exchange(self._connections, commands).answers()

    def ask(self, words: tuple[Any, ...]) -> Any:
        """Return the answer to one command. It raises the driver's ResponseError for a refused command."""
        connections = self._connections
        connection = connections.take()
        # No `finally` puts the connection back: after an exception its answer may be outstanding.
        try:
            connection.send_packed_command(_packed(connection, (words,)), check_health=False)
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
        connection.send_packed_command(_packed(connection, commands), check_health=False)
        return
    # The server runs the first command while this process packs the next one.
    for words in commands:
        connection.send_packed_command(_packed(connection, (words,)), check_health=False)


def _packed(connection: Any, commands: Sequence[tuple[Any, ...]]) -> Any:
    """Return commands as the bytes of a request.

    The driver's own function inspects each argument first. For the 30 commands of a page of an aggregated feed it takes
    five times as long, and ten times for the keys of a fan-out. Without hiredis, it packs the commands.
    """
    if pack_command is None:
        return connection.pack_commands(commands)
    try:
        return [b"".join(map(pack_command, commands))]
    except TypeError:
        # The driver converts other arguments, such as bytearrays, or names them in its error.
        return connection.pack_commands(commands)


def _answer(connection: Any) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error

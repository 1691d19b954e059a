"""The transport: it sends commands, and retries those that failed temporarily."""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from redis import exceptions

from feedstore.backends.redis.command import Command
from feedstore.backends.redis.errors import DRIVER_ERRORS, is_passing, translated
from feedstore.backends.redis.node import Node
from feedstore.backends.redis.options import Settings
from feedstore.backends.redis.scripts import SCRIPTS
from feedstore.errors import BackendClosedError, StorageTimeoutError

_FIRST_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE_SECONDS = 0.5


class Transport(ABC):
    """The transport to one server or to the nodes of a Cluster.

    Every command of this backend is idempotent. Temporary errors (a lost connection, a timeout, a server that starts or
    runs a long script, a slot that moves) are therefore retried for ``settings.retry_seconds``. A failed command is
    sent again together with the later commands of its order group.
    """

    def __init__(self, settings: Settings, label: str) -> None:
        self.settings = settings
        self.label = label
        self.is_closed = False
        self._lacks_transactions = False

    def ask(self, command: Command) -> Any:
        """Return the answer to one command, in one round trip.

        This is the short path of :meth:`send`. It leaves errors and retries to the long one.
        """
        begun, node = None, self._node_for(command)
        if node is not None and not (command.writes and self.settings.wait_replicas):
            begun = time.monotonic()
            try:
                return node.ask(command.words)
            except exceptions.RedisError as error:
                self._prepare_retry(error)
        return self._sent((command,), begun)[0]

    def ask_together(self, commands: Sequence[Command], otherwise: Command) -> tuple[list[Any] | None, Any]:
        """Return the answers to reading commands of one slot, which a transaction carries out at one moment, and None.

        The answer to a refused command is an exception. If the transaction itself fails, return None and the answer to
        another command, which has the retries.
        """
        node = None if self._lacks_transactions else self._node_for(otherwise)
        if node is None:
            return None, self.ask(otherwise)
        begun = time.monotonic()
        try:
            *queued, found = node.request([("MULTI",), *(command.words for command in commands), ("EXEC",)])
        except exceptions.RedisError as error:
            self._prepare_retry(error)
            return None, self._sent((otherwise,), begun)[0]
        if isinstance(found, list):
            return found, None
        # An ACL may lack the category of transactions, which no other call needs, and a server may have renamed MULTI.
        self._lacks_transactions = isinstance(queued[0], exceptions.ResponseError)
        return None, self.ask(otherwise)

    def send(self, commands: Sequence[Command]) -> list[Any]:
        """Return the answers to commands, in one round trip to each node. It raises feedstore's errors.

        After :meth:`close`, there are no more retries.
        """
        return [self.ask(commands[0])] if len(commands) == 1 else self._sent(commands, None)

    def _sent(self, commands: Sequence[Command], begun: float | None) -> list[Any]:
        """Send commands until all are answered. ``begun`` is the start of an earlier attempt, or None."""
        answers: list[Any] = [None] * len(commands)
        pending = list(range(len(commands)))
        deadline = (time.monotonic() if begun is None else begun) + self.settings.retry_seconds
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                self._round(commands, pending, answers)
            except DRIVER_ERRORS as error:
                self._prepare_retry(error)
                passing: Exception | None = error if is_passing(error) else None
                if passing is None:
                    raise translated(error, self.label) from error
            else:
                passing = self._sort_out(commands, pending, answers)
                if passing is None:
                    return answers
            if self.is_closed:
                raise BackendClosedError(f"{self.label}: the backend was closed during a request") from passing
            if time.monotonic() + pause > deadline:
                raise translated(passing, self.label) from passing
            # The random pause keeps callers that failed together from retrying together.
            time.sleep(random.uniform(pause / 2, pause))
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _sort_out(self, commands: Sequence[Command], pending: list[int], answers: list[Any]) -> Exception | None:
        """Leave in ``pending`` the commands to send again, and return the error that caused it, or None.

        It raises feedstore's error for a command that failed permanently.
        """
        first_passing: Exception | None = None
        noted: set[type[Exception]] = set()
        again: set[Any] = set()
        left = []
        for position in pending:
            answer, group = answers[position], self._order_group(commands[position])
            if isinstance(answer, Exception):
                if type(answer) not in noted:
                    noted.add(type(answer))
                    self._prepare_retry(answer)
                if not is_passing(answer):
                    raise translated(answer, self.label) from answer
                first_passing = first_passing or answer
                again.add(group)
            if group in again:
                left.append(position)
        pending[:] = left
        return first_passing

    def _ask(self, node: Node, commands: Sequence[Command], answers: list[Any]) -> list[Any]:
        """Return the answers of a node in their order, after loading the scripts that it did not know."""
        unknown = next((i for i, answer in enumerate(answers) if isinstance(answer, exceptions.NoScriptError)), None)
        if unknown is None:
            return self._confirmed(commands, answers)
        rest = commands[unknown:]
        self._load_scripts(node, rest)
        return [*answers[:unknown], *self._ask(node, rest, node.request(self._words(rest)))]

    def _load_scripts(self, node: Node, commands: Sequence[Command]) -> None:
        shas = {command.sha for command in commands if command.sha is not None}
        for answer in node.request([("SCRIPT", "LOAD", SCRIPTS[sha].source) for sha in shas]):
            if isinstance(answer, Exception):
                raise answer

    def _words(self, commands: Sequence[Command]) -> list[tuple[Any, ...]]:
        words = [command.words for command in commands]
        if self.settings.wait_replicas and any(command.writes for command in commands):
            # 0 milliseconds would mean no timeout.
            words.append(("WAIT", self.settings.wait_replicas, max(1, int(self.settings.wait_timeout * 1000))))
        return words

    def _confirmed(self, commands: Sequence[Command], answers: list[Any]) -> list[Any]:
        if len(answers) == len(commands):
            return answers
        replicas = answers.pop()
        if isinstance(replicas, Exception):
            raise replicas
        if replicas < self.settings.wait_replicas:
            raise StorageTimeoutError(
                f"{self.label}: {replicas} replicas instead of {self.settings.wait_replicas} confirmed a write within "
                f"{self.settings.wait_timeout:g} seconds; the write stays on the primary, and a call of several "
                "requests stopped after it"
            )
        return answers

    @abstractmethod
    def _node_for(self, command: Command) -> Node | None:
        """Return the node that serves a command if it is known and was checked, else None."""

    @abstractmethod
    def _round(self, commands: Sequence[Command], pending: list[int], answers: list[Any]) -> None:
        """Send the pending commands once, and fill in their answers. An error is the answer to its command."""

    @abstractmethod
    def _order_group(self, command: Command) -> Any:
        """Return the order group of a command. Commands of one group keep their order."""

    @abstractmethod
    def _prepare_retry(self, error: Exception) -> None:
        """Renew connections or the topology if the error shows that they are out of date."""

    @abstractmethod
    def new_connection(self) -> Any:
        """Return an unconnected connection to the server, or to any node of the Cluster, that only the caller uses."""

    def close(self) -> None:
        """Close the connections of this transport: idle ones now, the others at the end of their requests."""
        self.is_closed = True
        self._close()

    @abstractmethod
    def _close(self) -> None:
        """Close the idle connections, and each other one at the end of its request."""

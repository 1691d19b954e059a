"""The way to a store: what sends commands, and sends again what may be sent again."""

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
    """Sends commands to one server or to the nodes of a Cluster.

    Every command of this backend leaves the same behind when it is carried out twice, so whatever may pass (a lost
    connection, no answer in time, a server that starts or runs a long script, a slot that moves) is tried again until
    ``settings.retry_seconds`` are over. A failed command is sent again together with those behind it whose order
    matters.
    """

    def __init__(self, settings: Settings, label: str) -> None:
        self.settings = settings
        self.label = label
        self.is_closed = False

    def ask(self, command: Command) -> Any:
        """Return the answer to one command: the short way, which leaves an error to the long one."""
        begun, node = None, self._node_for(command)
        if node is not None and not (command.writes and self.settings.wait_replicas):
            begun = time.monotonic()
            try:
                return node.ask(command.words)
            except exceptions.RedisError as error:
                self._find_way(error)
        return self._sent((command,), begun)[0]

    def send(self, commands: Sequence[Command]) -> list[Any]:
        """Return the answers to commands, in one round trip to each node. Raises feedstore's errors.

        What was closed meanwhile is not asked again.
        """
        return [self.ask(commands[0])] if len(commands) == 1 else self._sent(commands, None)

    def _sent(self, commands: Sequence[Command], begun: float | None) -> list[Any]:
        """Send commands until all are answered; ``begun`` is when an attempt began that was made already."""
        answers: list[Any] = [None] * len(commands)
        pending = list(range(len(commands)))
        deadline = (time.monotonic() if begun is None else begun) + self.settings.retry_seconds
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                self._round(commands, pending, answers)
            except DRIVER_ERRORS as error:
                self._find_way(error)
                passing: Exception | None = error if is_passing(error) else None
                if passing is None:
                    raise translated(error, self.label) from error
            else:
                passing = self._sort_out(commands, pending, answers)
                if passing is None:
                    return answers
            if self.is_closed:
                raise BackendClosedError(f"{self.label} was closed while it was asked") from passing
            if time.monotonic() + pause > deadline:
                raise translated(passing, self.label) from passing
            # Callers that failed together must not come back together.
            time.sleep(random.uniform(pause / 2, pause))
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _sort_out(self, commands: Sequence[Command], pending: list[int], answers: list[Any]) -> Exception | None:
        """Leave in ``pending`` what must be sent again and return why; raise for what was refused."""
        first_passing: Exception | None = None
        noted: set[type[Exception]] = set()
        again: set[Any] = set()
        left = []
        for position in pending:
            answer, group = answers[position], self._order_group(commands[position])
            if isinstance(answer, Exception):
                if type(answer) not in noted:
                    noted.add(type(answer))
                    self._find_way(answer)
                if not is_passing(answer):
                    raise translated(answer, self.label) from answer
                first_passing = first_passing or answer
                again.add(group)
            if group in again:
                left.append(position)
        pending[:] = left
        return first_passing

    def _ask(self, node: Node, commands: Sequence[Command], answers: list[Any]) -> list[Any]:
        """Return the answers of a node, with scripts loaded that it does not know, in their order."""
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
            # 0 milliseconds would be for ever.
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
                f"{self.label}: {replicas} replicas and not {self.settings.wait_replicas} confirmed a write within "
                f"{self.settings.wait_timeout:g} seconds; it stays on the primary, and a call of several requests "
                "stopped behind it"
            )
        return answers

    @abstractmethod
    def _node_for(self, command: Command) -> Node | None:
        """Return the node that serves a command, if that is known and the node was checked."""

    @abstractmethod
    def _round(self, commands: Sequence[Command], pending: list[int], answers: list[Any]) -> None:
        """Send the pending commands once and fill in their answers, errors included."""

    @abstractmethod
    def _order_group(self, command: Command) -> Any:
        """Return what a command has in common with those that must not overtake it."""

    @abstractmethod
    def _find_way(self, error: Exception) -> None:
        """Do what lets the next attempt find its way."""

    @abstractmethod
    def new_connection(self) -> Any:
        """Return a connection of redis-py's that nobody else uses, to the server or to any node of the Cluster."""

    def close(self) -> None:
        """Close what was opened here, connections that are in use as soon as they are not."""
        self.is_closed = True
        self._close()

    @abstractmethod
    def _close(self) -> None:
        """Close what was opened here and is not in use."""

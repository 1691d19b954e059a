"""The way to one server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.exceptions import ReadOnlyError

from feedstore.backends.redis.checks import check_server
from feedstore.backends.redis.command import Command
from feedstore.backends.redis.node import Node
from feedstore.backends.redis.options import Settings
from feedstore.backends.redis.transport import Transport


class ServerTransport(Transport):
    """Sends everything to one server; commands keep their order."""

    def __init__(self, pool: Any, settings: Settings, label: str, owns_pool: bool) -> None:
        super().__init__(settings, label)
        self._node = Node(pool)
        self._owns_pool = owns_pool
        self._is_checked = False

    def _round(self, commands: Sequence[Command], pending: list[int], answers: list[Any]) -> None:
        if not self._is_checked:
            check_server(self._node, self.label, in_cluster=False)
            self._is_checked = True
        chosen = commands if len(pending) == len(commands) else [commands[position] for position in pending]
        found = self._ask(self._node, chosen, self._node.request(self._words(chosen)))
        for position, answer in zip(pending, found, strict=True):
            answers[position] = answer

    def _order_group(self, command: Command) -> Any:
        return None

    def _note_failure(self, error: Exception) -> None:
        if isinstance(error, ReadOnlyError):
            # The address leads to a new primary after a failover; the old connections still lead to the old one.
            self._node.reconnect()

    def close(self) -> None:
        """Close what was opened here."""
        if self._owns_pool:
            self._node.close()

"""The transport to one server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.exceptions import ReadOnlyError

from feedstore.backends.redis.checks import check_server
from feedstore.backends.redis.command import Command
from feedstore.backends.redis.connections import Connections
from feedstore.backends.redis.errors import is_lost
from feedstore.backends.redis.node import Node
from feedstore.backends.redis.options import Settings
from feedstore.backends.redis.transport import Transport


class ServerTransport(Transport):
    """The transport that sends all commands to one server, in their order."""

    def __init__(self, connections: Connections, settings: Settings, label: str) -> None:
        super().__init__(settings, label)
        self._connections = connections
        self._node = Node(connections)
        self._is_checked = False

    def _node_for(self, command: Command) -> Node | None:
        return self._node if self._is_checked else None

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

    def _prepare_retry(self, error: Exception) -> None:
        if isinstance(error, ReadOnlyError) or is_lost(error):
            # After a failover, new connections reach the new primary, and the old ones still reach the old primary.
            # The cause that cut one idle connection (a firewall, a restart) has probably cut the others too.
            self._connections.renew()

    def new_connection(self) -> Any:
        """Return an unconnected connection that takes no place in the pool."""
        return self._connections.make()

    def _close(self) -> None:
        self._connections.close()

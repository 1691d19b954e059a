"""The way to a Redis Cluster."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from redis import RedisCluster, exceptions
from redis.crc import key_slot

from feedstore.backends.redis.checks import check_server
from feedstore.backends.redis.command import Command
from feedstore.backends.redis.connections import PoolConnections
from feedstore.backends.redis.errors import DRIVER_ERRORS
from feedstore.backends.redis.node import Exchange, Node
from feedstore.backends.redis.options import Settings
from feedstore.backends.redis.transport import Transport
from feedstore.errors import StorageTimeoutError

_Share = tuple[Node, list[int], list[Command]]


@lru_cache(maxsize=65536)
def slot_of(tag: str) -> int:
    """Return the slot of a hash tag."""
    slot: int = key_slot(tag.encode())
    return slot


class ClusterTransport(Transport):
    """Sends each command to the node that serves its slot: to all nodes first, and then reads their answers.

    The commands of one slot keep their order; those of different slots have none.
    """

    def __init__(
        self,
        connect: Callable[[], RedisCluster],
        settings: Settings,
        label: str,
        when_connected: Callable[[], object],
        owns_client: bool,
    ) -> None:
        super().__init__(settings, label)
        self._connect = connect
        self._when_connected = when_connected
        self._nodes: dict[str, tuple[Any, Node]] = {}
        self._owns_client = owns_client
        self._lock = threading.Lock()
        self._client: RedisCluster | None = None

    def _connected(self) -> RedisCluster:
        if self._client is None:
            with self._lock:
                if self._client is None:
                    client: Any = self._connect()
                    try:
                        self._check(client)
                    except BaseException:
                        self._let_go(client)
                        raise
                    self._client = client
        return self._client

    def _check(self, client: Any) -> None:
        default = client.get_default_node()
        check_server(self._node_at(client, default), self.label, in_cluster=True)
        for place in client.get_primaries():
            if place.name != default.name:
                # A node that is away now keeps nobody from the others.
                with suppress(exceptions.ConnectionError, exceptions.TimeoutError):
                    check_server(self._node_at(client, place), f"{self.label}: {place.name}", in_cluster=True)

    def _node_at(self, client: Any, place: Any) -> Node:
        pool = client.get_redis_connection(place).connection_pool
        known = self._nodes.get(place.name)
        if known is None or known[0] is not pool:
            known = self._nodes[place.name] = (pool, Node(PoolConnections(pool, self._when_connected)))
        return known[1]

    def _round(self, commands: Sequence[Command], pending: list[int], answers: list[Any]) -> None:
        try:
            self._send_to_all(commands, pending, answers)
        finally:
            if self.is_closed:
                # Another thread closed: what was given back since then would stay open.
                self._close()

    def _send_to_all(self, commands: Sequence[Command], pending: list[int], answers: list[Any]) -> None:
        shares = self._shares(commands, pending)
        exchanges: list[Exchange | Exception] = []
        unconfirmed: StorageTimeoutError | None = None
        try:
            for node, _, chosen in shares:
                exchanges.append(self._begin(node, chosen))
            for node, positions, chosen in shares:
                try:
                    found = self._finish(node, chosen, exchanges.pop(0))
                except StorageTimeoutError as error:
                    # A request is dropped whose answer nobody waits for, and the other nodes are at theirs.
                    unconfirmed = error
                    continue
                for position, answer in zip(positions, found, strict=True):
                    answers[position] = answer
        finally:
            for exchange in exchanges:
                if isinstance(exchange, Exchange):
                    exchange.abandon()
        if unconfirmed is not None:
            raise unconfirmed
        for position in pending:
            if isinstance(answers[position], exceptions.AskError) and not _is_moved(answers[position]):
                answers[position] = self._follow(commands[position], answers[position])

    def _shares(self, commands: Sequence[Command], pending: list[int]) -> list[_Share]:
        client = self._connected()
        shares: dict[str, _Share] = {}
        for position in pending:
            command = commands[position]
            place = client.nodes_manager.get_node_from_slot(slot_of(command.tag))
            share = shares.get(place.name)
            if share is None:
                share = shares[place.name] = (self._node_at(client, place), [], [])
            share[1].append(position)
            share[2].append(command)
        return list(shares.values())

    def _begin(self, node: Node, commands: list[Command]) -> Exchange | Exception:
        try:
            return node.begin(self._words(commands))
        except exceptions.RedisError as error:
            return error

    def _finish(self, node: Node, commands: list[Command], exchange: Exchange | Exception) -> list[Any]:
        """Return a node's answers; a connection that was lost is the answer to each command."""
        if isinstance(exchange, Exception):
            return [exchange] * len(commands)
        try:
            return self._ask(node, commands, exchange.answers())
        except exceptions.RedisError as error:
            return [error] * len(commands)

    def _follow(self, command: Command, error: exceptions.AskError) -> Any:
        """Return the answer of the node that a slot is moving to, which has its key already."""
        client = self._connected()
        place = client.nodes_manager.get_node(error.host, error.port)
        if place is None:
            return error
        asking = Command(command.tag, ("ASKING",))
        try:
            return self._ask_behind(self._node_at(client, place), asking, command)
        except exceptions.RedisError as failure:
            return failure

    def _ask_behind(self, node: Node, asking: Command, command: Command) -> Any:
        words = [asking.words, *self._words([command])]
        _, *answers = node.request(words)
        if isinstance(answers[0], exceptions.NoScriptError):
            self._load_scripts(node, [command])
            _, *answers = node.request(words)
        return self._confirmed([command], answers)[0]

    def _order_group(self, command: Command) -> Any:
        return slot_of(command.tag)

    def _find_way(self, error: Exception) -> None:
        is_elsewhere = isinstance(error, (exceptions.AskError, exceptions.ReadOnlyError, exceptions.ClusterDownError))
        is_busy = isinstance(error, exceptions.MaxConnectionsError)
        is_lost = isinstance(error, (exceptions.ConnectionError, exceptions.TimeoutError)) and not is_busy
        if self._client is None or self.is_closed or not (is_elsewhere or is_lost):
            return
        try:
            self._client.nodes_manager.initialize()
        except DRIVER_ERRORS:
            # No node answers now; the next attempt asks again, and its error is the one that is raised.
            return

    def new_connection(self) -> Any:
        """Return one to any node."""
        client: Any = self._connected()
        return self._node_at(client, client.get_random_node()).new_connection()

    def _close(self) -> None:
        if self._client is not None:
            self._let_go(self._client)

    def _let_go(self, client: RedisCluster) -> None:
        if self._owns_client:
            client.close()


def _is_moved(error: exceptions.AskError) -> bool:
    return isinstance(error, exceptions.MovedError)

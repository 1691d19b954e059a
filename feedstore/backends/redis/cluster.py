"""The transport to a Redis Cluster."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from operator import itemgetter
from typing import Any, NamedTuple

from redis import exceptions
from redis.crc import key_slot

from feedstore.backends.redis.address_map import AddressMap
from feedstore.backends.redis.checks import check_server
from feedstore.backends.redis.command import Command
from feedstore.backends.redis.connections import Connections
from feedstore.backends.redis.errors import DRIVER_ERRORS, is_lost, is_refused, translated
from feedstore.backends.redis.node import Exchange, Node
from feedstore.backends.redis.options import Settings
from feedstore.backends.redis.pool import OwnConnections
from feedstore.backends.redis.topology import Topology
from feedstore.backends.redis.transport import Transport
from feedstore.backends.server_url import Place, text_of_places
from feedstore.errors import StorageError, StorageTimeoutError

_Share = tuple[Node, list[int], list[Command]]
_NO_CLUSTER = "cluster support disabled"


@lru_cache(maxsize=65536)
def slot_of(tag: str) -> int:
    """Return the slot of a hash tag."""
    slot: int = key_slot(tag.encode())
    return slot


class ClusterSeed(NamedTuple):
    """The first nodes of a Cluster, and the way to connect to its nodes.

    Attributes:
        places: The nodes to ask first.
        address_map: The map from announced to reachable addresses.
        make: Makes a connection to the node with the given ``host`` and ``port``.
        most: The maximum of connections to each node.
        pool_seconds: The time that a thread waits for one of these connections.
        seconds: The time limit of one search for a node that answers, without its last answer.
    """

    places: Sequence[Place]
    address_map: AddressMap
    make: Callable[..., Any]
    most: int
    pool_seconds: float
    seconds: float


class ClusterTransport(Transport):
    """The transport that sends each command to the node of its slot. It sends to all nodes before it reads the answers.

    The commands of one slot keep their order. Commands of different slots have no order. No thread waits for another
    one: each thread that meets an outdated topology asks the nodes for itself.
    """

    def __init__(self, seed: ClusterSeed, settings: Settings, label: str, when_connected: Callable[[], object]) -> None:
        super().__init__(settings, label)
        self._seed = seed
        self._when_connected = when_connected
        self._nodes: dict[Place, _Known] = {}
        self._topology: Topology | None = None

    def _known_topology(self) -> Topology:
        topology = self._topology
        if topology is None:
            topology = self._discovered()
            self._check(topology)
            self._topology = topology
        return topology

    def _discovered(self) -> Topology:
        """Return the topology from the first node that answers, in random order.

        It raises the last error if no node answers. The search ends after ``seconds``; the next attempt has another
        order.
        """
        known = self._topology.places if self._topology is not None else frozenset()
        places = [*known, *(place for place in self._seed.places if place not in known)]
        deadline = time.monotonic() + self._seed.seconds
        error: Exception = exceptions.ClusterDownError("CLUSTERDOWN no node serves any slot")
        for place in random.sample(places, len(places)):
            try:
                topology = Topology.read(self._node_at(place).ask(("CLUSTER", "SLOTS")), place, self._seed.address_map)
            except DRIVER_ERRORS as failure:
                self._refuse(failure)
                error = failure
            else:
                if topology.primaries:
                    return topology
            if time.monotonic() > deadline:
                break
        raise error

    def _refuse(self, error: Exception) -> None:
        """Raise an error that every other node would return too."""
        if is_refused(error):
            raise error
        if isinstance(error, exceptions.NoPermissionError):
            raise StorageError(f"{self.label}: {error}; grant the user +cluster|slots") from error
        if _NO_CLUSTER in str(error):
            raise StorageError(f"{self.label}: {error}; use redis:// for a server outside a Cluster") from error

    def _check(self, topology: Topology) -> None:
        for place in sorted(topology.primaries):
            if not self._check_node(place):
                return

    def _check_node(self, place: Place) -> bool:
        """Check a node. Skip it if it is not reachable. Return False after a timeout, to skip the other nodes too."""
        try:
            check_server(self._node_at(place), f"{self.label}: {text_of_places([place])}", in_cluster=True)
        except DRIVER_ERRORS as error:
            if not is_lost(error):
                raise
            return not isinstance(error, exceptions.TimeoutError)
        return True

    def _node_at(self, place: Place) -> Node:
        known = self._nodes.get(place)
        if known is None:
            make = partial(self._seed.make, host=place[0], port=place[1])
            connections = OwnConnections(make, self._seed.most, self._seed.pool_seconds, self._when_connected)
            known = self._nodes.setdefault(place, _Known(connections, Node(connections)))
            if self.is_closed:
                # The thread that closed the transport did not close these connections.
                known.connections.close()
        return known.node

    def _node_for(self, command: Command) -> Node | None:
        topology = self._topology
        owner = None if topology is None else topology.owners[slot_of(command.tag)]
        return None if owner is None else self._node_at(owner)

    def _round(self, commands: Sequence[Command], pending: list[int], answers: list[Any]) -> None:
        shares = self._shares(commands, pending)
        exchanges: list[Exchange | Exception] = []
        unconfirmed: StorageTimeoutError | None = None
        try:
            for node, _, chosen in shares:
                exchanges.append(self._begin(node, chosen, exchanges))
            is_late = any(isinstance(one, exceptions.TimeoutError) for one in exchanges)
            for node, positions, chosen in shares:
                try:
                    found = self._finish(node, chosen, exchanges.pop(0), is_late)
                except StorageTimeoutError as error:
                    # Read the other answers first: an abandoned request would drop its connection.
                    unconfirmed = error
                    continue
                is_late = is_late or isinstance(found[0], exceptions.TimeoutError)
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
                answers[position] = self._redirected(commands[position], answers[position])

    def _shares(self, commands: Sequence[Command], pending: list[int]) -> list[_Share]:
        topology = self._known_topology()
        shares: dict[Place, _Share] = {}
        for position in pending:
            command = commands[position]
            place = topology.owner_of(slot_of(command.tag))
            share = shares.get(place)
            if share is None:
                share = shares[place] = (self._node_at(place), [], [])
            share[1].append(position)
            share[2].append(command)
        # All threads use one order, so that no two threads wait for each other's last connection to a node.
        return [share for _, share in sorted(shares.items(), key=itemgetter(0))]

    def _begin(
        self, node: Node, commands: list[Command], begun: Sequence[Exchange | Exception]
    ) -> Exchange | Exception:
        if begun and isinstance(begun[-1], exceptions.TimeoutError):
            # The call cannot succeed in this round, and each further node that hangs would take another timeout.
            return begun[-1]
        try:
            return node.begin(self._words(commands))
        except exceptions.RedisError as error:
            return error

    def _finish(self, node: Node, commands: list[Command], exchange: Exchange | Exception, is_late: bool) -> list[Any]:
        """Return a node's answers. If the connection was lost, the error is the answer to each command.

        ``is_late`` means that the wait for another node ended with a timeout. This node had the same time, so the
        method does not wait again.
        """
        if isinstance(exchange, Exception):
            return [exchange] * len(commands)
        try:
            return self._ask(node, commands, exchange.answers_so_far() if is_late else exchange.answers())
        except exceptions.RedisError as error:
            return [error] * len(commands)

    def _redirected(self, command: Command, error: exceptions.AskError) -> Any:
        """Return the answer of the node that a slot is moving to, and that already has the key."""
        node = self._node_at(self._place_of(error))
        words = [("ASKING",), *self._words([command])]
        try:
            _, *answers = node.request(words)
            if isinstance(answers[0], exceptions.NoScriptError):
                self._load_scripts(node, [command])
                _, *answers = node.request(words)
            return self._confirmed([command], answers)[0]
        except exceptions.RedisError as failure:
            return failure

    def _place_of(self, error: exceptions.AskError) -> Place:
        if error.host in ("", "?"):
            # The node announces no host: it has the host of the node that answered.
            return self._known_topology().owner_of(error.slot_id)[0], error.port
        return self._seed.address_map.place_of(error.host, error.port)

    def _order_group(self, command: Command) -> Any:
        return slot_of(command.tag)

    def _prepare_retry(self, error: Exception) -> None:
        if self._topology is None or self.is_closed:
            return
        is_elsewhere = isinstance(error, (exceptions.ReadOnlyError, exceptions.ClusterDownError)) or _is_moved(error)
        if not is_elsewhere and not is_lost(error):
            return
        if is_lost(error):
            # The cause that cut one idle connection has probably cut the others too.
            for known in list(self._nodes.values()):
                known.connections.renew()
        try:
            topology = self._discovered()
        except DRIVER_ERRORS as failure:
            if is_refused(failure):
                raise translated(failure, self.label) from failure
            # No node answers now. The next attempt asks again, and raises its own error.
            topology = self._topology
        if isinstance(error, exceptions.MovedError):
            # The node that answered may not know of the move yet.
            topology = topology.with_owner(error.slot_id, self._place_of(error))
        self._topology = topology
        self._forget_nodes(topology)

    def _forget_nodes(self, topology: Topology) -> None:
        """Close the connections to nodes that have left the Cluster."""
        for place in list(self._nodes):
            if place not in topology.places and place not in self._seed.places:
                known = self._nodes.pop(place, None)
                if known is not None:
                    known.connections.close()

    def new_connection(self) -> Any:
        """Return an unconnected connection to any node."""
        return self._node_at(random.choice(sorted(self._known_topology().places))).new_connection()

    def _close(self) -> None:
        for known in list(self._nodes.values()):
            known.connections.close()


class _Known(NamedTuple):
    connections: Connections
    node: Node


def _is_moved(error: Exception) -> bool:
    return isinstance(error, exceptions.MovedError)

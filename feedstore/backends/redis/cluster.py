"""The way to a Redis Cluster."""

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
from feedstore.errors import StorageError, StorageTimeoutError
from feedstore.storage.server_url import Place, text_of_places

_Share = tuple[Node, list[int], list[Command]]
_NO_CLUSTER = "cluster support disabled"


@lru_cache(maxsize=65536)
def slot_of(tag: str) -> int:
    """Return the slot of a hash tag."""
    slot: int = key_slot(tag.encode())
    return slot


class ClusterSeed(NamedTuple):
    """How to reach a Cluster.

    ``places`` are the nodes to ask first. Each node gets up to ``most`` connections, for one of which a thread waits
    ``pool_seconds``. One search for a node that answers takes up to ``seconds``, and one answer more.
    """

    places: Sequence[Place]
    address_map: AddressMap
    make: Callable[..., Any]
    most: int
    pool_seconds: float
    seconds: float


class ClusterTransport(Transport):
    """Sends each command to the node that serves its slot: to all nodes first, and then reads their answers.

    The commands of one slot keep their order; those of different slots have none. No thread waits for another: each
    that loses its way asks the nodes for itself.
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
        """Return the topology that one of the nodes knows, asked in random order. Raises the last error if none does.

        Nodes that do not answer take no more than ``seconds`` together; the next attempt begins with others.
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
        """Raise for an error that every other node would give too."""
        if is_refused(error):
            raise error
        if isinstance(error, exceptions.NoPermissionError):
            raise StorageError(f"{self.label}: {error}; a user of a Cluster needs +cluster|slots") from error
        if _NO_CLUSTER in str(error):
            raise StorageError(f"{self.label}: {error}; one server's URL is redis://") from error

    def _check(self, topology: Topology) -> None:
        for place in sorted(topology.primaries):
            if not self._check_node(place):
                return

    def _check_node(self, place: Place) -> bool:
        """Check a node, and pass over one that is away. Return False if it gave no answer in time: so might others."""
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
                # The thread that closed has not seen it.
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
                    # A request is dropped whose answer nobody waits for, and the other nodes are at theirs.
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
                answers[position] = self._follow(commands[position], answers[position])

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
        # In one order: two threads that each hold a node's last connection must not wait for the other's.
        return [share for _, share in sorted(shares.items(), key=itemgetter(0))]

    def _begin(
        self, node: Node, commands: list[Command], begun: Sequence[Exchange | Exception]
    ) -> Exchange | Exception:
        if begun and isinstance(begun[-1], exceptions.TimeoutError):
            # The call cannot succeed in this round, and each node that hangs would take as long.
            return begun[-1]
        try:
            return node.begin(self._words(commands))
        except exceptions.RedisError as error:
            return error

    def _finish(self, node: Node, commands: list[Command], exchange: Exchange | Exception, is_late: bool) -> list[Any]:
        """Return a node's answers; a connection that was lost is the answer to each command.

        After another node was waited for in vain, this one has had as long, and is not waited for again.
        """
        if isinstance(exchange, Exception):
            return [exchange] * len(commands)
        try:
            return self._ask(node, commands, exchange.answers_so_far() if is_late else exchange.answers())
        except exceptions.RedisError as error:
            return [error] * len(commands)

    def _follow(self, command: Command, error: exceptions.AskError) -> Any:
        """Return the answer of the node that a slot is moving to, which has its key already."""
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
            # The node has no address of its own; it lies where the one lies that was asked.
            return self._known_topology().owner_of(error.slot_id)[0], error.port
        return self._seed.address_map.place_of(error.host, error.port)

    def _order_group(self, command: Command) -> Any:
        return slot_of(command.tag)

    def _find_way(self, error: Exception) -> None:
        if self._topology is None or self.is_closed:
            return
        is_elsewhere = isinstance(error, (exceptions.ReadOnlyError, exceptions.ClusterDownError)) or _is_moved(error)
        if not is_elsewhere and not is_lost(error):
            return
        if is_lost(error):
            # What has cut one idle connection off has mostly cut off the others.
            for known in list(self._nodes.values()):
                known.connections.renew()
        try:
            topology = self._discovered()
        except DRIVER_ERRORS as failure:
            if is_refused(failure):
                raise translated(failure, self.label) from failure
            # No node answers now; the next attempt asks again, and its error is the one that is raised.
            topology = self._topology
        if isinstance(error, exceptions.MovedError):
            # A node that has not heard of the move may have answered.
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
        """Return one to any node."""
        return self._node_at(random.choice(sorted(self._known_topology().places))).new_connection()

    def _close(self) -> None:
        for known in list(self._nodes.values()):
            known.connections.close()


class _Known(NamedTuple):
    connections: Connections
    node: Node


def _is_moved(error: Exception) -> bool:
    return isinstance(error, exceptions.MovedError)

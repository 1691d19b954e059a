"""A Cassandra ring of three nodes, each of which may hold every row."""

from __future__ import annotations

import random
import socket
from functools import partial

from cassandra import ConsistencyLevel, RequestExecutionException
from cassandra.cluster import NoHostAvailable, Session
from cassandra.query import SimpleStatement

from polling import poll_until
from servers.cassandra import CassandraServer, OwnCassandraServer
from servers.cassandra_configuration import SHORT_LIVED, Place
from servers.ports import free_port
from servers.process import ServerError

_NODES = 3
_ATTEMPTS = 100
_SECONDS = 90
# The last option leaves the writing to the disk to the operating system: a killed node loses no data by that.
_OPTIONS = ("-Xms128m", "-Xmx384m", *SHORT_LIVED, "-Dcassandra.skip_sync=true")
_SETTINGS = {
    # A node keeps its acknowledged writes when it is killed.
    "commitlog_sync": "batch",
    "commitlog_sync_period": None,
    # The nodes have no data to copy from each other, so all of them can join concurrently.
    "auto_bootstrap": False,
    # The ring detects a dead node as early as Cassandra allows.
    "phi_convict_threshold": 5,
    "write_request_timeout": "2s",
    "read_request_timeout": "2s",
}
_TOKENS = 2**64
_ASK_ALL = "SELECT * FROM system_distributed.view_build_status WHERE keyspace_name = '' AND view_name = ''"


class OwnCassandraRing(CassandraServer):
    """Three nodes on free loopback addresses. The constructor returns when every node can reach all others.

    The first node is the seed, through which the nodes find each other. It waits five seconds for a seed when it is
    started again.
    """

    def __init__(self) -> None:
        places = _free_places()
        self.nodes: list[OwnCassandraServer] = []
        self._dead: list[OwnCassandraServer] = []
        try:
            for number, place in enumerate(places):
                self.nodes.append(OwnCassandraServer(place, {**_SETTINGS, **_token(number)}, _OPTIONS))
            for node in self.nodes:
                node.wait_until_ready()
            self.make_whole()
        except BaseException:
            self.stop()
            raise
        super().__init__([place.address for place in places], places[0].native_port)

    def alive(self) -> list[OwnCassandraServer]:
        """Return the nodes that were not ended."""
        return [node for node in self.nodes if node not in self._dead]

    def kill(self, *nodes: OwnCassandraServer) -> None:
        """Kill nodes immediately, as in a crash, until :meth:`make_whole`."""
        for node in nodes:
            node.kill()
        self._dead += nodes

    def dismiss(self, *nodes: OwnCassandraServer) -> None:
        """Shut nodes down in order, until :meth:`make_whole`. The other nodes are notified immediately."""
        for node in nodes:
            node.leave()
        self._dead += nodes

    def make_whole(self) -> None:
        """Start the nodes that were ended again, and return once every node can reach all others."""
        self.restart(*self._dead)
        for node in self.nodes:
            poll_until(partial(_reaches_all, node), _SECONDS, "a connection to a node of the ring")

    def restart(self, *dead: OwnCassandraServer) -> None:
        """Start nodes that were ended again, and return once each of them answers."""
        self._dead = [node for node in self._dead if node not in dead]
        for node in dead:
            node.kill()
            node.begin()
        for node in dead:
            node.wait_until_ready()

    def stop(self) -> None:
        """End the nodes and remove their data."""
        for node in self.nodes:
            node.stop()


def _token(number: int) -> dict[str, object]:
    return {"num_tokens": 1, "initial_token": str((number - 1) * _TOKENS // _NODES)}


def _free_places() -> list[Place]:
    """Return places on neighbouring loopback addresses. The nodes of a ring must have the same ports."""
    for _ in range(_ATTEMPTS):
        network = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}"
        addresses = [f"{network}.{number}" for number in range(1, _NODES + 1)]
        storage, native = free_port(), free_port()
        if all(_is_free(address, port) for address in addresses for port in (storage, native)):
            return [Place(address, storage, native, seed=addresses[0]) for address in addresses]
    raise ServerError("no loopback addresses were found where the same two ports are free")


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def _reaches_all(node: OwnCassandraServer) -> bool:
    """Return True once a node reaches all three nodes, or False if it accepts no connection yet."""
    try:
        # A connection costs far more than the query, so the queries share one.
        with node.session() as session:
            poll_until(partial(_reads_from_all, session), _SECONDS, "the meeting of all nodes")
    except NoHostAvailable:
        return False
    return True


def _reads_from_all(session: Session) -> bool:
    """Return whether the node of a session reads a table that is on all three nodes."""
    try:
        session.execute(SimpleStatement(_ASK_ALL, consistency_level=ConsistencyLevel.ALL))
    except (NoHostAvailable, RequestExecutionException):
        return False
    return True

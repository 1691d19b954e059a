"""A Redis Cluster of the test suite: six servers, three primaries and a replica of each."""

from __future__ import annotations

import socket
import subprocess
from typing import Any

import redis

import redis_programs
from polling import poll_until
from servers.ports import LOOPBACK, free_port
from servers.process import ServerError
from servers.redis import OwnRedisServer, RedisServer

_SERVERS = 6
_BUS_OFFSET = 10_000
_LAST_PORT = 65_535
_ATTEMPTS = 100
_SECONDS = 60
_SETTLED = {"cluster-node-timeout": 60_000, "hz": 1}
_SETTINGS = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--repl-diskless-sync-delay", "0")


class OwnRedisCluster(RedisServer):
    """Six servers on free loopback ports. The constructor returns when the Cluster is whole and replicated."""

    def __init__(self) -> None:
        self.servers: list[OwnRedisServer] = []
        try:
            for _ in range(_SERVERS):
                self.servers.append(OwnRedisServer(*_SETTINGS, port=_free_cluster_port()))
            self._join()
            poll_until(self.is_whole, _SECONDS, "the Cluster's first copies")
        except BaseException:
            self.stop()
            raise
        super().__init__("redis+cluster://" + ",".join(f"{LOOPBACK}:{server.port}" for server in self.servers))

    def is_whole(self) -> bool:
        """Return whether every slot is served and every replica has its copy. A replica without one is not promoted."""
        return all(_is_whole(server) for server in self.servers)

    def settle(self) -> None:
        """Let the servers rest between requests, once no test will kill one of them.

        Each server otherwise wakes up ten times a second and sends messages to all others twice a second, which takes
        as long as half of the session's requests.
        """
        for server in self.servers:
            for setting, value in _SETTLED.items():
                asked(server, "CONFIG", "SET", setting, value)

    def primaries(self) -> list[OwnRedisServer]:
        """Return the servers that are primaries now."""
        return [server for server in self.servers if _role(server) == "master"]

    def move_of(self, slot: int) -> SlotMove:
        """Return a move of a slot to another primary, which has not begun."""
        ports = {server.port: server for server in self.primaries()}
        ranges = asked(next(iter(ports.values())), "CLUSTER", "SLOTS")
        owner = next(ports[primary[1]] for first, last, primary, *_ in ranges if first <= slot <= last)
        return SlotMove(slot, owner, [owner, *(server for server in ports.values() if server is not owner)])

    def stop(self) -> None:
        """End the servers and remove their data."""
        for server in self.servers:
            server.stop()

    def _join(self) -> None:
        places = [f"{LOOPBACK}:{server.port}" for server in self.servers]
        command = [redis_programs.CLIENT, "--cluster", "create", *places, "--cluster-replicas", "1", "--cluster-yes"]
        made = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
        if made.returncode:
            raise ServerError(f"redis-cli could not make the Cluster:\n{made.stdout}{made.stderr}")


class SlotMove:
    """A slot that moves from one primary to another, in the steps that redis-cli takes."""

    def __init__(self, slot: int, source: OwnRedisServer, primaries: list[OwnRedisServer]) -> None:
        self._slot = slot
        self._primaries = primaries
        self.source = source
        self.target = primaries[1]

    def begin(self) -> None:
        """Mark the slot on both servers. After this call the source answers for the keys that it still has."""
        for server, state, other in (
            (self.target, "IMPORTING", self.source),
            (self.source, "MIGRATING", self.target),
        ):
            asked(server, "CLUSTER", "SETSLOT", self._slot, state, asked(other, "CLUSTER", "MYID"))

    def move_keys(self, *keys: str) -> None:
        """Move some keys, or all."""
        chosen = keys or asked(self.source, "CLUSTER", "GETKEYSINSLOT", self._slot, 1000)
        asked(self.source, "MIGRATE", LOOPBACK, self.target.port, "", 0, 5000, "KEYS", *chosen)

    def end(self) -> None:
        """Give the slot to the target."""
        name = asked(self.target, "CLUSTER", "MYID")
        for server in (self.target, *(other for other in self._primaries if other is not self.target)):
            asked(server, "CLUSTER", "SETSLOT", self._slot, "NODE", name)


def asked(server: OwnRedisServer, *words: object) -> Any:
    """Return the unchanged answer of a server. The releases of the client convert some answers differently."""
    client: Any = server.client()
    connection = client.connection_pool.get_connection()
    try:
        connection.send_command(*words)
        return connection.read_response()
    finally:
        client.close()


def _free_cluster_port() -> int:
    """Return a free port whose bus port, 10,000 above, is free too."""
    for _ in range(_ATTEMPTS):
        port = free_port()
        if port + _BUS_OFFSET <= _LAST_PORT and _is_free(port + _BUS_OFFSET):
            return port
    raise ServerError("no free port was found whose bus port is free too")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) != 0


def _is_whole(server: OwnRedisServer) -> bool:
    client = server.client()
    try:
        replication = client.info("replication")
        if client.cluster("INFO")["cluster_state"] != "ok":
            return False
        if replication["role"] == "slave":
            return bool(replication["master_link_status"] == "up")
        return int(replication["connected_slaves"]) > 0
    finally:
        client.close()


def _role(server: OwnRedisServer) -> str:
    client = server.client()
    try:
        return str(client.info("replication")["role"])
    except redis.ConnectionError:
        return "none"
    finally:
        client.close()

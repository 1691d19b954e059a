"""Redis Cluster: six servers of the suite's own, three primaries and a replica of each."""

from __future__ import annotations

import socket
import subprocess

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
_SETTINGS = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--repl-diskless-sync-delay", "0")


class OwnRedisCluster(RedisServer):
    """Six servers on free loopback ports; whole and replicated when it is made."""

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
        """Whether every slot is served and every replica has its copy: only then is one promoted."""
        return all(_is_whole(server) for server in self.servers)

    def primaries(self) -> list[OwnRedisServer]:
        """The servers that are primaries now."""
        return [server for server in self.servers if _role(server) == "master"]

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


def _free_cluster_port() -> int:
    """A free port whose bus port, 10,000 above, is free too."""
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

"""A Redis Sentinel of the test suite, with a primary and its replica."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import redis

from polling import poll_until
from servers.ports import LOOPBACK, start_on_a_free_port
from servers.process import ServerProcess
from servers.redis import OwnRedisServer, RedisServer, linked_server

_SECONDS = 60
_PASSWORD = "watching"
_SERVERS_PASSWORD = "serving"


class OwnRedisSentinel(RedisServer):
    """Two servers, one a replica of the other, and a Sentinel that watches them as ``service``.

    All three require passwords, which ``url`` contains.
    """

    service = "main"

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="feedstore-"))
        self.servers: list[OwnRedisServer] = []
        self._process: ServerProcess | None = None
        try:
            self.servers.append(OwnRedisServer("--repl-diskless-sync-delay", "0"))
            self.servers.append(OwnRedisServer("--replicaof", LOOPBACK, str(self.servers[0].port)))
            for server in self.servers:
                client = server.client()
                client.config_set("masterauth", _SERVERS_PASSWORD)
                client.config_set("requirepass", _SERVERS_PASSWORD)
                client.close()
            self._program = linked_server(self.folder)
            self.port, self._process = start_on_a_free_port(self._started)
            poll_until(self._knows_the_replica, _SECONDS, "a Sentinel that knows the replica")
        except BaseException:
            self.stop()
            raise
        super().__init__(
            f"redis+sentinel://:{_SERVERS_PASSWORD}@{LOOPBACK}:{self.port}/{self.service}/2?sentinel_password={_PASSWORD}"
        )

    def client_of(self, server: OwnRedisServer) -> redis.Redis:
        """Return a client of the driver."""
        return redis.Redis(host=LOOPBACK, port=server.port, password=_SERVERS_PASSWORD, protocol=2)

    def primary_port(self) -> int:
        """Return the port of the server that the Sentinel calls the primary."""
        return int(self._asked("GET-MASTER-ADDR-BY-NAME", self.service)[1])

    def stop(self) -> None:
        """End the Sentinel and the servers, and remove their data."""
        if self._process is not None:
            self._process.stop()
        for server in self.servers:
            server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _started(self, port: int) -> ServerProcess:
        configuration = self.folder / f"sentinel-{port}.conf"
        configuration.write_text(
            f"port {port}\nbind {LOOPBACK}\ndir {self.folder}\nrequirepass {_PASSWORD}\n"
            f"sentinel monitor {self.service} {LOOPBACK} {self.servers[0].port} 1\n"
            f"sentinel auth-pass {self.service} {_SERVERS_PASSWORD}\n"
            f"sentinel down-after-milliseconds {self.service} 500\n"
            f"sentinel failover-timeout {self.service} 2000\n"
        )
        process = ServerProcess([str(self._program), str(configuration), "--sentinel"], self.folder)
        process.wait_until_ready(lambda: self._answers(port))
        return process

    def _answers(self, port: int) -> bool:
        self.port = port
        try:
            return bool(self._asked("MYID"))
        except redis.ConnectionError:
            return False

    def _knows_the_replica(self) -> bool:
        return len(self._asked("REPLICAS", self.service)) == 1

    def _asked(self, *words: str) -> Any:
        client = redis.Redis(host=LOOPBACK, port=self.port, password=_PASSWORD, protocol=2)
        try:
            connection: Any = client.connection_pool.get_connection()
            connection.send_command("SENTINEL", *words)
            return connection.read_response()
        finally:
            client.close()

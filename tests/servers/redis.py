"""A Redis server of the test suite."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import redis

import redis_programs
from servers.ports import LOOPBACK, start_on_a_free_port
from servers.process import OwnServer, ServerError, ServerProcess

_FORGETFUL = ("--save", "", "--appendonly", "no")
_LASTING = ("--save", "", "--appendonly", "yes", "--appendfsync", "always")


class RedisServer:
    """A server that runs already, at ``url``."""

    def __init__(self, url: str) -> None:
        self.url = url

    def stop(self) -> None:
        """Leave the server running, because the suite did not start it."""


class OwnRedisServer(OwnServer, RedisServer):
    """A server that the test suite starts, on a free loopback port and a socket, in its own temporary folder.

    With ``lasting``, the server keeps its acknowledged writes when it is killed. ``settings`` are further arguments.
    """

    def __init__(self, *settings: str, lasting: bool = False, port: int | None = None) -> None:
        # The path is short and outside pytest's own folders, because a socket's path has 107 bytes at most.
        self.folder = Path(tempfile.mkdtemp(prefix="feedstore-"))
        self.socket = self.folder / "socket"
        self._settings = (*(_LASTING if lasting else _FORGETFUL), *settings)
        try:
            self._program = linked_server(self.folder)
            self.port, self._process = (
                start_on_a_free_port(self._started) if port is None else (port, self._started(port))
            )
        except BaseException:
            shutil.rmtree(self.folder)
            raise
        super().__init__(f"redis://{LOOPBACK}:{self.port}")

    @property
    def socket_url(self) -> str:
        """Return the URL of the server's socket."""
        return f"unix://{self.socket}"

    def client(self) -> redis.Redis:
        """Return a client of the driver."""
        return redis.Redis(port=self.port, host=LOOPBACK, protocol=2)

    def start(self) -> None:
        """Start the server again after :meth:`kill`, on the same port and data."""
        self._process = self._started(self.port)

    def _started(self, port: int) -> ServerProcess:
        places = ("--port", str(port), "--bind", LOOPBACK, "--unixsocket", str(self.socket), "--dir", str(self.folder))
        process = ServerProcess([str(self._program), *places, *self._settings], self.folder)
        # The check uses the socket in the server's own folder, because another server might answer on the port.
        process.wait_until_ready(lambda: _answers(self.socket))
        return process


def linked_server(folder: Path) -> Path:
    """Return a link to the server's program in ``folder``, or raise an error that names the remedy."""
    program = redis_programs.find_server()
    if program is None:
        raise ServerError(
            f"redis-server is not on PATH. `make test` installs it; {redis_programs.URL_VARIABLE}=redis://… names a "
            "server to use instead."
        )
    link = folder / redis_programs.SERVER
    link.symlink_to(program)
    return link


def _answers(socket: Path) -> bool:
    client = redis.Redis(unix_socket_path=str(socket), protocol=2)
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
    finally:
        client.close()

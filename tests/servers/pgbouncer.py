"""pgbouncer in front of a PostgreSQL server."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from postgresql_programs import POOLER_PACKAGE, find_pooler
from servers.ports import LOOPBACK, start_on_a_free_port
from servers.process import OwnServer, ServerError, ServerProcess

_CONFIGURATION = """
[databases]
* = {server}
[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
{more}
"""


class PgBouncer(OwnServer):
    """A pgbouncer that the test starts, for the server at ``url``. It accepts every user.

    ``mode`` is its ``pool_mode``, and ``size`` its number of connections to the server. ``more`` are further settings.
    """

    def __init__(self, url: str, mode: str, size: int = 3, more: str = "") -> None:
        program = find_pooler()
        if program is None:
            raise ServerError(f"pgbouncer is not installed; `make test` installs the package {POOLER_PACKAGE}")
        self._program = program
        self._server = make_url(url)
        self._settings = {"mode": mode, "size": size, "more": more}
        self._user = "postgres" if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="feedstore-"))
        try:
            if self._user is not None:
                shutil.chown(self.folder, self._user, self._user)
            self.port, self._process = start_on_a_free_port(self._start)
        except BaseException:
            shutil.rmtree(self.folder)
            raise

    @property
    def url(self) -> str:
        """Return the URL of the server's database through the pooler."""
        return self._url(self.port)

    def _start(self, port: int) -> ServerProcess:
        server = self._server
        parts = {"host": server.host, "port": server.port, "user": server.username, "password": server.password}
        place = " ".join(f"{name}={value}" for name, value in parts.items() if value is not None)
        file = self.folder / "pgbouncer.ini"
        file.write_text(_CONFIGURATION.format(server=place, host=LOOPBACK, port=port, **self._settings))
        process = ServerProcess([str(self._program), str(file)], self.folder, self._user)
        process.wait_until_ready(lambda: self._answers(port))
        return process

    def _answers(self, port: int) -> bool:
        try:
            psycopg.connect(self._url(port), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _url(self, port: int) -> str:
        return f"postgresql://{self._server.username}@{LOOPBACK}:{port}/{self._server.database}"

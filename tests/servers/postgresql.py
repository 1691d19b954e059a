"""A PostgreSQL server of the test suite, and databases on it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path

import psycopg

from polling import poll_until
from postgresql_programs import INSTALLED, URL_VARIABLE, find_programs
from servers.disks import folder_in_memory
from servers.ports import LOOPBACK, start_on_a_free_port
from servers.process import OwnServer, ServerError, ServerProcess, as_user

_URL = re.compile(r"(postgres(?:ql)?://[^/?]*)(?:/[^?]*)?(\?.*)?")
_RESTART_SECONDS = 30
_PREFIX = "feedstore-"
# The data need not survive the session, so the server need not sync it to the disk.
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_wal_size=128MB")


class PostgreSQLServer:
    """A server that runs already, at ``url``, whose user may create databases."""

    def __init__(self, url: str) -> None:
        parts = _URL.fullmatch(url)
        if parts is None:
            raise ServerError("the server's URL is not of the form postgresql://user:password@host:port/database")
        self._address, self._query = parts[1], parts[2] or ""
        self._administration_url = url

    def url(self, database: str) -> str:
        """Return the URL of ``database`` on this server."""
        return f"{self._address}/{database}{self._query}"

    def create_database(self, template: str = "template1") -> str:
        """Create a copy of ``template``, to which no client is connected, and return its name. The default is empty."""
        name = f"feedstore_test_{uuid.uuid4().hex}"
        self._administer(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database and end its connections. A missing database is no error."""
        self._administer(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def stop(self) -> None:
        """Leave the server running, because the suite did not start it."""

    def _administer(self, statement: str) -> None:
        with psycopg.connect(self._administration_url, autocommit=True, connect_timeout=10) as connection:
            connection.execute(statement.encode())


class OwnPostgreSQLServer(OwnServer, PostgreSQLServer):
    """A server that the test suite creates and starts, on a free loopback port, in its own temporary folder.

    ``settings`` are its ``-c`` options. By default the server is fast, and loses its data in a crash of the machine.
    With ``in_memory`` its files are in the memory of the machine, if there is enough.
    """

    def __init__(self, settings: tuple[str, ...] = _FAST, in_memory: bool = False) -> None:
        self._programs = require_programs()
        self._settings = settings
        self._user = "postgres" if os.geteuid() == 0 else None
        # The path is short, because a socket's path has 107 bytes at most. It is outside pytest's own folders, because
        # another user must have access.
        self.folder = folder_in_memory(_PREFIX) if in_memory else Path(tempfile.mkdtemp(prefix=_PREFIX))
        try:
            self._initialize()
            self._port, self._process = start_on_a_free_port(self._start)
        except BaseException:
            shutil.rmtree(self.folder)
            raise
        super().__init__(f"postgresql://feedstore@{LOOPBACK}:{self._port}/postgres")

    def kill(self) -> None:
        """Kill the server and its processes immediately, as in a crash of the machine. Its data stays."""
        children = self._process.children()
        self._process.kill()
        # Each serves its connection until it notices that the server is gone.
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    def start(self) -> None:
        """Start the server again after :meth:`kill`, on the same port and data."""
        poll_until(self._started_again, _RESTART_SECONDS, "the end of the killed server's child processes")

    def _started_again(self) -> bool:
        try:
            self._process = self._start(self._port)
        except ServerError as error:
            if "is still in use" not in str(error):
                raise
            return False
        return True

    def _initialize(self) -> None:
        if self._user is not None:
            shutil.chown(self.folder, self._user, self._user)
        options = ("-U", "feedstore", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        made = subprocess.run(
            [self._programs / "initdb", "-D", self.folder / "data", *options],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            **as_user(self._user),  # type: ignore[call-overload]
        )
        if made.returncode:
            raise ServerError(f"initdb failed with status {made.returncode}:\n{made.stdout}{made.stderr}")

    def _start(self, port: int) -> ServerProcess:
        data, sockets = str(self.folder / "data"), str(self.folder)
        settings = [part for setting in (f"listen_addresses={LOOPBACK}", *self._settings) for part in ("-c", setting)]
        command = [str(self._programs / "postgres"), "-D", data, "-p", str(port), "-k", sockets, *settings]
        # SIGINT is PostgreSQL's fast shutdown: it does not wait for connections to end.
        process = ServerProcess(command, self.folder, self._user, stop_signal=signal.SIGINT)
        # The check uses the socket in the server's own folder, because another server might answer on the port.
        process.wait_until_ready(lambda: _answers(f"postgresql://feedstore@/postgres?host={sockets}&port={port}"))
        return process


def require_programs() -> Path:
    """Return the folder of :func:`find_programs`, or raise an error that names the remedy."""
    folder = find_programs()
    if folder is None:
        raise ServerError(
            f"PostgreSQL's initdb and postgres are neither on PATH nor in {INSTALLED}/*/bin. "
            f"`make test` installs them; {URL_VARIABLE}=postgresql://… names a server to use instead."
        )
    return folder


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True

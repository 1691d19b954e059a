"""A Cassandra node of the test suite, and keyspaces on it."""

from __future__ import annotations

import re
import shutil
import signal
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, Session
from cassandra.policies import WhiteListRoundRobinPolicy

import cassandra_programs
from servers.cassandra_classes import archive_options
from servers.cassandra_configuration import FAST, SHORT_LIVED, TIMER_SLACK_SECONDS, Place, command, write_configuration
from servers.disks import folder_on_a_known_disk
from servers.ports import LOOPBACK, free_port
from servers.process import OwnServer, ServerError, ServerProcess

_ADDRESS = re.compile(r"([^:]+):(\d+)")
_ATTEMPTS = 3
_START_SECONDS = 180
_SCHEMA_SECONDS = 60
# The protocol of Cassandra 4.0 and newer. Without it, the driver connects once for each version that it tries.
_PROTOCOL = 5
_STARTED = b"Startup complete"
_TAKEN = (b"is in use by another process", b"Failed to bind port", b"Port already in use")


class CassandraServer:
    """A cluster that runs already, with nodes at ``hosts`` that all listen on ``port``."""

    def __init__(self, hosts: Sequence[str], port: int) -> None:
        self.hosts = hosts
        self.port = port

    @classmethod
    def at(cls, address: str) -> CassandraServer:
        """Return the cluster at ``host:port``."""
        parts = _ADDRESS.fullmatch(address)
        if parts is None:
            raise ServerError(f"{cassandra_programs.ADDRESS_VARIABLE} is not of the form host:port")
        return cls([parts[1]], int(parts[2]))

    def url(self, keyspace: str) -> str:
        """Return the URL of ``keyspace`` on this cluster."""
        return f"cassandra://{','.join(f'{host}:{self.port}' for host in self.hosts)}/{keyspace}"

    def create_keyspace(self, replicas: int = 1) -> str:
        """Create an empty keyspace, which keeps each row ``replicas`` times, and return its name."""
        name = f"feedstore_test_{uuid.uuid4().hex}"
        replication = f"{{'class': 'NetworkTopologyStrategy', 'replication_factor': {replicas}}}"
        with self.session() as session:
            session.execute(f"CREATE KEYSPACE {name} WITH replication = {replication}")
        return name

    def drop_keyspace(self, name: str) -> None:
        """Remove a keyspace. A missing keyspace is no error."""
        with self.session() as session:
            session.execute(f"DROP KEYSPACE IF EXISTS {name}")

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open a session of the driver, which sends requests to these nodes alone."""
        profile = ExecutionProfile(WhiteListRoundRobinPolicy(self.hosts), request_timeout=_SCHEMA_SECONDS)
        cluster = Cluster(
            self.hosts,
            self.port,
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
            connect_timeout=_SCHEMA_SECONDS,
            control_connection_timeout=_SCHEMA_SECONDS,
            protocol_version=_PROTOCOL,
        )
        try:
            yield cluster.connect()
        finally:
            cluster.shutdown()

    def stop(self) -> None:
        """Leave the cluster running, because the suite did not start it."""


class OwnCassandraServer(OwnServer, CassandraServer):
    """One node that the test suite starts, in its own temporary folder.

    By default the node is a separate cluster on free loopback ports. It is quick, and loses its data when it is killed.
    With ``place``, the node has these addresses and ports, and is ready only after :meth:`wait_until_ready`.
    ``settings`` are added to the configuration of the node, and ``options`` to the options of Java. A node for one run
    of the suite starts from the archive of classes unless ``archived`` is false.
    """

    def __init__(
        self,
        place: Place | None = None,
        settings: dict[str, object] | None = None,
        options: tuple[str, ...] = (*FAST, *SHORT_LIVED),
        archived: bool = True,
    ) -> None:
        self.java, self.jars = require_programs()
        self._settings = {} if settings is None else settings
        # A measured node has the usual start, the usual compilers and the usual timers.
        self._is_short_lived = set(SHORT_LIVED) <= set(options)
        if archived and self._is_short_lived:
            options = (*options, *archive_options(self.java, self.jars, _run_a_node))
        self._options = options
        self.folder = folder_on_a_known_disk("feedstore-")
        self._log = self.folder / "java.log"
        try:
            if place is None:
                place = self._start_on_free_ports()
            else:
                self._begin(place)
        except BaseException:
            shutil.rmtree(self.folder)
            raise
        self.place = place
        super().__init__([place.address], place.native_port)

    def wait_until_ready(self) -> None:
        """Return once the node answers; raise :class:`ServerError` with its log if it does not."""
        self._process.wait_until_ready(lambda: _STARTED in self._log.read_bytes()[self._log_begin :], _START_SECONDS)

    def leave(self) -> None:
        """Shut the node down in order: the node first notifies the other nodes of its ring."""
        self._process.terminate()

    def wait_until_left(self) -> None:
        """Return once the node has ended after :meth:`leave`."""
        self._process.wait(_START_SECONDS)

    def begin(self) -> None:
        """Begin to start the node again at the same place. :meth:`wait_until_ready` waits for the node.

        The node ends with the thread that makes this call.
        """
        self._begin(self.place)

    def _start_on_free_ports(self) -> Place:
        for attempt in range(1, _ATTEMPTS + 1):
            place = Place(LOOPBACK, free_port(), free_port(), seed=LOOPBACK)
            self._begin(place)
            try:
                self.wait_until_ready()
            except ServerError:
                # The error shows only the end of the log, which describes the shutdown, so this reads the whole log.
                if attempt == _ATTEMPTS or not any(text in self._log.read_bytes() for text in _TAKEN):
                    raise
            else:
                return place
        raise AssertionError("the last attempt returns or raises")

    def _begin(self, place: Place) -> None:
        write_configuration(self.folder, place, self._settings)
        # Ignore log lines of an earlier start.
        self._log_begin = self._log.stat().st_size if self._log.exists() else 0
        java = command(self.java, self.jars, self.folder, self._options)
        # The data is removed after the end of the node, so the node need not write its memory to files.
        slack = TIMER_SLACK_SECONDS if self._is_short_lived else None
        self._process = ServerProcess(java, self.folder, stop_signal=signal.SIGKILL, timer_slack=slack)


def _run_a_node(options: tuple[str, ...]) -> None:
    """Start a node with options of Java, send it requests, and shut it down."""
    server = OwnCassandraServer(options=(*FAST, *SHORT_LIVED, *options), archived=False)
    try:
        keyspace = server.create_keyspace()
        with server.session() as session:
            session.execute(f"CREATE TABLE {keyspace}.requests (one int PRIMARY KEY)")
            session.execute(f"INSERT INTO {keyspace}.requests (one) VALUES (1)")
            session.execute(f"SELECT one FROM {keyspace}.requests")
        server.leave()
        server.wait_until_left()
    finally:
        server.stop()


def require_programs() -> tuple[Path, Path]:
    """Return the path of a Java 17 and the folder of Cassandra's jars, or raise an error that names the remedy."""
    java, jars = cassandra_programs.find_java(), cassandra_programs.find_jars()
    if java is None or jars is None:
        lacking = "a Java 17 was not found" if java is None else "Cassandra's jars have not been fetched"
        raise ServerError(
            f"{lacking}. `make test` fetches what is missing; {cassandra_programs.ADDRESS_VARIABLE}=host:port names a "
            "cluster to use instead."
        )
    return java, jars

"""Cassandra nodes that flush their memory to files on request, so that their size can be measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import cassandra_programs
from commands import run
from servers.cassandra import CassandraServer, OwnCassandraServer, require_programs
from servers.cassandra_configuration import FAST, SHORT_LIVED, Place, openings
from servers.ports import free_port
from servers.process import ServerError

_TOOL_PORT = "-Dcassandra.jmx.local.port="
_TOOL = "org.apache.cassandra.tools.NodeTool"


class NodeAddress(TypedDict):
    """The address of a node for another process of this machine."""

    address: str
    folder: str
    tool_port: int


class _Flushing:
    """A node with its data in ``folder`` that accepts requests of ``nodetool`` on ``tool_port``."""

    folder: Path
    tool_port: int

    def flush(self) -> None:
        """Flush the memory of all tables to their files. This takes about a second."""
        self._flush()

    def stored_bytes(self, keyspace: str) -> int:
        """Flush a keyspace, and return the size of its files in bytes."""
        self._flush(keyspace)
        files = (self.folder / "data" / keyspace).rglob("*")
        return sum(_bytes_of(path) for path in files if path.is_file())

    def _flush(self, *keyspaces: str) -> None:
        java = cassandra_programs.find_tool_java()
        if java is None:
            raise ServerError(f"no Java can run nodetool; apt installs one: {cassandra_programs.TOOL_JAVA_PACKAGE}")
        _, jars = require_programs()
        # The tool keeps a history in the user's home.
        options = (*SHORT_LIVED, "-XX:+UseSerialGC", f"-Duser.home={self.folder}", *openings())
        asked = ("-p", str(self.tool_port), "flush", *keyspaces)
        finished = run([str(java), *options, "-cp", f"{jars}/*", _TOOL, *asked], self.folder)
        if finished.returncode:
            raise ServerError(f"nodetool could not flush:\n{finished.stdout}")


class FlushableCassandra(_Flushing, CassandraServer):
    """A node that another process of this machine has started."""

    def __init__(self, place: NodeAddress) -> None:
        server = CassandraServer.at(place["address"])
        super().__init__(server.hosts, server.port)
        self.folder = Path(place["folder"])
        self.tool_port = place["tool_port"]


class FlushingCassandraServer(_Flushing, OwnCassandraServer):
    """A separate node that also accepts requests of ``nodetool``; ``options`` are added to the options of Java."""

    def __init__(self, options: Sequence[str] = FAST) -> None:
        super().__init__(options=tuple(options))

    def node_address(self) -> NodeAddress:
        """Return the arguments of a :class:`FlushableCassandra` that another process opens on this node."""
        return {
            "address": f"{self.hosts[0]}:{self.port}",
            "folder": str(self.folder),
            "tool_port": self.tool_port,
        }

    def _begin(self, place: Place) -> None:
        self.tool_port = free_port()
        others = (option for option in self._options if not option.startswith(_TOOL_PORT))
        self._options = (*others, f"{_TOOL_PORT}{self.tool_port}")
        super()._begin(place)


def _bytes_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        # A compaction has just removed the file.
        return 0

"""Cassandra node that flushes its memory to files on request, so that their size can be measured."""

from __future__ import annotations

from pathlib import Path

import cassandra_programs
from commands import run
from servers.cassandra import OwnCassandraServer
from servers.cassandra_configuration import FAST, SHORT_LIVED, openings
from servers.ports import free_port
from servers.process import ServerError

_TOOL = "org.apache.cassandra.tools.NodeTool"


class FlushingCassandraServer(OwnCassandraServer):
    """A separate node that also accepts requests of ``nodetool``; ``options`` are added to the options of Java."""

    def __init__(self, options: tuple[str, ...] = FAST) -> None:
        self._tool_port = free_port()
        super().__init__(options=(*options, f"-Dcassandra.jmx.local.port={self._tool_port}"))

    def flush(self) -> None:
        """Flush the memory of all tables to their files. This takes about a second."""
        java = cassandra_programs.find_tool_java()
        if java is None:
            raise ServerError(f"no Java can run nodetool; apt installs one: {cassandra_programs.TOOL_JAVA_PACKAGE}")
        # The tool keeps a history in the user's home.
        options = (SHORT_LIVED, "-XX:+UseSerialGC", f"-Duser.home={self.folder}", *openings())
        asked = ("-p", str(self._tool_port), "flush")
        finished = run([str(java), *options, "-cp", f"{self.jars}/*", _TOOL, *asked], self.folder)
        if finished.returncode:
            raise ServerError(f"nodetool could not flush:\n{finished.stdout}")

    def stored_bytes(self, keyspace: str) -> int:
        """Flush a keyspace, and return the size of its files in bytes."""
        self.flush()
        files = (self.folder / "data" / keyspace).rglob("*")
        return sum(_bytes_of(path) for path in files if path.is_file())


def _bytes_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        # A compaction has just removed the file.
        return 0

"""An archive of Cassandra's classes in the user's cache, from which a node starts with less work.

Java reads and links the classes of a node again in each start, which takes a quarter of the start's processor time. The
first node that the suite starts on a machine writes them into a file, which the others map.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

from caches import filled_folder
from servers.process import ServerError

_FILE = "classes.jsa"
# Cassandra has an agent of Java, which could change the classes that it archives. This one changes none.
_WITH_AGENT = "-XX:+AllowArchivingWithJavaAgent"


def archive_options(java: Path, jars: Path, run_a_node: Callable[[tuple[str, ...]], None]) -> tuple[str, ...]:
    """Return the options that let a node of ``java`` and ``jars`` use the archive.

    If there is no archive yet, ``run_a_node`` runs a node with the options that it gets to an orderly end. A Java that
    can write no archive in time gets no options. Java ignores an archive of other classes.
    """

    def fill(folder: Path) -> None:
        if not _can_archive(java):
            return
        try:
            run_a_node((_WITH_AGENT, f"-XX:ArchiveClassesAtExit={folder / _FILE}"))
        except (ServerError, subprocess.TimeoutExpired):
            # Nodes start without an archive, too.
            (folder / _FILE).unlink(missing_ok=True)

    archive = filled_folder(f"cassandra-classes-{_digest(java, jars)}", fill) / _FILE
    return (_WITH_AGENT, f"-XX:SharedArchiveFile={archive}") if archive.exists() else ()


def _can_archive(java: Path) -> bool:
    """Return whether a Java has an archive of its own classes. Without one it refuses to archive others."""
    answer = subprocess.run([java, "-Xshare:on", "-version"], capture_output=True, check=False)
    return answer.returncode == 0


def _digest(java: Path, jars: Path) -> str:
    """Return a name for the classes: an archive belongs to one build of Java and to these files."""
    files = (java.resolve(), jars.resolve())
    names = [f"{path} {path.stat().st_mtime_ns}" for path in files]
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]

"""Install the servers and the browser that the tests start, through apt or by a download.

    python scripts/machine.py [SERVER...]

If the script cannot install them, one error names all that are missing.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Collection
from pathlib import Path

import browser_programs
import cassandra_programs
import postgresql_programs
import prosody_programs
import redis_programs
from system_packages import SystemPackageError, install_packages, mask_service, require_installable

SERVERS = ("postgresql", "redis", "cassandra", "browser", "xmpp")
_SERVICES = (postgresql_programs.POOLER_PACKAGE, prosody_programs.PACKAGE)
"""Packages whose service, which has the name of the package, must not start."""


def equip(servers: Collection[str], virtual_environment: bool = False) -> None:
    """Install missing servers, and the packages that this Python needs to create a virtual environment."""
    missing = virtual_environment_packages() if virtual_environment else {}
    if "postgresql" in servers:
        missing.update(postgresql_programs.missing_packages())
    if "redis" in servers:
        missing.update(redis_programs.missing_packages())
    if "cassandra" in servers:
        missing.update(cassandra_programs.missing_packages())
    if "browser" in servers:
        missing.update(browser_programs.missing_packages())
    if "xmpp" in servers:
        missing.update(prosody_programs.missing_packages())
    if missing:
        require_installable(missing)
        if postgresql_programs.PACKAGE in missing:
            postgresql_programs.prevent_main_cluster()
        for package in missing.keys() & _SERVICES:
            mask_service(package)
        install_packages(missing)


def fetch(servers: Collection[str], python: Path) -> None:
    """Fetch the servers' requirements that are not system packages, with ``python``'s pip if possible."""
    if "cassandra" in servers:
        cassandra_programs.fetch(python)


def virtual_environment_packages() -> dict[str, str]:
    """Return {package: purpose} of missing parts that Debian and Ubuntu package separately from Python."""
    minor = sys.version_info.minor
    missing = {}
    if importlib.util.find_spec("ensurepip") is None:
        missing[f"python3.{minor}-venv"] = f"for the virtual environment of Python 3.{minor}"
    return missing


def main(servers: list[str]) -> None:
    """Install the named servers."""
    if not set(servers) <= set(SERVERS):
        sys.exit(f"{__doc__}\nThe servers are {', '.join(SERVERS)}.")
    try:
        equip(servers)
        fetch(servers, Path(sys.executable))
    except SystemPackageError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])

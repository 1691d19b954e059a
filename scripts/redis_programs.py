"""Redis's programs, and the package that installs them without a system service."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

URL_VARIABLE = "FEEDSTORE_TEST_REDIS"
CLUSTER_URL_VARIABLE = "FEEDSTORE_TEST_REDIS_CLUSTER"
# Debian's package redis-server enables a service. It holds only a link to a program of this package, which runs as the
# server if its name is redis-server.
PACKAGE = "redis-tools"
SERVER = "redis-server"
_SERVER_BY_ANOTHER_NAME = "redis-check-rdb"
CLIENT = "redis-cli"
CERTIFIER = "openssl"


def find_server() -> Path | None:
    """Return the program that runs as the server under the name ``redis-server``, or None without one."""
    found = shutil.which(SERVER) or shutil.which(_SERVER_BY_ANOTHER_NAME)
    return None if found is None else Path(found).resolve()


def missing_packages() -> dict[str, str]:
    """Return {package: purpose} of missing packages of the tests' servers. Empty if variables name other servers."""
    if all(os.environ.get(variable) for variable in (URL_VARIABLE, CLUSTER_URL_VARIABLE)):
        return {}
    missing = {}
    if find_server() is None or shutil.which(CLIENT) is None:
        given = f"{URL_VARIABLE}=URL and {CLUSTER_URL_VARIABLE}=URL"
        missing[PACKAGE] = f"for servers of the tests' own; {given} would replace them"
    if shutil.which(CERTIFIER) is None:
        missing[CERTIFIER] = "for the certificates of the tests' own servers"
    return missing

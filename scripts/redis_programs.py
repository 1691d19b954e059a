"""Redis's programs: where they lie, and the package that has them without a running server."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

URL_VARIABLE = "FEEDSTORE_TEST_REDIS"
CLUSTER_URL_VARIABLE = "FEEDSTORE_TEST_REDIS_CLUSTER"
# Debian's redis-server enables a service and holds no more than a link to a program of this package, which is the
# server when it is called so.
PACKAGE = "redis-tools"
SERVER = "redis-server"
_SERVER_BY_ANOTHER_NAME = "redis-check-rdb"
CLIENT = "redis-cli"
CERTIFIER = "openssl"


def find_server() -> Path | None:
    """The program that is the server when it is called ``redis-server``; None without one."""
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

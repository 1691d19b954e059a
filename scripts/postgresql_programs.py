"""PostgreSQL's programs: where they lie, and how a machine that lacks them gets them and no running server."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from system_packages import SystemPackageError, run_as_root

URL_VARIABLE = "FEEDSTORE_TEST_POSTGRESQL"
PACKAGE = "postgresql"
POOLER_PACKAGE = "pgbouncer"
_POOLER = "pgbouncer"
# Debian keeps the program out of the PATH of ordinary users.
_POOLER_FOLDER = "/usr/sbin"
INSTALLED = Path("/usr/lib/postgresql")
# Without this, Debian's package makes a cluster and starts it as a system service.
_NO_MAIN_CLUSTER = """
set -eu
folder=/etc/postgresql-common
mkdir -p $folder
touch $folder/createcluster.conf
sed -i '/^[[:space:]]*create_main_cluster/d' $folder/createcluster.conf
echo 'create_main_cluster = false' >> $folder/createcluster.conf
"""


# The package enables a service and starts it, unless the service is masked.
_NO_POOLER_SERVICE = """
set -eu
unit=/etc/systemd/system/pgbouncer.service
mkdir -p /etc/systemd/system
[ -e $unit ] || [ -L $unit ] || ln -s /dev/null $unit
"""


def find_programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``: on PATH, or the newest of Debian's packages; None without either."""
    found = shutil.which("postgres")
    folders = [Path(found).resolve().parent] if found else []
    versions = sorted(INSTALLED.glob("*/bin"), key=lambda folder: float(folder.parent.name), reverse=True)
    for folder in [*folders, *versions]:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    return None


def missing_packages() -> dict[str, str]:
    """Return {package: purpose} of missing packages of the tests' server. Empty if a variable names another one."""
    missing = {}
    if not os.environ.get(URL_VARIABLE) and find_programs() is None:
        missing[PACKAGE] = f"for a server of the tests' own; {URL_VARIABLE}=URL would replace it"
    if find_pooler() is None:
        missing[POOLER_PACKAGE] = "for a connection pooler in front of the tests' PostgreSQL"
    return missing


def find_pooler() -> Path | None:
    """The program pgbouncer: on PATH, or where Debian's package puts it; None without it."""
    found = shutil.which(_POOLER) or shutil.which(_POOLER, path=_POOLER_FOLDER)
    return None if found is None else Path(found)


def prevent_main_cluster() -> None:
    """Keep the package that is about to be installed from making and starting a cluster of its own."""
    configured = run_as_root(["sh", "-c", _NO_MAIN_CLUSTER])
    if configured.returncode:
        raise SystemPackageError(f"create_main_cluster could not be turned off:\n{configured.stdout}")


def prevent_pooler_service() -> None:
    """Keep the pooler's package, which is about to be installed, from starting a service."""
    masked = run_as_root(["sh", "-c", _NO_POOLER_SERVICE])
    if masked.returncode:
        raise SystemPackageError(f"the service pgbouncer could not be masked:\n{masked.stdout}")

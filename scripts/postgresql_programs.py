"""PostgreSQL's programs, and their installation without a system service."""

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
# By default, Debian's package creates a cluster and starts it as a system service.
_NO_MAIN_CLUSTER = """
set -eu
folder=/etc/postgresql-common
mkdir -p $folder
touch $folder/createcluster.conf
sed -i '/^[[:space:]]*create_main_cluster/d' $folder/createcluster.conf
echo 'create_main_cluster = false' >> $folder/createcluster.conf
"""


def find_programs() -> Path | None:
    """Return the folder of ``initdb`` and ``postgres``: on PATH, or of Debian's newest package. None without either."""
    found = shutil.which("postgres")
    folders = [Path(found).resolve().parent] if found else []
    versions = sorted(INSTALLED.glob("*/bin"), key=lambda folder: float(folder.parent.name), reverse=True)
    for folder in [*folders, *versions]:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    return None


def missing_packages() -> dict[str, str]:
    """Return {package: purpose} of missing packages of the tests' server and pooler.

    If ``FEEDSTORE_TEST_POSTGRESQL`` names another server, only the pooler can be missing.
    """
    missing = {}
    if not os.environ.get(URL_VARIABLE) and find_programs() is None:
        missing[PACKAGE] = f"for a server of the tests' own; {URL_VARIABLE}=URL would replace it"
    if find_pooler() is None:
        missing[POOLER_PACKAGE] = "for a connection pooler in front of the tests' PostgreSQL"
    return missing


def find_pooler() -> Path | None:
    """Return the program pgbouncer, on PATH or in the folder of Debian's package. Return None without it."""
    found = shutil.which(_POOLER) or shutil.which(_POOLER, path=_POOLER_FOLDER)
    return None if found is None else Path(found)


def prevent_main_cluster() -> None:
    """Configure Debian so that the package, installed later, creates and starts no cluster of its own."""
    configured = run_as_root(["sh", "-c", _NO_MAIN_CLUSTER])
    if configured.returncode:
        raise SystemPackageError(f"cannot turn off create_main_cluster:\n{configured.stdout}")

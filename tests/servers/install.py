"""Installs the servers that the suite needs and the machine lacks: python -m servers.install

A variable that names a running server (FEEDSTORE_TEST_POSTGRESQL=URL) replaces an install.
"""

from __future__ import annotations

import os
import sys

from servers import postgresql
from system_packages import SystemPackageError, install_packages, require_target_system, run_as_root

# Without this, Debian's package makes a cluster and starts it as a system service.
_NO_MAIN_CLUSTER = """
set -eu
folder=/etc/postgresql-common
mkdir -p $folder
touch $folder/createcluster.conf
sed -i '/^[[:space:]]*create_main_cluster/d' $folder/createcluster.conf
echo 'create_main_cluster = false' >> $folder/createcluster.conf
"""


def main() -> None:
    """Install each server that is missing, or say in one error what to install."""
    try:
        install_postgresql()
    except SystemPackageError as error:
        sys.exit(f"error: {error}")


def install_postgresql() -> None:
    """Install PostgreSQL's programs, and no running server, unless they are there or a URL names a server."""
    if os.environ.get(postgresql.URL_VARIABLE) or postgresql.find_binaries() is not None:
        return
    purpose = f"the suite starts a PostgreSQL server of its own ({postgresql.URL_VARIABLE}=URL would replace it)"
    require_target_system("postgresql", purpose)
    configured = run_as_root(["sh", "-c", _NO_MAIN_CLUSTER], "postgresql")
    if configured.returncode:
        raise SystemPackageError(f"create_main_cluster could not be turned off:\n{configured.stdout}")
    install_packages(["postgresql"], purpose)


if __name__ == "__main__":
    main()

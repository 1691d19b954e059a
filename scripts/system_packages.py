"""System packages: install missing packages with apt, or name them in one error."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence

from commands import run

TARGETS = {"debian": ("12", "13"), "ubuntu": ("24.04",)}
# Unless the service is masked, the package of a server enables and starts it.
_MASK_SERVICE = """
set -eu
unit=/etc/systemd/system/$1.service
mkdir -p /etc/systemd/system
[ -e $unit ] || [ -L $unit ] || ln -s /dev/null $unit
"""
_OPTIONS = (
    *("-o", "DPkg::Lock::Timeout=300"),
    # Keep an existing configuration file instead of asking.
    *("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"),
)
_LISTS_LOCK_SECONDS = 300


class SystemPackageError(Exception):
    """Raised if missing packages cannot be installed automatically. The message names the packages."""


def require_installable(packages: Mapping[str, str]) -> None:
    """Check that the project installs packages on this system, and that root's rights are available.

    Args:
        packages: {package: purpose}, for the error.

    Raises:
        SystemPackageError: The check failed. The message names the packages and the command to run.
    """
    names = " ".join(packages)
    if not is_target_system():
        raise SystemPackageError(
            f"missing: {_listed(packages)}. The project installs packages on Debian 12 and 13 and Ubuntu 24.04 only: "
            f"install your system's packages of {names}, and try again."
        )
    if os.geteuid() != 0 and not _sudo_works():
        raise SystemPackageError(
            f"missing: {_listed(packages)}. The installation needs root's rights, and sudo is missing or asks for a "
            f"password: run `apt-get install {names}` as root, and try again."
        )


def install_packages(packages: Mapping[str, str]) -> None:
    """Install packages through apt.

    Args:
        packages: {package: purpose}, which is printed.

    Raises:
        SystemPackageError: apt failed. The message ends with apt's output.
    """
    print(f"installing with apt-get: {_listed(packages)}", flush=True)
    install = ["apt-get", *_OPTIONS, "install", "--yes", "--no-install-recommends", *packages]
    # The package lists may be missing, or name versions that the mirror has removed.
    if run_as_root(install).returncode:
        _update_package_lists()
        finished = run_as_root(install)
        if finished.returncode:
            raise SystemPackageError(f"apt-get cannot install {' '.join(packages)}:\n{finished.stdout[-4000:]}")


def mask_service(name: str) -> None:
    """Mask the system service of a package, so that the installation does not start it.

    Raises:
        SystemPackageError: The service cannot be masked.
    """
    masked = run_as_root(["sh", "-c", _MASK_SERVICE, "sh", name])
    if masked.returncode:
        raise SystemPackageError(f"cannot mask the service {name}:\n{masked.stdout}")


def is_target_system(path: str = "/etc/os-release") -> bool:
    """Return whether the project installs packages on this system."""
    try:
        with open(path, encoding="utf-8") as file:
            fields = dict(line.strip().split("=", 1) for line in file if "=" in line)
    except FileNotFoundError:
        return False
    return fields.get("VERSION_ID", "").strip('"') in TARGETS.get(fields.get("ID", "").strip('"'), ())


def run_as_root(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run ``command`` as root, if necessary through ``sudo -n``. Return its output and exit status."""
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    # In a container without systemd, run level 1 keeps packages from starting services.
    return run([*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "RUNLEVEL=1", *command])


def _sudo_works() -> bool:
    if shutil.which("sudo") is None:
        return False
    return subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0


def _listed(packages: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({purpose})" for name, purpose in packages.items())


def _update_package_lists() -> None:
    deadline = time.monotonic() + _LISTS_LOCK_SECONDS
    while True:
        finished = run_as_root(["apt-get", *_OPTIONS, "update"])
        # apt waits for its other locks itself, but not for this one.
        locked = finished.returncode != 0 and "Could not get lock" in finished.stdout
        if not locked or time.monotonic() > deadline:
            break
        time.sleep(1)
    if finished.returncode:
        raise SystemPackageError(f"apt-get update failed:\n{finished.stdout[-4000:]}")

"""System packages: install missing packages with apt, or name them in one error."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence

from commands import run

TARGETS = {"debian": ("12", "13"), "ubuntu": ("24.04",)}
_OPTIONS = (
    *("-o", "DPkg::Lock::Timeout=300"),
    # Keeps a configuration file that is already there, instead of asking about it.
    *("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"),
)
_LISTS_LOCK_SECONDS = 300


class SystemPackageError(Exception):
    """Raised if missing packages cannot be installed automatically. The message names the packages."""


def require_installable(packages: Mapping[str, str]) -> None:
    """Raise :class:`SystemPackageError` if this is no system that packages are installed to, or no root can be had.

    ``packages`` maps their names to what each is for.
    """
    names = " ".join(packages)
    if not is_target_system():
        raise SystemPackageError(
            f"missing: {_listed(packages)}. Only Debian 12 and 13 and Ubuntu 24.04 are installed to from "
            f"here: install what your system calls {names}, and try again."
        )
    if os.geteuid() != 0 and not _sudo_works():
        raise SystemPackageError(
            f"missing: {_listed(packages)}. Root's rights are needed, and sudo does not give them without a password: "
            f"run `apt-get install {names}` as root, and try again."
        )


def install_packages(packages: Mapping[str, str]) -> None:
    """Install packages through apt and say so. Raises :class:`SystemPackageError` with what apt said if it cannot."""
    print(f"installing with apt-get: {_listed(packages)}", flush=True)
    install = ["apt-get", *_OPTIONS, "install", "--yes", "--no-install-recommends", *packages]
    # The package lists may be missing, or older than what the mirror still has.
    if run_as_root(install).returncode:
        _update_package_lists()
        finished = run_as_root(install)
        if finished.returncode:
            raise SystemPackageError(f"apt-get could not install {' '.join(packages)}:\n{finished.stdout[-4000:]}")


def is_target_system(path: str = "/etc/os-release") -> bool:
    """Return whether the project installs packages on this system."""
    try:
        with open(path, encoding="utf-8") as file:
            fields = dict(line.strip().split("=", 1) for line in file if "=" in line)
    except FileNotFoundError:
        return False
    return fields.get("VERSION_ID", "").strip('"') in TARGETS.get(fields.get("ID", "").strip('"'), ())


def run_as_root(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run ``command`` as root, through ``sudo -n`` where need be, and return what it printed and its status."""
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    # In run level 1 no package starts a service where systemd does not run, as in a container.
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

"""The operating system's packages: what is missing is installed through apt, or named in one error."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence

TARGETS = {"debian": ("12", "13"), "ubuntu": ("22.04", "24.04")}
_OPTIONS = (
    *("-o", "DPkg::Lock::Timeout=300"),
    # Keeps a configuration file that is already there, instead of asking about it.
    *("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"),
)
_LISTS_LOCK_SECONDS = 300


class SystemPackageError(Exception):
    """A package is missing and cannot be installed from here; the message says what to install."""


def install_packages(packages: Sequence[str], purpose: str) -> None:
    """Install ``packages`` through apt and say so; raise :class:`SystemPackageError` where that cannot be done."""
    names = " ".join(packages)
    require_target_system(names, purpose)
    print(f"installing {names} with apt-get: {purpose}", flush=True)
    install = ["apt-get", *_OPTIONS, "install", "--yes", "--no-install-recommends", *packages]
    # The package lists may be missing or older than what the mirror still has.
    if run_as_root(install, names).returncode:
        _update_package_lists(names)
        finished = run_as_root(install, names)
        if finished.returncode:
            raise SystemPackageError(f"apt-get could not install {names}:\n{finished.stdout[-4000:]}")


def require_target_system(names: str, purpose: str) -> None:
    """Raise :class:`SystemPackageError` on a system that the project installs nothing to."""
    if not is_target_system():
        raise SystemPackageError(
            f"{names} is missing ({purpose}). Only Debian 12 and 13 and Ubuntu 22.04 and 24.04 are installed to "
            f"from here: install what your system calls {names} and try again."
        )


def is_target_system(path: str = "/etc/os-release") -> bool:
    """Whether this is a system that the project installs packages to."""
    try:
        with open(path, encoding="utf-8") as file:
            fields = dict(line.strip().split("=", 1) for line in file if "=" in line)
    except FileNotFoundError:
        return False
    return fields.get("VERSION_ID", "").strip('"') in TARGETS.get(fields.get("ID", "").strip('"'), ())


def run_as_root(command: Sequence[str], names: str) -> subprocess.CompletedProcess[str]:
    """Run ``command`` as root, through ``sudo -n`` where need be; ``names`` says what for if that is refused."""
    prefix = ["env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"]
    if os.geteuid() != 0:
        _require_sudo(names)
        prefix = ["sudo", "-n", *prefix]
    return subprocess.run(
        [*prefix, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )


def _require_sudo(names: str) -> None:
    asked = ["sudo", "-n", "true"]
    if shutil.which("sudo") is None or subprocess.run(asked, capture_output=True, check=False).returncode:
        raise SystemPackageError(
            f"{names} is missing, and sudo does not work without a password here. "
            f"Run this as root and try again: apt-get install {names}"
        )


def _update_package_lists(names: str) -> None:
    deadline = time.monotonic() + _LISTS_LOCK_SECONDS
    while True:
        finished = run_as_root(["apt-get", *_OPTIONS, "update"], names)
        # apt waits for its other locks itself, but not for this one.
        locked = finished.returncode != 0 and "Could not get lock" in finished.stdout
        if not locked or time.monotonic() > deadline:
            break
        time.sleep(1)
    if finished.returncode:
        raise SystemPackageError(f"apt-get update failed, so {names} cannot be installed:\n{finished.stdout[-4000:]}")

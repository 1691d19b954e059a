"""The machine of the figures."""

from __future__ import annotations

import os
import platform
import sqlite3
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("msgpack", "sortedcontainers", "SQLAlchemy", "psycopg")


def description() -> dict[str, str | int]:
    """Return the processor, the number of processors, and the versions of the measured programs."""
    versions = {f"{package} version": _version(package) for package in _PACKAGES}
    return {
        "processor": _processor(),
        "processors": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.release()}",
        "Python version": platform.python_version(),
        "SQLite version": sqlite3.sqlite_version,
        **versions,
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()

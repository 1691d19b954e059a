"""The virtual environment of stream_framework."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.postgresql_server import import_of_tests

VERSION = "1.4.0"
# The versions that it was written for. With a newer redis or hiredis, its Redis backend fails at the first call. These
# versions of hiredis have no wheels for Python 3.13, where redis parses in Python. redis imports distutils, which
# setuptools brings to Python 3.12 and newer.
_PACKAGES = (
    f"stream_framework=={VERSION}",
    "redis==2.10.6",
    'hiredis<3; python_version < "3.13"',
    'setuptools; python_version >= "3.12"',
    "cassandra-driver==3.30.1",
)


class AncestorUnavailable(Exception):
    """The installation of stream_framework failed. The message has the cause."""


def python() -> Path:
    """Return the Python of an environment with stream_framework. The first call creates it in the user's cache."""
    name = f"stream_framework-{VERSION}-cassandra-python{sys.version_info[0]}.{sys.version_info[1]}"
    folder: Path = import_of_tests("caches").filled_folder(name, _make)
    return folder / "bin" / "python"


def _make(folder: Path) -> None:
    print(f"installing stream_framework {VERSION} into the user's cache", file=sys.stderr, flush=True)
    _run([sys.executable, "-m", "venv", str(folder)])
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, *_PACKAGES])


def _run(command: list[str]) -> None:
    finished = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if finished.returncode:
        raise AncestorUnavailable(f"{' '.join(command)} ended with status {finished.returncode}:\n{finished.stdout}")

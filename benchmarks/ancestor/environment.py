"""The environment that stream_framework is installed into."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VERSION = "1.4.0"
# It was written for these; with a newer redis or hiredis its Redis backend fails at the first call.
_PACKAGES = (f"stream_framework=={VERSION}", "redis==2.10.6", "hiredis<3")


class AncestorUnavailable(Exception):
    """stream_framework could not be installed; the message says what failed."""


def python() -> Path:
    """Return the Python of an environment that holds stream_framework, made in the user's cache at first use."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "feedstore"
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"stream_framework-{VERSION}-python{sys.version_info[0]}.{sys.version_info[1]}"
    with _locked(cache / f"{folder.name}.lock"):
        if not folder.exists():
            _make(folder)
    return folder / "bin" / "python"


def _make(folder: Path) -> None:
    print(f"installing stream_framework {VERSION} into {folder}", file=sys.stderr, flush=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
    try:
        _run([sys.executable, "-m", "venv", str(unfinished)])
        pip = [str(unfinished / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, *_PACKAGES])
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished)
        raise


def _run(command: list[str]) -> None:
    finished = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if finished.returncode:
        raise AncestorUnavailable(f"{' '.join(command)} ended with status {finished.returncode}:\n{finished.stdout}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

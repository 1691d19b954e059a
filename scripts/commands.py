"""Run a program and capture its output."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path


def run(command: Sequence[str], folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``command`` in ``folder``, by default the current one. ``stdout`` of the result holds both of its outputs."""
    return subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )

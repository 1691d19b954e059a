"""Chromium: its program and its package."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from system_packages import SystemPackageError

VARIABLE = "FEEDSTORE_TEST_BROWSER"
PACKAGE = "chromium"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SECONDS = 60


def find_browser() -> Path | None:
    """Return the program that ``FEEDSTORE_TEST_BROWSER`` names, or the first one on PATH that prints its version.

    Ubuntu's ``chromium-browser`` may be a stub that only prints how to install Chromium.

    Returns:
        The path, or None if no browser is installed.

    Raises:
        SystemPackageError: The variable names a program that does not work. It is not replaced by another program.
    """
    named = os.environ.get(VARIABLE)
    if named:
        if not _works(named):
            raise SystemPackageError(f"{VARIABLE}={named}: {named} --version does not print a version of Chromium")
        return Path(named)
    found = (shutil.which(name) for name in _NAMES)
    return next((Path(program) for program in found if program is not None and _works(program)), None)


def missing_packages() -> dict[str, str]:
    """Return {package: purpose} of a missing browser. Empty if a browser is installed."""
    if find_browser() is not None:
        return {}
    return {PACKAGE: f"for the tests of the page; {VARIABLE}=/path/to/chromium would replace it"}


def _works(program: str) -> bool:
    try:
        answer = subprocess.run(
            [program, "--version"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and answer.stdout.startswith(("Chromium ", "Google Chrome "))

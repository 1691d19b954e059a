"""Chromium: where it lies, and the package that has it."""

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
    """The program that the variable names, or the first on PATH that says its version; None without one.

    Ubuntu's ``chromium-browser`` may be a stub that only says how to install one. A program that is named and does not
    work is a :class:`SystemPackageError`: another one would not be what was asked for.
    """
    named = os.environ.get(VARIABLE)
    if named:
        if not _works(named):
            raise SystemPackageError(f"{VARIABLE} names {named}, which is no Chromium that starts")
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

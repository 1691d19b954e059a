"""Prosody, the tests' XMPP server: its program, and its package, which is installed without a system service."""

from __future__ import annotations

import shutil
from pathlib import Path

PACKAGE = "prosody"
USER = "prosody"
"""The user that Debian's package makes. Prosody refuses to run as root."""


def find_prosody() -> Path | None:
    """Return the program, or None without it."""
    found = shutil.which("prosody")
    return None if found is None else Path(found)


def missing_packages() -> dict[str, str]:
    """Return {package: purpose} of missing packages of the tests' XMPP server."""
    return {} if find_prosody() else {PACKAGE: "for an XMPP server of the tests' own"}

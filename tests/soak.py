"""Sizes of the sweeps: small counts in the suite, large counts under ``make soak``."""

from __future__ import annotations

import os

SOAK = os.environ.get("FEEDSTORE_SOAK") == "1"


def count(quick: int, soak: int) -> int:
    """``soak`` under ``make soak``, else ``quick``; the test that calls it carries ``@pytest.mark.soak``."""
    return soak if SOAK else quick

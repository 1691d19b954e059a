"""Sizes of the sweeps: small counts in the suite, large counts under ``make soak``."""

from __future__ import annotations

import os
from typing import TypeVar

T = TypeVar("T")

SOAK = os.environ.get("FEEDSTORE_SOAK") == "1"


def count(quick: int, soak: int) -> int:
    """``soak`` under ``make soak``, else ``quick``; the test that calls it carries ``@pytest.mark.soak``."""
    return soak if SOAK else quick


def further(*cases: T) -> tuple[T, ...]:
    """Return ``cases`` under ``make soak``, else none: parameters that the suite leaves out of a test."""
    return cases if SOAK else ()

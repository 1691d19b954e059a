"""How long a suite waits for what must happen."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Patience:
    """Seconds after which a wait has failed. On a sound backend it ends far sooner, so they cost nothing."""

    seconds: float


patience = Patience(20.0)
"""What the suites go by; a test of broken backends, which fail by waiting, may have less of it."""

"""What sub-commands print for programs."""

from __future__ import annotations

import json
from typing import Any


def print_json(value: Any) -> None:
    """Print a value as JSON on one line."""
    print(json.dumps(value, ensure_ascii=False))

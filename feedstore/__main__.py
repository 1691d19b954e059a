"""``python -m feedstore``, and the command ``feedstore``: the command line in a process of its own."""

from __future__ import annotations

import gc
import sys
from typing import NoReturn

from feedstore.cli.main import main


def run_and_exit() -> NoReturn:
    """Run the command line, and end the process with its exit status."""
    try:
        sys.exit(main())
    finally:
        # The interpreter's last collections would go through every imported module, for a fifth of a command's time.
        gc.freeze()


if __name__ == "__main__":
    run_and_exit()

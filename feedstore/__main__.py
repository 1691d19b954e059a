"""``python -m feedstore``: the command line."""

from __future__ import annotations

import sys

from feedstore.cli.main import main

sys.exit(main())

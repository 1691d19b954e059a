"""The example of the three feeds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from docs.pages import ROOT

EXAMPLE = ROOT / "examples" / "photos.py"
BELL = """\
Bell
bell: 4 unread
* Eve commented on photo 9
* Eve, Cem and Ann liked photo 9

Bell, after the comment was read
bell: 3 unread
  Eve commented on photo 9
* Eve, Cem and Ann liked photo 9
"""


def test_the_example_prints_the_same_on_its_second_run(tmp_path: Path) -> None:
    """Activities have fixed times, so the second run delivers everything again."""
    command = [sys.executable, str(EXAMPLE), "--store", f"sqlite:///{tmp_path / 'photos.db'}"]
    first = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    second = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert first.stdout.endswith(BELL)
    assert "Ann posted photo 2, photo 1 and photo 0 (3)" in first.stdout
    assert second.stdout.startswith(first.stdout.partition("Bell")[0])
    assert "bell: 3 unread" in second.stdout

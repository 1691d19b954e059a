"""The oldest Python: every file that names it names the same, and an older one is refused with a clear message."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
from pathlib import Path

from house import tree

OLDEST = "3.11"


def test_the_files_agree_on_the_oldest_python() -> None:
    config = configparser.ConfigParser()
    config.read(tree.ROOT / "setup.cfg", encoding="utf-8")
    digits = OLDEST.replace(".", "")
    found = {
        "setup.cfg": config["options"]["python_requires"] == f">={OLDEST}",
        "setup.cfg, classifiers": re.findall(r":: (3\.\d+)$", config["metadata"]["classifiers"], re.MULTILINE)[0]
        == OLDEST,
        "setup.cfg, mypy": config["mypy"]["python_version"] == OLDEST,
        "tox.ini": f"py{{{digits}," in _text("tox.ini") and f"base_python = python{OLDEST}" in _text("tox.ini"),
        "pyproject.toml": f'target-version = "py{digits}"' in _text("pyproject.toml"),
        "bootstrap": f"({OLDEST.replace('.', ', ')})" in _text("scripts/bootstrap"),
        "environment.py": f"({OLDEST.replace('.', ', ')})" in _text("scripts/environment.py"),
        **{
            name: f"Python {OLDEST} or newer" in _text(name)
            for name in ("README.md", "CONTRIBUTING.md", "Makefile", "docs/index.md", "scripts/bootstrap")
        },
    }
    assert [name for name, agrees in found.items() if not agrees] == []


def test_an_older_python_is_refused_with_what_to_install(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    # It answers as an older Python does when bootstrap asks for its version.
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    environment = {**os.environ, "PYTHON": str(old)}
    done = subprocess.run(
        [tree.ROOT / "scripts" / "bootstrap"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f"error: found no Python {OLDEST} or newer; tried {old}." in done.stderr
    assert f"Install git, make and Python {OLDEST} or newer" in done.stderr


def _text(name: str) -> str:
    return (tree.ROOT / name).read_text(encoding="utf-8")

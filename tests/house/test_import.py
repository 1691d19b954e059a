"""The modules that `import feedstore` loads, and their places."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import feedstore
from house import tree
from house.test_layers import DRIVERS

INSTALLED = Path(sysconfig.get_path("purelib"), "feedstore")
HINT = "the suite is run against the installed wheel: make test"


def test_importing_feedstore_imports_no_driver() -> None:
    script = "import sys, json, feedstore; print(json.dumps(sorted(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    loaded = {name.split(".")[0] for name in json.loads(printed)}
    assert "feedstore" in loaded
    assert loaded.isdisjoint(DRIVERS)


def test_what_is_imported_is_the_installed_wheel() -> None:
    assert Path(feedstore.__file__).parent == INSTALLED, HINT
    script = "import feedstore; print(feedstore.__file__)"
    printed = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert Path(printed.strip()).parent == INSTALLED, HINT


def test_the_wheel_is_complete_and_of_these_files() -> None:
    checkout = _contents(tree.ROOT / "feedstore")
    installed = _contents(INSTALLED)
    assert sorted(installed) == sorted(checkout), HINT
    assert [name for name in checkout if installed[name] != checkout[name]] == [], HINT
    assert "py.typed" in installed


def test_the_wheel_lists_what_it_installed() -> None:
    listed = {str(path) for path in importlib.metadata.files("feedstore") or ()}
    missing = {f"feedstore/{name}" for name in _contents(INSTALLED)} - listed
    assert missing == set()


def test_the_version_is_the_metadata_s_and_has_its_changes_written_down() -> None:
    assert importlib.metadata.version("feedstore") == feedstore.__version__
    headings = [line for line in (tree.ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")]
    assert any(feedstore.__version__ in heading for heading in headings)


def _contents(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}

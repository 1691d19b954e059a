"""The wheel is built again if and only if one of its source files changes."""

from __future__ import annotations

from pathlib import Path

import pytest

import project_wheel
from project_wheel import digest_of_sources


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small checkout that the script takes for the project's."""
    (tmp_path / "feedstore" / "__pycache__").mkdir(parents=True)
    for name in ("setup.cfg", "feedstore/__init__.py", "feedstore/one.py", "feedstore/__pycache__/one.pyc"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(project_wheel, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["setup.cfg", "feedstore/one.py", "feedstore/new.mako", "README.md"])
def test_a_changed_or_new_file_changes_the_digest(checkout: Path, name: str) -> None:
    before = digest_of_sources()
    (checkout / name).write_text("changed")
    assert digest_of_sources() != before


def test_a_removed_or_renamed_file_changes_the_digest(checkout: Path) -> None:
    before = digest_of_sources()
    (checkout / "feedstore" / "one.py").rename(checkout / "feedstore" / "two.py")
    renamed = digest_of_sources()
    (checkout / "feedstore" / "two.py").unlink()
    assert len({before, renamed, digest_of_sources()}) == 3


@pytest.mark.parametrize("name", ["Makefile", "tests.py", "feedstore/__pycache__/one.pyc"])
def test_other_files_do_not(checkout: Path, name: str) -> None:
    before = digest_of_sources()
    (checkout / name).write_text("changed")
    assert digest_of_sources() == before

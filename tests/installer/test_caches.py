"""A cached folder is there whole or not at all, and is filled once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from caches import cache_folder, filled_folder


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder that holds the cached ones."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "feedstore"


def test_it_is_filled_once(cache: Path) -> None:
    filled: list[Path] = []

    def fill(folder: Path) -> None:
        assert not cache_folder("name").exists()
        filled.append(folder)
        (folder / "file").touch()

    assert filled_folder("name", fill) == filled_folder("name", fill) == cache / "name"
    assert len(filled) == 1
    assert [path.name for path in (cache / "name").iterdir()] == ["file"]


def test_what_was_half_filled_is_taken_away(cache: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / "file").touch()
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        filled_folder("name", fill)
    assert [path.name for path in cache.iterdir()] == ["name.lock"]


def test_others_wait_for_the_one_who_fills() -> None:
    started, may_end = threading.Event(), threading.Event()
    filled: list[Path] = []

    def fill(folder: Path) -> None:
        filled.append(folder)
        started.set()
        assert may_end.wait(60)

    threads = [threading.Thread(target=filled_folder, args=("name", fill)) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert started.wait(60)
    may_end.set()
    for thread in threads:
        thread.join(60)
    assert len(filled) == 1


def test_without_a_variable_it_lies_in_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder("name") == tmp_path / ".cache" / "feedstore" / "name"

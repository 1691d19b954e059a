"""A SQLite file that is emptied, restored or replaced while a process has it open."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from feedstore import connect
from feedstore.backends.sql.tables import metadata
from feedstore.errors import StorageUnavailableError
from feedstore.testing.samples import ids_of


def _fill(path: Path, namespace: str, entry: int) -> None:
    with connect(f"sqlite:///{path}", namespace=namespace) as backend:
        backend.timeline_storage().add("key", entry)


def _entries(path: Path, namespace: str) -> list[int]:
    with connect(f"sqlite:///{path}", namespace=namespace) as backend:
        return ids_of(backend.timeline_storage().get_slice("key", 0, None))


def _empty(path: Path, backup: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for name in metadata.tables:
            connection.execute(f"DELETE FROM {name}")
    _fill(path, "other", 100)


def _restore_in_place(path: Path, backup: Path) -> None:
    with closing(sqlite3.connect(backup)) as source, closing(sqlite3.connect(path)) as target:
        source.backup(target)


@pytest.mark.parametrize("change", [_empty, _restore_in_place])
def test_a_write_goes_to_its_own_namespace_of_the_file_that_is_there(
    tmp_path: Path, change: Callable[[Path, Path], None]
) -> None:
    """In the restored file another namespace has the number that the process remembers of its own."""
    path, backup = tmp_path / "feeds.db", tmp_path / "backup.db"
    _fill(backup, "other", 100)
    with connect(f"sqlite:///{path}", namespace="app") as backend:
        timelines, items, queue = backend.timeline_storage(), backend.kv_storage(), backend.queue("q")
        timelines.add("key", 1)
        change(path, backup)
        timelines.add("key", 5)
        items.upsert("item", 5)
        queue.push("message")
        backend.activity_storage().remove(7)
        assert ids_of(timelines.get_slice("key", 0, None)) == [5]
    assert _entries(path, "other") == [100]
    assert _entries(path, "app") == [5]
    with connect(f"sqlite:///{path}", namespace="other") as other:
        assert list(other.kv_storage().fetch_all()) == []
        assert other.queue("q").count() == 0


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_write_to_a_file_that_lost_its_name_is_an_error(tmp_path: Path, is_replaced: bool) -> None:
    """SQLite would store it where nothing can find it."""
    path, backup, moved = tmp_path / "feeds.db", tmp_path / "backup.db", tmp_path / "moved.db"
    _fill(backup, "other", 100)
    with connect(f"sqlite:///{path}", namespace="app") as backend:
        backend.timeline_storage().add("key", 1)
        os.rename(path, moved)
        if is_replaced:
            os.rename(backup, path)
        with pytest.raises(
            StorageUnavailableError, match="replaced by another" if is_replaced else "removed or renamed"
        ):
            backend.timeline_storage().add("key", 2)
        assert path.exists() == is_replaced
        if not is_replaced:
            os.rename(moved, path)
            assert backend.timeline_storage().add("key", 2) == 1
    if is_replaced:
        for end in ("-wal", "-shm"):
            Path(f"{path}{end}").unlink(missing_ok=True)
        assert _entries(path, "other") == [100]

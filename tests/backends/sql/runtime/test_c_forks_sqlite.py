"""SQLite in a child process that was forked past Python's hooks, as uWSGI's prefork does."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from feedstore import connect
from feedstore.errors import ForkedClientError
from feedstore.testing.processes import run_in_child
from forking import PLAIN_FORKS, fork_in_c

pytestmark = PLAIN_FORKS
RunInChild = Callable[[Callable[[], Any]], Any]


@pytest.fixture
def run_in_c_child(monkeypatch: pytest.MonkeyPatch) -> RunInChild:
    """Run a function in a child that C's fork makes: no hook of ``os.register_at_fork`` runs."""
    monkeypatch.setattr("feedstore.testing.processes._fork", fork_in_c)
    return run_in_child


def _open_files(path: Path) -> int:
    names = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    return sum(os.readlink(name).startswith(str(path)) for name in names if os.path.lexists(name))


def test_a_child_refuses_inherited_connections_and_leaves_them_open(tmp_path: Path, run_in_c_child: RunInChild) -> None:
    """SQLite's copy of the parent's locks makes every connection of the child unsafe; to close one is unsafe too."""
    path = tmp_path / "feeds.db"
    held = [connect(f"sqlite:///{path}")]
    held[0].timeline_storage().add("key", 1)
    before = _open_files(path)
    assert before > 0

    def child() -> tuple[list[str], int]:
        refused = [
            _refusal(held[0].ping),
            _refusal(lambda: held[0].timeline_storage().count("key")),
            _refusal(lambda: held[0].timeline_storage().add("key", 2)),
        ]
        held.pop().close()
        gc.collect()
        return refused, _open_files(path)

    refused, still_open = run_in_c_child(child)
    assert all("lazy-apps" in message and str(path) in message for message in refused)
    assert still_open == before
    assert held[0].timeline_storage().add("key", 3) == 1
    held[0].close()
    with connect(f"sqlite:///{path}") as again:
        assert again.timeline_storage().count("key") == 2


def _refusal(call: Callable[[], object]) -> str:
    with pytest.raises(ForkedClientError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize("used_before", [False, True])
def test_a_child_of_a_parent_without_connections_works(
    tmp_path: Path, run_in_c_child: RunInChild, used_before: bool
) -> None:
    url = f"sqlite:///{tmp_path / 'feeds.db'}"
    with connect(url) as first:
        first.timeline_storage().add("key", 1)
    backend = connect(url)
    if used_before:
        backend.ping()
        backend.close()
        backend = connect(url)

    def child() -> int:
        backend.timeline_storage().add("key", 2)
        return backend.timeline_storage().count("key")

    assert run_in_c_child(child) == 2
    assert backend.timeline_storage().count("key") == 2
    backend.close()

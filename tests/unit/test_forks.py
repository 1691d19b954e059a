"""The calls around a fork, and their objects."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable

from feedstore.forks import follow_forks, unlocked_property
from feedstore.testing.processes import run_in_child

SECONDS = 30


class Owner:
    """An object that records its calls."""

    def __init__(self, name: str, heard: list[str], before: Callable[[], object] = lambda: None) -> None:
        self.name = name
        self.heard = heard
        self.meanwhile = before
        follow_forks(self, Owner.before, Owner.in_parent, Owner.in_child)

    def before(self) -> None:
        self.heard.append(f"{self.name} before")
        self.meanwhile()

    def in_parent(self) -> None:
        self.heard.append(f"{self.name} in the parent")

    def in_child(self) -> None:
        self.heard.append(f"{self.name} in the child")


def test_both_sides_are_told_in_order() -> None:
    heard: list[str] = []
    first, second = Owner("first", heard), Owner("second", heard)
    in_child = run_in_child(lambda: heard)
    before = ["second before", "first before"]
    assert heard == [*before, "first in the parent", "second in the parent"]
    assert in_child == [*before, "first in the child", "second in the child"]
    assert (first.name, second.name) == ("first", "second")


def test_an_owner_that_is_gone_hears_nothing() -> None:
    heard: list[str] = []
    Owner("gone", heard)
    gc.collect()
    run_in_child(os.getpid)
    assert heard == []


def test_an_owner_that_comes_amid_a_fork_hears_nothing_of_it() -> None:
    heard: list[str] = []
    late: list[Owner] = []

    def come_late() -> None:
        if not late:
            late.append(Owner("late", heard))

    parent = Owner("parent", heard, come_late)
    assert run_in_child(lambda: heard) == ["parent before", "parent in the child"]
    assert heard == ["parent before", "parent in the parent"]
    heard.clear()
    run_in_child(os.getpid)
    assert heard == ["late before", "parent before", "parent in the parent", "late in the parent"]
    assert parent.name == "parent"


def test_an_owner_that_ends_amid_a_fork_is_kept_until_the_fork_s_end() -> None:
    heard: list[str] = []
    owners: list[Owner] = []
    owners.append(Owner("last", heard, owners.clear))
    run_in_child(os.getpid)
    assert heard == ["last before", "last in the parent"]
    gc.collect()
    run_in_child(os.getpid)
    assert heard == ["last before", "last in the parent"]


class Slow:
    """An object with a property that is computed slowly at its first use."""

    def __init__(self, compute: Callable[[], str]) -> None:
        self._compute = compute

    @unlocked_property
    def value(self) -> str:
        """The value."""
        return self._compute()


def test_a_property_under_computation_blocks_neither_a_child_nor_another_object() -> None:
    begun, end = threading.Event(), threading.Event()

    def wait() -> str:
        begun.set()
        return "slow" if end.wait(SECONDS) else "late"

    slow = Slow(wait)
    thread = threading.Thread(target=lambda: slow.value)
    thread.start()
    assert begun.wait(SECONDS)
    quick = Slow(lambda: "quick")
    assert run_in_child(lambda: Slow(lambda: "child").value) == "child"
    assert (quick.value, thread.is_alive()) == ("quick", True)
    end.set()
    thread.join(SECONDS)
    assert slow.value == "slow"

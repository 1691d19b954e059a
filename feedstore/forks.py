"""Hooks around ``os.fork``, which keep the state of objects consistent in the parent and in the child."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import TypeVar

_Owner = TypeVar("_Owner")


def follow_forks(
    owner: _Owner,
    before: Callable[[_Owner], object],
    in_parent: Callable[[_Owner], object],
    in_child: Callable[[_Owner], object],
) -> None:
    """Call ``before(owner)`` before each fork of this process, and ``in_parent(owner)`` and ``in_child(owner)`` after.

    The registry holds the owner weakly, so a deleted owner gets no calls. The calls before a fork are in the reverse
    order of registration, the calls after it in that order. If an owner is registered while another thread forks, it
    gets no calls for that fork.
    """
    reference = weakref.ref(owner)
    told: list[_Owner] = []

    def tell() -> None:
        held = reference()
        if held is not None:
            before(held)
            told.append(held)

    def calling(hook: Callable[[_Owner], object]) -> Callable[[], None]:
        def call() -> None:
            # An owner without a call before the fork has nothing to undo after it.
            if told:
                hook(told.pop())

        return call

    os.register_at_fork(before=tell, after_in_parent=calling(in_parent), after_in_child=calling(in_child))

"""What has to happen around a fork, so that parent and child both go on with something whole (``os.fork``)."""

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

    The owner is held weakly, and forks that come after its end call nothing. Owners that were given later are asked
    first before a fork and last after it. One that is given while another thread forks hears nothing of that fork.
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
            # Whoever was not told before the fork has nothing to undo after it.
            if told:
                hook(told.pop())

        return call

    os.register_at_fork(before=tell, after_in_parent=calling(in_parent), after_in_child=calling(in_child))

"""Hooks around ``os.fork``, which keep the state of objects consistent, and properties that hold no lock at a fork."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from functools import cached_property  # noqa: TID251
from typing import Any, Self, TypeVar, overload

_Owner = TypeVar("_Owner")
_Value = TypeVar("_Value")


class unlocked_property(cached_property[_Value]):  # noqa: N801 - it is used as `property`
    """A property that is computed at its first use and then stored. Two threads may both compute it.

    On Python 3.11, ``functools.cached_property`` holds a lock of the class during the computation. All objects of the
    class wait for it, even if it makes a round trip, and a child that is forked in this time waits forever.
    """

    @overload
    def __get__(self, instance: None, owner: type[Any] | None = None) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None) -> _Value: ...

    def __get__(self, instance: object, owner: type[Any] | None = None) -> Self | _Value:
        """Return the value, or the property itself if it is read on the class."""
        if instance is None:
            return self
        value: _Value = instance.__dict__.setdefault(self.attrname or "", self.func(instance))
        return value


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

"""Decays: scores that fall with the age of an activity."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime, timedelta
from typing import Any

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.shown import shown

_NO_TIME = timedelta(0)


class Decay(ABC):
    """A number between 1 and 0 that falls with the age of an activity: a score, or a factor of one.

    An activity of the age ``offset`` or younger, or from the future, has 1. At the age ``offset + scale`` it has
    ``at_scale``. The subclasses differ in the shape of the curve. Decays have no state, so threads share them.

    Args:
        scale: The age, beyond the offset, at which the decay is ``at_scale``.
        offset: The age up to which nothing decays.
        at_scale: The value at the scale, between 0 and 1, both excluded.
    """

    def __init__(self, scale: timedelta, *, offset: timedelta = _NO_TIME, at_scale: float = 0.5) -> None:
        for name, value in (("scale", scale), ("offset", offset)):
            if not isinstance(value, timedelta):
                raise InvalidTypeError(f"{name} must be a timedelta, not {shown(value)}")
        if scale <= _NO_TIME or offset < _NO_TIME:
            raise InvalidValueError(f"scale must be positive and offset not negative, not {scale} and {offset}")
        if not isinstance(at_scale, (int, float)) or not 0 < at_scale < 1:
            raise InvalidValueError(f"at_scale must lie between 0 and 1, both excluded, not {shown(at_scale)}")
        self.scale, self.offset, self.at_scale = scale, offset, at_scale

    def __call__(self, activity: Any, now: datetime) -> float:
        """Return the decay of an activity at a time."""
        return self.at_age(now - activity.time)

    def at_age(self, age: timedelta) -> float:
        """Return the decay at an age."""
        return self._at(max(age - self.offset, _NO_TIME) / self.scale)

    @abstractmethod
    def _at(self, distance: float) -> float:
        """Return the decay at a distance from the offset, in scales."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.scale!r}, offset={self.offset!r}, at_scale={self.at_scale!r})"


class ExponentialDecay(Decay):
    """A decay by the same factor in each scale, so that ``scale`` is the half-life by default.

    >>> ExponentialDecay(timedelta(hours=6)).at_age(timedelta(hours=12))
    0.25
    """

    def _at(self, distance: float) -> float:
        return float(self.at_scale**distance)


class LinearDecay(Decay):
    """A decay in a straight line, down to 0.

    >>> LinearDecay(timedelta(hours=6)).at_age(timedelta(hours=9)), LinearDecay(timedelta(hours=6)).at_age(timedelta(2))
    (0.25, 0.0)
    """

    def _at(self, distance: float) -> float:
        return max(0.0, 1 - (1 - self.at_scale) * distance)


class GaussDecay(Decay):
    """A decay along a bell curve: slow at first, then fast.

    >>> GaussDecay(timedelta(hours=6)).at_age(timedelta(hours=12))
    0.0625
    """

    def _at(self, distance: float) -> float:
        return float(self.at_scale ** (distance * distance))

"""The stored state of producers: pushed, pulled, or both for a time."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from feedstore.errors import ConditionFailedError
from feedstore.fanout.edges import token_of
from feedstore.feeds import UserId
from feedstore.shown import shown
from feedstore.storage import Backend

# One bucket holds all rows, so that a reader finds the pulled producers with one scan.
_PREFIX = "{producers}:"
_MOST_ATTEMPTS = 100


class DeliveryMode(StrEnum):
    """The way in which the activities of a producer reach its readers."""

    PUSH = "push"
    """A fan-out delivers them."""
    PULL = "pull"
    """Reads pull them from the producer's own feed."""
    SETTLE = "settle"
    """A fan-out delivers new ones, and reads pull all, until those of the time of pulling have been delivered."""


class ModeState(NamedTuple):
    """The mode of a producer, and the name of its last change, which no other change has."""

    mode: DeliveryMode = DeliveryMode.PUSH
    change: str = ""


class ProducerModes:
    """The modes of producers on a backend. A producer without a row is pushed."""

    def __init__(self, backend: Backend, name: str) -> None:
        self._rows = backend.kv_storage(name)

    def state(self, user: UserId) -> ModeState:
        """Return the state of a producer. One round trip."""
        return _state_of(self._rows.get(mode_key(user)))

    def pulled(self) -> list[UserId]:
        """Return the producers whose activities reads pull. One round trip for some hundreds of them."""
        return [row["user"] for row in self._rows.fetch_by_prefix(_PREFIX) if row["mode"] != DeliveryMode.PUSH]

    def update(self, user: UserId, decide: Callable[[DeliveryMode], DeliveryMode]) -> tuple[ModeState, bool]:
        """Change the mode of a producer to the one that ``decide`` returns for the present one.

        If several processes change it at the same time, one after the other does. One round trip if the mode stays,
        otherwise two.

        Returns:
            The state, and whether this call changed it.
        """
        key = mode_key(user)
        for _ in range(_MOST_ATTEMPTS):
            row = self._rows.get(key)
            state = _state_of(row)
            mode = decide(state.mode)
            if mode == state.mode:
                return state, False
            new = ModeState(mode, secrets.token_hex(8))
            value = {"user": user, "mode": str(mode), "change": new.change}
            is_set = self._rows.insert(key, value) if row is None else self._rows.replace(key, row, value)
            # A write that is sent again after a lost answer fails, although its first attempt succeeded.
            if is_set or self._rows.get(key) == value:
                return new, True
        raise ConditionFailedError(
            f"the mode of {shown(user)} was changed by others {_MOST_ATTEMPTS} times during one call; call again"
        )

    def finish(self, user: UserId, change: str) -> None:
        """End a settlement, unless the mode was changed since. A repeated call changes nothing."""
        key = mode_key(user)
        row = self._rows.get(key)
        if _state_of(row) == ModeState(DeliveryMode.SETTLE, change):
            self._rows.replace(key, row, {**row, "mode": str(DeliveryMode.PUSH)})


def mode_key(user: UserId) -> str:
    """Return the key of the row of a producer."""
    return _PREFIX + token_of(user)


def _state_of(row: dict[str, str] | None) -> ModeState:
    return ModeState() if row is None else ModeState(DeliveryMode(row["mode"]), row["change"])

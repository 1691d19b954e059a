"""The replication of a keyspace, from the option ``replication``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.shown import shown

_DATACENTER = re.compile(r"(?P<name>[A-Za-z0-9_.-]+):(?P<factor>[0-9]{1,3})")


@dataclass(frozen=True)
class Replication:
    """The number of replicas by datacenter. The name ``replication_factor`` stands for every datacenter."""

    factors: tuple[tuple[str, int], ...]

    def creation(self, keyspace: str) -> str:
        """Return the statement that creates a keyspace if it does not exist."""
        factors = "".join(f", '{name}': {factor}" for name, factor in self.factors)
        return (
            f'CREATE KEYSPACE IF NOT EXISTS "{keyspace}" '
            f"WITH replication = {{'class': 'NetworkTopologyStrategy'{factors}}}"
        )


def read_replication(name: str, value: object) -> Replication:
    """Return the replication in an option's value: ``3`` for every datacenter, or ``east:3,west:2``."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise InvalidTypeError(f"the option {name} must be an int or a str such as 'east:3,west:2', not {shown(value)}")
    parts = [("replication_factor", value)] if value.isdigit() and value.isascii() else _datacenters(name, value)
    factors = tuple((place, int(factor)) for place, factor in parts)
    if any(factor < 1 for _, factor in factors) or len(dict(factors)) < len(factors):
        raise _unreadable(name, value)
    return Replication(factors)


def _datacenters(name: str, value: str) -> list[tuple[str, str]]:
    found = [_DATACENTER.fullmatch(part) for part in value.split(",")]
    parts = [(one["name"], one["factor"]) for one in found if one is not None]
    if len(parts) < len(found):
        raise _unreadable(name, value)
    return parts


def _unreadable(name: str, value: str) -> InvalidValueError:
    return InvalidValueError(
        f"the option {name} is {shown(value)}; pass the number of replicas, or a number for each datacenter: "
        "'east:3,west:2'"
    )

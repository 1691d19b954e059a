"""Which node of a Cluster serves which slot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import ClusterDownError

from feedstore.backends.redis.address_map import AddressMap
from feedstore.storage.server_url import Place, text_of_places

SLOTS = 16384
_NO_HOSTS = (None, b"", b"?")


@dataclass(frozen=True)
class Topology:
    """The primary of each slot, None for a slot that no node serves, and all nodes that were named."""

    owners: tuple[Place | None, ...]
    primaries: frozenset[Place]
    places: frozenset[Place]

    @classmethod
    def read(cls, answer: Sequence[Sequence[Any]], asked: Place, address_map: AddressMap) -> Topology:
        """Return what ``CLUSTER SLOTS`` says. A node without a host of its own has that of the node ``asked``."""
        owners: list[Place | None] = [None] * SLOTS
        primaries, places = set(), set()
        for first, last, *nodes in answer:
            found = [_place(node[0], int(node[1]), asked, address_map) for node in nodes]
            owners[int(first) : int(last) + 1] = [found[0]] * (int(last) - int(first) + 1)
            primaries.add(found[0])
            places.update(found)
        return cls(tuple(owners), frozenset(primaries), frozenset(places))

    def owner_of(self, slot: int) -> Place:
        """Return the primary of a slot. Raises the driver's ClusterDownError, which may pass, if there is none."""
        owner = self.owners[slot]
        if owner is None:
            raise ClusterDownError(f"CLUSTERDOWN slot {slot} is served by no node that is known")
        return owner

    def with_owner(self, slot: int, owner: Place) -> Topology:
        """Return the same with another primary of one slot."""
        owners = (*self.owners[:slot], owner, *self.owners[slot + 1 :])
        return Topology(owners, self.primaries | {owner}, self.places | {owner})

    def __repr__(self) -> str:
        return f"Topology({text_of_places(sorted(self.primaries))})"


def _place(host: bytes | str | None, port: int, asked: Place, address_map: AddressMap) -> Place:
    if host in _NO_HOSTS:
        # The node knows no address of its own: it is reached where it was asked, which needs no mapping.
        return asked[0], port
    return address_map.place_of(host.decode() if isinstance(host, bytes) else str(host), port)

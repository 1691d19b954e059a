"""The topology of a Cluster: the node that serves each slot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import ClusterDownError

from feedstore.backends.redis.address_map import AddressMap
from feedstore.backends.server_url import Place, text_of_places

SLOTS = 16384
_NO_HOSTS = (None, b"", b"?")


@dataclass(frozen=True)
class Topology:
    """The primary of each slot, or None for a slot that no node serves, and the places of all announced nodes."""

    owners: tuple[Place | None, ...]
    primaries: frozenset[Place]
    places: frozenset[Place]

    @classmethod
    def read(cls, answer: Sequence[Sequence[Any]], asked: Place, address_map: AddressMap) -> Topology:
        """Return the topology in an answer of ``CLUSTER SLOTS``.

        Args:
            answer: The answer.
            asked: The node that answered. A node that announces no host has the host of this one.
            address_map: The map from announced to reachable addresses.
        """
        owners: list[Place | None] = [None] * SLOTS
        primaries, places = set(), set()
        for first, last, *nodes in answer:
            found = [_place(node[0], int(node[1]), asked, address_map) for node in nodes]
            owners[int(first) : int(last) + 1] = [found[0]] * (int(last) - int(first) + 1)
            primaries.add(found[0])
            places.update(found)
        return cls(tuple(owners), frozenset(primaries), frozenset(places))

    def owner_of(self, slot: int) -> Place:
        """Return the primary of a slot. If there is none, raise the driver's ClusterDownError, a temporary error."""
        owner = self.owners[slot]
        if owner is None:
            raise ClusterDownError(f"CLUSTERDOWN no known node serves slot {slot}")
        return owner

    def with_owner(self, slot: int, owner: Place) -> Topology:
        """Return the topology with another primary of one slot."""
        owners = (*self.owners[:slot], owner, *self.owners[slot + 1 :])
        return Topology(owners, self.primaries | {owner}, self.places | {owner})

    def __repr__(self) -> str:
        return f"Topology({text_of_places(sorted(self.primaries))})"


def _place(host: bytes | str | None, port: int, asked: Place, address_map: AddressMap) -> Place:
    if host in _NO_HOSTS:
        # The node announces no address: it is reachable at the host that answered, which needs no mapping.
        return asked[0], port
    return address_map.place_of(host.decode() if isinstance(host, bytes) else str(host), port)

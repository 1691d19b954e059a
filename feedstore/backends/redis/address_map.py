"""The map from the addresses that nodes and Sentinels announce to those that clients can reach (NAT, containers)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from feedstore.backends.server_url import Place, place_of_text
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.options import read_text
from feedstore.shown import shown

_FORM = "'10.0.0.1:6379=proxy.example:7001,10.0.0.2=other.example'"


class AddressMap:
    """Pairs of addresses: the one that a node or a Sentinel announces, and the one to connect to.

    An announced address without a port stands for every port of its host. A target without a port keeps the port.
    """

    def __init__(self, pairs: Mapping[str, str] | None = None) -> None:
        self._places: dict[Place, tuple[str, int | None]] = {}
        self._hosts: dict[str, tuple[str, int | None]] = {}
        for source, target in (pairs or {}).items():
            host, port = _place(source)
            if port is None:
                self._hosts[host] = _place(target)
            else:
                self._places[host, port] = _place(target)

    def place_of(self, host: str, port: int) -> Place:
        """Return the place to connect to for an announced address."""
        target = self._places.get((host.lower(), port)) or self._hosts.get(host.lower())
        if target is None:
            return host, port
        return target[0], target[1] or port


class RemappedAddresses(AddressMap):
    """The map of a ready client: a function from address to address, or None."""

    def __init__(self, remap: Callable[[Place], Place] | None) -> None:
        super().__init__()
        self._remap = remap

    def place_of(self, host: str, port: int) -> Place:
        """Return the result of the function for an address."""
        return (host, port) if self._remap is None else self._remap((host, port))


def read_address_map(name: str, value: object) -> AddressMap:
    """Return the map in an option's value, which is a str or a mapping."""
    if isinstance(value, AddressMap):
        return value
    if isinstance(value, Mapping):
        pairs = {read_text(name, source): read_text(name, target) for source, target in value.items()}
    elif isinstance(value, str):
        parts = [part.partition("=") for part in value.split(",")]
        pairs = {source: target for source, _, target in parts}
        if len(pairs) < len(parts):
            raise InvalidValueError(f"the option {name} has an address twice; name each address once")
    else:
        kind = type(value).__name__
        raise InvalidTypeError(f"the option {name} must be a str such as {_FORM}, or a mapping of str, not a {kind}")
    try:
        return AddressMap(pairs)
    except InvalidValueError as error:
        raise InvalidValueError(f"{error} in the option {name}; pass {_FORM}") from None


def _place(text: str) -> tuple[str, int | None]:
    place = place_of_text(text.strip())
    if place is None or not place[0]:
        raise InvalidValueError(f"{shown(text[:99])} is not an address")
    return place[0].lower(), place[1]

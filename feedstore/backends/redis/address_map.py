"""The addresses at which clients reach nodes that name others, behind NAT or in containers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.options import read_text
from feedstore.shown import shown
from feedstore.storage.server_url import Place, place_of_text

_FORM = "'10.0.0.1:6379=proxy.example:7001,10.0.0.2=other.example'"


class AddressMap:
    """Pairs of addresses: the one that a node or a Sentinel names, and the one to connect to.

    An address without a port stands for each port of that host, and keeps it.
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
        """Return where to connect to for an address that was named."""
        target = self._places.get((host.lower(), port)) or self._hosts.get(host.lower())
        if target is None:
            return host, port
        return target[0], target[1] or port


class RemappedAddresses(AddressMap):
    """The map that a ready client was given: a function from address to address, or None."""

    def __init__(self, remap: Callable[[Place], Place] | None) -> None:
        super().__init__()
        self._remap = remap

    def place_of(self, host: str, port: int) -> Place:
        """Return what the function makes of an address."""
        return (host, port) if self._remap is None else self._remap((host, port))


def read_address_map(name: str, value: object) -> AddressMap:
    """Return a map that is given as a text or as a mapping."""
    if isinstance(value, AddressMap):
        return value
    if isinstance(value, Mapping):
        pairs = {read_text(name, source): read_text(name, target) for source, target in value.items()}
    elif isinstance(value, str):
        parts = [part.partition("=") for part in value.split(",")]
        pairs = {source: target for source, _, target in parts}
        if len(pairs) < len(parts):
            raise InvalidValueError(f"the option {name} names an address twice; name each once")
    else:
        kind = type(value).__name__
        raise InvalidTypeError(f"the option {name} is a text such as {_FORM}, or a mapping of such texts, not a {kind}")
    try:
        return AddressMap(pairs)
    except InvalidValueError as error:
        raise InvalidValueError(f"the option {name} has the form {_FORM}; {error}") from None


def _place(text: str) -> tuple[str, int | None]:
    place = place_of_text(text.strip())
    if place is None or not place[0]:
        raise InvalidValueError(f"{shown(text[:99])} is no address")
    return place[0].lower(), place[1]

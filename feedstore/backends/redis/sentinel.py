"""Redis Sentinel: the address of the primary, and connections to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from redis.exceptions import ConnectionError, NoPermissionError, RedisError, ResponseError

from feedstore.backends.redis.address_map import AddressMap
from feedstore.backends.redis.errors import is_refused
from feedstore.backends.redis.pool import OwnConnections
from feedstore.backends.server_url import Place, text_of_places
from feedstore.shown import shown

_PRIMARY = b"master"
_LONGEST_TIMEOUT_SECONDS = 1.0


class Sentinels:
    """The Sentinels that watch a service. ``connect_to`` makes a connection to one of them.

    The address of the primary is kept until :meth:`forget`.
    """

    def __init__(
        self, places: Sequence[Place], service: str, address_map: AddressMap, connect_to: Callable[[Place], Any]
    ) -> None:
        self._places = list(places)
        self._service = service
        self._address_map = address_map
        self._connect_to = connect_to
        self._primary: Place | None = None

    def primary(self) -> Place:
        """Return the primary's address, with one round trip if it is not known.

        It raises the driver's ConnectionError if no Sentinel answers, and its ResponseError if none knows the service.
        """
        primary = self._primary
        if primary is None:
            primary = self._primary = self._found()
        return primary

    def forget(self) -> None:
        """Forget the address. The next call of :meth:`primary` asks a Sentinel again."""
        self._primary = None

    def _found(self) -> Place:
        lost: RedisError | None = None
        for place in self._places:
            try:
                found = self._asked(place)
            except RedisError as error:
                if is_refused(error) or isinstance(error, ResponseError):
                    raise
                lost = error
                continue
            if found is not None:
                # The next request goes first to the Sentinel that answered.
                self._places = [place, *(other for other in self._places if other != place)]
                return self._address_map.place_of(found[0].decode(), int(found[1]))
        if lost is None:
            raise ResponseError(f"no Sentinel knows the service {shown(self._service)}")
        raise ConnectionError(f"no Sentinel of {text_of_places(self._places)} knows the primary now ({lost})") from lost

    def _asked(self, place: Place) -> Any:
        connection = self._connect_to(place)
        try:
            connection.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)
            return connection.read_response()
        finally:
            connection.disconnect()


def connect_to_sentinel(connection_class: Any, arguments: dict[str, Any], place: Place) -> Any:
    """Return a connection to a Sentinel, with timeouts of a second at most: another Sentinel may answer faster."""
    timeouts = {
        name: min(arguments[name], _LONGEST_TIMEOUT_SECONDS) for name in ("socket_timeout", "socket_connect_timeout")
    }
    return connection_class(host=place[0], port=place[1], **{**arguments, **timeouts})


def check_primary(connection: Any) -> None:
    """Do redis-py's handshake with a server, and check that the server is a primary.

    A Sentinel may name an old primary for a moment after a failover. If the user may not call ROLE, the check is
    skipped. It raises the driver's ConnectionError for a replica.
    """
    connection.on_connect()
    connection.send_command("ROLE", check_health=False)
    with suppress(NoPermissionError):
        role = connection.read_response()[0]
        if role != _PRIMARY:
            raise ConnectionError(f"the server that a Sentinel named is not a primary now, but a {role.decode()}")


class SentinelConnections(OwnConnections):
    """A pool of connections. Each goes to the primary that the Sentinels name when it is made."""

    def __init__(self, sentinels: Sentinels, connect_to: Callable[[Place], Any], **pool: Any) -> None:
        super().__init__(lambda: connect_to(sentinels.primary()), **pool)
        self._sentinels = sentinels

    def renew(self) -> None:
        """Close the idle connections, and ask the Sentinels again."""
        self._sentinels.forget()
        super().renew()

"""Free ports on the loopback address."""

from __future__ import annotations

import socket
from collections.abc import Callable

from servers.process import ServerError, ServerProcess

_ATTEMPTS = 5
LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """Return a free TCP port. Another process may take it before its user does: then retry with another port."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def start_on_a_free_port(start: Callable[[int], ServerProcess]) -> tuple[int, ServerProcess]:
    """Start a server on a free port, or on another if a process took the port first. Return the port and the server."""
    for attempt in range(1, _ATTEMPTS + 1):
        port = free_port()
        try:
            return port, start(port)
        except ServerError as error:
            if attempt == _ATTEMPTS or "Address already in use" not in str(error):
                raise
    raise AssertionError("the last attempt returns or raises")

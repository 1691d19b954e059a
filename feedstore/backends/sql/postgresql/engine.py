"""Engines for PostgreSQL servers."""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool

from feedstore.backends.sql.address import Address, libpq_options
from feedstore.errors import MissingDriverError

_MILLISECONDS = 1000
# A server that vanished without a word is given up after a minute at most, where the operating system can tell.
_KEEPALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 30_000}


def make_engine(address: Address, options: dict[str, Any]) -> Engine:
    """Return an engine for a database, whose connections are in autocommit and not pooled. Connects to nothing.

    Raises :class:`MissingDriverError` without psycopg 3.
    """
    settings = f"-c statement_timeout={math.ceil(options['statement_timeout'] * _MILLISECONDS)}"
    arguments = {
        "connect_timeout": math.ceil(options["connect_timeout"]),
        "options": settings,
        "application_name": "feedstore",
        **_KEEPALIVE,
        **libpq_options(options),
    }
    try:
        return create_engine(
            address.url,
            isolation_level="AUTOCOMMIT",
            poolclass=NullPool,
            connect_args=arguments,
        )
    except ImportError as error:
        raise MissingDriverError(
            'PostgreSQL needs the driver psycopg 3: pip install "feedstore[postgresql]"'
        ) from error

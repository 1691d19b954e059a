"""Engines for PostgreSQL servers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.pool import NullPool

from feedstore.backends.sql.address import Address, libpq_options
from feedstore.errors import MissingDriverError

if TYPE_CHECKING:
    from feedstore.backends.sql.postgresql.client import Client

# A server that vanished without a word is given up after a minute at most, where the operating system can tell.
_KEEPALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 30_000}


def make_engine(address: Address, options: dict[str, Any]) -> Engine:
    """Return an engine for a database, whose connections are in autocommit and not pooled. Connects to nothing.

    Raises :class:`MissingDriverError` without psycopg 3.
    """
    arguments = {
        "connect_timeout": math.ceil(options["connect_timeout"]),
        "application_name": "feedstore",
        **_KEEPALIVE,
        **address.libpq,
        **libpq_options(options),
    }
    try:
        engine = create_engine(
            address.url,
            isolation_level="AUTOCOMMIT",
            poolclass=NullPool,
            connect_args=arguments,
        )
        # Only here: the driver need not be installed for SQLite.
        from feedstore.backends.sql.postgresql.client import Client, Wishes
    except ImportError as error:
        raise MissingDriverError(
            'PostgreSQL needs the driver psycopg 3: pip install "feedstore[postgresql]"'
        ) from error
    wishes = Wishes(options["statement_timeout"], options["pooler"])

    @event.listens_for(engine, "do_connect")
    def connect(dialect: object, record: object, positional: object, keywords: dict[str, Any]) -> Client:
        return Client.open(keywords, wishes)

    return engine

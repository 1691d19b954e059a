"""Making a store of a URL or of a ready engine."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from feedstore.backends.sql.address import Address, parse_address
from feedstore.backends.sql.database import Database
from feedstore.backends.sql.opener import Opener
from feedstore.backends.sql.options import ENGINE_OPTIONS, POSTGRESQL, SQLITE, read_options
from feedstore.backends.sql.pool import ConnectionPool, EngineConnections
from feedstore.backends.sql.postgresql.engine import make_engine as make_postgresql_engine
from feedstore.backends.sql.sqlite.database import SqliteDatabase
from feedstore.backends.sql.sqlite.engine import make_engine as make_sqlite_engine
from feedstore.backends.sql.sqlite.engine import turn_on_write_ahead_log
from feedstore.backends.sql.sqlite.pinned import PinnedConnections
from feedstore.backends.sql.store import Store
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.shown import shown

_DRIVERS = {SQLITE: "pysqlite", POSTGRESQL: "psycopg"}


def open_store(url: str, options: dict[str, Any]) -> tuple[Store, str]:
    """Return the store at a URL, and the namespace to use in it. Nothing is connected yet."""
    address = parse_address(url)
    checked = read_options(address.dialect, address.query, options)
    make_store = _sqlite_store if address.dialect == SQLITE else _postgresql_store
    return make_store(address, checked), checked["namespace"]


def open_engine(engine: Engine, options: dict[str, Any]) -> tuple[Store, str]:
    """Return the store behind a ready engine, and the namespace to use in it."""
    if not isinstance(engine, Engine):
        raise InvalidTypeError(f"engine is what sqlalchemy.create_engine() returns, not {type(engine).__name__}")
    dialect = engine.dialect.name
    if _DRIVERS.get(dialect) != engine.dialect.driver:
        raise InvalidValueError(
            f"the engine is one for {dialect} through {engine.dialect.driver}; feedstore works with sqlite through "
            "pysqlite and with postgresql through psycopg"
        )
    refused = sorted(set(options) - set(ENGINE_OPTIONS))
    if refused:
        raise InvalidTypeError(
            f"with engine= the options are {', '.join(ENGINE_OPTIONS)}; {shown(refused[0])} is set where the engine "
            "is made"
        )
    checked = read_options(dialect, {}, options)
    database = _database(dialect, engine.url.render_as_string(hide_password=True))
    opener = Opener(engine, database, checked["schema"])
    return Store(engine, database, EngineConnections(opener, database)), checked["namespace"]


def _sqlite_store(address: Address, options: dict[str, Any]) -> Store:
    engine = make_sqlite_engine(address, options)
    database = _database(SQLITE, address.label)
    busy_timeout = options["busy_timeout"]

    def set_up(engine: Engine) -> None:
        turn_on_write_ahead_log(engine, busy_timeout)

    opener = Opener(engine, database, options["schema"], set_up)
    return Store(engine, database, PinnedConnections(opener, busy_timeout))


def _postgresql_store(address: Address, options: dict[str, Any]) -> Store:
    engine = make_postgresql_engine(address, options)
    database = _database(POSTGRESQL, address.label)
    opener = Opener(engine, database, options["schema"])
    connections = ConnectionPool(opener, database, options["pool_size"], options["pool_timeout"])
    return Store(engine, database, connections, _listener(options, database))


def _listener(options: dict[str, Any], database: Database) -> Opener | None:
    """Return what connects to ``listen_url``, if there is one."""
    url = options["listen_url"]
    if url is None:
        return None
    address = parse_address(url)
    if address.dialect != POSTGRESQL:
        raise InvalidValueError("the option listen_url is the URL of the PostgreSQL server behind the pooler")
    given = {**options, **read_options(POSTGRESQL, address.query, {}), "pooler": "detect"}
    return Opener(make_postgresql_engine(address, given), database.at(address.label), "ignore")


def _database(dialect: str, label: str) -> Database:
    if dialect == SQLITE:
        return SqliteDatabase(label)
    # Only here: the driver need not be installed for SQLite.
    from feedstore.backends.sql.postgresql.database import PostgresqlDatabase

    return PostgresqlDatabase(label)

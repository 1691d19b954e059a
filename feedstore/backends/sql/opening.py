"""The opening of a database by its URL or through a ready engine."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Engine

from feedstore.backends.sql.address import Address, parse_address
from feedstore.backends.sql.call_connections import EngineConnections
from feedstore.backends.sql.connection import Driver, Opener
from feedstore.backends.sql.database import Database
from feedstore.backends.sql.dialect import Dialect
from feedstore.backends.sql.options import ENGINE_OPTIONS, POSTGRESQL, SQLITE, read_options
from feedstore.backends.sql.pools import LifoPool, PinnedPool
from feedstore.backends.sql.sqlite.dialect import SqliteDialect
from feedstore.backends.sql.sqlite.driver import SqliteDriver
from feedstore.backends.sql.sqlite.engine import make_engine as make_sqlite_engine
from feedstore.backends.sql.sqlite.engine import turn_on_write_ahead_log
from feedstore.errors import InvalidTypeError, InvalidValueError, MissingDriverError
from feedstore.shown import shown

_DRIVERS = {SQLITE: "pysqlite", POSTGRESQL: "psycopg"}


class Opened(NamedTuple):
    """A database, its dialect, and the namespace to use in it."""

    database: Database
    dialect: Dialect
    namespace: str


def open_url(url: str, options: dict[str, Any]) -> Opened:
    """Return the database at a URL. It is not connected yet.

    Raises :class:`MissingDriverError` for PostgreSQL without psycopg 3.
    """
    address = parse_address(url)
    checked = read_options(address.dialect, address.query, options)
    open_address = _open_sqlite if address.dialect == SQLITE else _open_postgresql
    return open_address(address, checked)


def use_engine(engine: Engine, options: dict[str, Any]) -> Opened:
    """Return the database of an engine that was handed in. It is not connected yet."""
    if not isinstance(engine, Engine):
        raise InvalidTypeError(f"engine must be the result of sqlalchemy.create_engine(), not {type(engine).__name__}")
    name = engine.dialect.name
    if _DRIVERS.get(name) != engine.dialect.driver:
        raise InvalidValueError(
            f"the engine is one for {name} through {engine.dialect.driver}; feedstore works with sqlite through "
            "pysqlite and with postgresql through psycopg"
        )
    refused = sorted(set(options) - set(ENGINE_OPTIONS))
    if refused:
        raise InvalidTypeError(
            f"with engine= the options are {', '.join(ENGINE_OPTIONS)}; set {shown(refused[0])} where you make the "
            "engine"
        )
    checked = read_options(name, {}, options)
    label = engine.url.render_as_string(hide_password=True)
    driver: Driver = SqliteDriver(label) if name == SQLITE else _Postgresql().driver_class(label)
    dialect = _dialect(SqliteDialect if name == SQLITE else _Postgresql().dialect_class)
    connections = EngineConnections(Opener(engine, driver, checked["schema"]), driver)
    return Opened(Database(engine, driver, dialect.compiler, connections), dialect, checked["namespace"])


def _open_sqlite(address: Address, options: dict[str, Any]) -> Opened:
    engine = make_sqlite_engine(address, options)
    driver, dialect = SqliteDriver(address.label), _dialect(SqliteDialect)
    busy_timeout = options["busy_timeout"]

    def set_up(engine: Engine) -> None:
        turn_on_write_ahead_log(engine, busy_timeout)

    connections = PinnedPool(Opener(engine, driver, options["schema"], set_up), driver, busy_timeout)
    return Opened(Database(engine, driver, dialect.compiler, connections), dialect, options["namespace"])


def _open_postgresql(address: Address, options: dict[str, Any]) -> Opened:
    postgresql = _Postgresql()
    engine = postgresql.make_engine(address, options)
    driver, dialect = postgresql.driver_class(address.label), _dialect(postgresql.dialect_class)
    opener = Opener(engine, driver, options["schema"])
    connections = LifoPool(opener, driver, options["pool_size"], options["pool_timeout"])
    listener = _listener(postgresql, options, driver)
    return Opened(Database(engine, driver, dialect.compiler, connections, listener), dialect, options["namespace"])


@cache
def _dialect(kind: Callable[[], Dialect]) -> Dialect:
    """Return a dialect, which all backends of the process share: to compile its statements takes 50 ms."""
    return kind()


def _listener(postgresql: _Postgresql, options: dict[str, Any], driver: Driver) -> Opener | None:
    """Return the opener of connections to ``listen_url``; None without this option."""
    url = options["listen_url"]
    if url is None:
        return None
    address = parse_address(url)
    if address.dialect != POSTGRESQL:
        raise InvalidValueError(
            "listen_url must be the URL of the PostgreSQL server itself: postgresql://host/database"
        )
    given = {**options, **read_options(POSTGRESQL, address.query, {}), "pooler": "detect"}
    return Opener(postgresql.make_engine(address, given), driver.at(address.label), "ignore")


class _Postgresql:
    """The parts of PostgreSQL, imported when a PostgreSQL database is opened: SQLite needs no psycopg.

    Raises :class:`MissingDriverError` without psycopg 3.
    """

    def __init__(self) -> None:
        try:
            import psycopg  # noqa: F401 - only this import may mean that the driver is missing
        except ImportError as error:
            raise MissingDriverError(
                'PostgreSQL needs the driver psycopg 3: pip install "feedstore[postgresql]"'
            ) from error
        from feedstore.backends.sql.postgresql import client, dialect, driver

        self.make_engine: Any = client.make_engine
        self.driver_class: Any = driver.PostgresqlDriver
        self.dialect_class: Any = dialect.PostgresqlDialect

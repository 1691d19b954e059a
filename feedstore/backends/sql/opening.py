"""Making a store of a URL or of a ready engine."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from feedstore.backends.sql.address import Address, parse_address
from feedstore.backends.sql.opener import Opener
from feedstore.backends.sql.options import SQLITE, read_options
from feedstore.backends.sql.sqlite import engine as sqlite_engine
from feedstore.backends.sql.sqlite.database import SqliteDatabase
from feedstore.backends.sql.sqlite.pinned import PinnedConnections
from feedstore.backends.sql.store import Store


def open_store(url: str | None, engine: Engine | None, options: dict[str, Any]) -> tuple[Store, str]:
    """Return a store and the namespace to use in it. Nothing is connected yet."""
    assert url is not None
    address = parse_address(url)
    checked = read_options(address.dialect, address.query, options)
    namespace = checked.pop("namespace")
    assert address.dialect == SQLITE
    return _sqlite_store(address, checked), namespace


def _sqlite_store(address: Address, options: dict[str, Any]) -> Store:
    engine = sqlite_engine.make_engine(address, options)
    database = SqliteDatabase(engine.dialect, address.label)
    busy_timeout = options["busy_timeout"]

    def set_up(engine: Engine) -> None:
        sqlite_engine.turn_on_write_ahead_log(engine, busy_timeout)

    opener = Opener(engine, database, options["schema"], set_up)
    return Store(engine, database, PinnedConnections(opener, busy_timeout))

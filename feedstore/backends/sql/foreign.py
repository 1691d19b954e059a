"""Reading the tables of other applications."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, ColumnClause, Engine, NullPool, column, create_engine, inspect, make_url, select, table
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from feedstore.errors import InputError, InvalidValueError, MissingDriverError, StorageUnavailableError
from feedstore.shown import shown

_ROWS_A_READ = 1000
_PASSWORDS = ("password", "sslpassword")
_OWN_DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}


class ForeignTable:
    """A table of another application, in any database that SQLAlchemy opens. It is only read.

    Args:
        url: A URL of SQLAlchemy, or the path of a SQLite file. PostgreSQL is read by psycopg 3 unless the URL names a
            driver.
        name: The name of the table.
        columns: The columns to read; the first one is the primary key.

    Attributes:
        label: The absolute path of a SQLite file, or the URL without its passwords.

    Raises:
        InvalidValueError: The URL is malformed, or names no database that SQLAlchemy knows.
        MissingDriverError: The driver is not installed.
        InputError: There is no such file, or the table or a column is missing.
        StorageUnavailableError: The database does not answer.
    """

    def __init__(self, url: str | Path, name: str, columns: Sequence[str]) -> None:
        database = _url_of(url)
        self._engine = _engine_of(database)
        is_file = database.get_backend_name() == "sqlite"
        self.label = str(_path_of(database)) if is_file else _without_passwords(self._engine.url)
        try:
            inspector = inspect(self._engine)
            present = {each["name"] for each in inspector.get_columns(name)} if inspector.has_table(name) else None
        except SQLAlchemyError as error:
            raise self._failed(error) from error
        if present is None:
            raise InputError(f"there is no table {shown(name)}", self.label)
        missing = [each for each in columns if each not in present]
        if missing:
            raise InputError(f"the table {shown(name)} has no column {shown(missing[0])}", self.label)
        self._columns: list[ColumnClause[Any]] = [column(each) for each in columns]
        self._table = table(name, *self._columns)

    def rows(self, after: Any = None) -> Iterator[tuple[Any, ...]]:
        """Yield the rows in the order of the key, after a key, in reads of 1,000 rows."""
        key = self._columns[0]
        while True:
            query = select(*self._columns).select_from(self._table).order_by(key).limit(_ROWS_A_READ)
            try:
                with self._engine.connect() as connection:
                    rows = connection.execute(query if after is None else query.where(key > after)).fetchall()
            except SQLAlchemyError as error:
                raise self._failed(error) from error
            yield from map(tuple, rows)
            if len(rows) < _ROWS_A_READ:
                return
            after = rows[-1][0]

    def _failed(self, error: SQLAlchemyError) -> StorageUnavailableError:
        return StorageUnavailableError(f"{self.label} cannot be read: {getattr(error, 'orig', None) or error}")


def _url_of(given: str | Path) -> URL:
    if isinstance(given, Path):
        # A path may hold characters that are special in a URL.
        return URL.create("sqlite", database=str(given))
    try:
        return make_url(given)
    except (ArgumentError, ValueError) as error:
        # A port that is no number raises a ValueError.
        raise InvalidValueError(f"a URL of a database is expected, such as sqlite:///theia.db: {error}") from None


def _engine_of(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        path = _path_of(url)
        if not path.is_file():
            raise InputError("there is no such file", str(path))
        # SQLite makes a missing file, unless it is opened to read alone.
        database = f"file:{quote(os.fsencode(path))}"
        url = URL.create("sqlite", database=database, query={"mode": "ro", "uri": "true"})
    else:
        url = url.set(drivername=_OWN_DRIVERS.get(url.drivername, url.drivername))
    try:
        return create_engine(url, poolclass=NullPool)
    except NoSuchModuleError as error:
        raise InvalidValueError(f"SQLAlchemy cannot open {url.drivername}: {error}") from None
    except ImportError as error:
        raise MissingDriverError(f"the driver of {url.drivername} is not installed: {error}") from None


def _without_passwords(url: URL) -> str:
    return url.difference_update_query(_PASSWORDS).render_as_string(hide_password=True)


def _path_of(url: URL) -> Path:
    return Path(url.database or "").absolute()

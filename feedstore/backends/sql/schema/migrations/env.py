"""The environment of Alembic's own command: it finds the database, and ignores the tables of other applications."""

from __future__ import annotations

import os
from logging.config import fileConfig
from typing import Any

from alembic import context
from alembic.operations import Operations
from alembic.util import CommandError
from sqlalchemy import MetaData

from feedstore.backends.sql.address import parse_address
from feedstore.backends.sql.schema.administration import database_engine
from feedstore.backends.sql.schema.migration import CONTEXT_OPTIONS, migration_transaction
from feedstore.backends.sql.tables import PATH_INDEX_PREFIX, TABLE_PREFIX, WORDS_INDEX, WORDS_TABLE, metadata
from feedstore.errors import FeedstoreError, InvalidValueError

URL_VARIABLE = "FEEDSTORE_URL"


def database_url() -> str:
    """Return the database's URL from ``-x url=``, or else from FEEDSTORE_URL."""
    given = context.get_x_argument(as_dictionary=True).get("url") or os.environ.get(URL_VARIABLE)
    if not isinstance(given, str):
        raise InvalidValueError(f"name the database: alembic -x url=sqlite:///feeds.db …, or set {URL_VARIABLE}")
    return given


def tables_on(dialect: str) -> MetaData:
    """Return the tables in the form of a dialect: SQLite numbers its rows without an identity."""
    if dialect != "sqlite":
        return metadata
    copied = MetaData(naming_convention=metadata.naming_convention)
    for table in metadata.tables.values():
        for column in table.to_metadata(copied).columns:
            if column.identity is not None:
                column.identity = column.server_default = None
    return copied


def is_ours(name: str | None, kind: str, parents: Any) -> bool:
    """Return whether autogenerate compares a name that it found in the database.

    FTS5 makes tables of its own, statements beside the metadata make the GIN index, and applications create indexes on
    paths.
    """
    found = name or ""
    if kind == "index":
        return found != WORDS_INDEX and not found.startswith(PATH_INDEX_PREFIX)
    return kind != "table" or (found.startswith(TABLE_PREFIX) and not found.startswith(WORDS_TABLE))


def run_revisions(**where: Any) -> None:
    """Run the revisions that Alembic's command selects, and pass them their operations."""
    context.configure(
        include_name=is_ours,
        compare_type=True,
        compare_server_default=True,
        alembic_module_prefix="operations.",
        **CONTEXT_OPTIONS,
        **where,
    )
    with context.begin_transaction():
        context.run_migrations(operations=Operations(context.get_context()))


def main() -> None:
    """Run against the database, or print the statements with ``--sql``."""
    if context.config.config_file_name is not None:
        fileConfig(context.config.config_file_name, disable_existing_loggers=False)
    url = database_url()
    if context.is_offline_mode():
        run_revisions(url=parse_address(url).url, literal_binds=True)
        return
    with database_engine(url) as engine, migration_transaction(engine) as connection:
        run_revisions(connection=connection, target_metadata=tables_on(engine.dialect.name))


try:
    main()
except FeedstoreError as error:
    raise CommandError(str(error)) from error

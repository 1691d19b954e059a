"""The preparation of a database's schema when a backend opens."""

from __future__ import annotations

import logging

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from feedstore.backends.sql.schema.states import (
    BASE,
    HEAD,
    SELECT_REVISIONS,
    Schema,
    SchemaState,
    database_name,
    detect_schema,
    is_missing_file,
    missing_schema_error,
    refusal,
    refuse_unknown,
)
from feedstore.errors import InvalidValueError
from feedstore.shown import shown

MODES = ("migrate", "check", "ignore")
_logger = logging.getLogger("feedstore.backends.sql")


def prepare_schema(engine: Engine, mode: str | None = None) -> None:
    """Give the database the schema that this release needs. A backend calls this once, before its first connection.

    ============  ================================  ==================================  ===================
    ``mode``      an empty database                 an older schema                     a newer or foreign
    ============  ================================  ==================================  ===================
    ``None``      the tables are created            SQLite: migrated; a server:         refused
                                                    :class:`OutdatedSchemaError`
    "migrate"     the tables are created            migrated                            refused
    "check"       :class:`MissingSchemaError`       :class:`OutdatedSchemaError`        refused
    "ignore"      not checked                       not checked                         not checked
    ============  ================================  ==================================  ===================

    By default a server, which many processes share, is never migrated to another revision: ``feedstore db upgrade``
    does that. "check" writes nothing and creates no file. A migration is one transaction under a lock: if several
    processes open a database concurrently, one migrates it and the others wait. A current schema costs one query. The
    driver's errors are not translated here.

    Raises:
        InvalidValueError: If there is no such mode.
        NewerSchemaError: If a newer release made the schema.
        SchemaError: If another program made tables with feedstore's names.
    """
    check_mode(mode)
    if mode == "ignore":
        return
    if mode == "check" and is_missing_file(engine):
        raise missing_schema_error(engine)
    if _is_current(engine):
        return
    with engine.connect() as connection:
        found = detect_schema(connection)
    if _needs_migration(engine, found, mode):
        _migrate(engine, mode)


def check_mode(mode: str | None) -> str | None:
    """Return the value of the option ``schema``. Raise :class:`InvalidValueError` if there is no such mode."""
    if mode is not None and mode not in MODES:
        raise InvalidValueError(f"schema={shown(mode)} is not one of {', '.join(MODES)}, or None for the default")
    return mode


def _is_current(engine: Engine) -> bool:
    with engine.connect() as connection:
        try:
            revisions = connection.exec_driver_sql(SELECT_REVISIONS).scalars().all()
        except DBAPIError:
            # Most likely the table is missing. detect_schema() finds any other cause.
            return False
    return revisions == [HEAD]


def _needs_migration(engine: Engine, found: Schema, mode: str | None) -> bool:
    """Return whether to migrate. Raise :class:`SchemaError` if the mode does not allow the migration."""
    if found.state is SchemaState.CURRENT:
        return False
    refuse_unknown(engine, found)
    migrates_older = mode == "migrate" or (mode is None and engine.dialect.name == "sqlite")
    if mode == "check" or (found.state is SchemaState.OLDER and not migrates_older):
        raise refusal(engine, found)
    return True


def _migrate(engine: Engine, mode: str | None) -> None:
    # Loaded here: to import Alembic takes longer than to open a database, and a current schema never needs it.
    from feedstore.backends.sql.schema import migration

    with migration.migration_transaction(engine) as connection:
        found = detect_schema(connection)
        if _needs_migration(engine, found, mode):
            migration.run_upgrade(connection, HEAD)
            _logger.info("migrated %s from revision %s to %s", database_name(engine), found.revision or BASE, HEAD)

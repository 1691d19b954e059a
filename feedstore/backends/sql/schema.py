"""The state of a database's schema, and what opening a backend does about it."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.exc import DBAPIError

from feedstore.backends.sql.tables import metadata
from feedstore.errors import InvalidValueError, MissingSchemaError, NewerSchemaError, OutdatedSchemaError, SchemaError
from feedstore.shown import shown

VERSION_TABLE = "feedstore_alembic_version"
BASE = "base"
REVISIONS = ("0001", "0002", "0003", "0004")
HEAD = REVISIONS[-1]
MODES = ("migrate", "check", "ignore")

_SELECT_REVISIONS = f"SELECT version_num FROM {VERSION_TABLE}"
_logger = logging.getLogger("feedstore.backends.sql")


class SchemaState(StrEnum):
    """What is found in a database, compared with what this release needs."""

    EMPTY = "empty"
    """None of feedstore's tables. What other applications keep there does not matter."""
    CURRENT = "current"
    """What this release needs."""
    OLDER = "older"
    """A revision that this release can migrate."""
    NEWER = "newer"
    """A revision that this release does not know: a newer one wrote it."""
    FOREIGN = "foreign"
    """Tables of feedstore's names, and no revision: something else made them."""


@dataclass(frozen=True)
class Schema:
    """The state of a database's schema, and its revision where it has one."""

    state: SchemaState
    revision: str | None = None


def prepare_schema(engine: Engine, mode: str | None = None) -> None:
    """Make sure that the database holds the schema that this release needs; called once when a backend first opens.

    ============  ================================  ==================================  ===================
    ``mode``      an empty database                 an older schema                     a newer or foreign
    ============  ================================  ==================================  ===================
    ``None``      the tables are created            SQLite: migrated; a server:         refused
                                                    :class:`OutdatedSchemaError`
    "migrate"     the tables are created            migrated                            refused
    "check"       :class:`MissingSchemaError`       :class:`OutdatedSchemaError`        refused
    "ignore"      not looked at                     not looked at                       not looked at
    ============  ================================  ==================================  ===================

    The default spares a server, which many processes share, a migration that nobody asked for: ``feedstore db
    upgrade`` runs it. "check" writes nothing, a file included. Refused are a newer schema with
    :class:`NewerSchemaError` and a foreign one with :class:`SchemaError`. A migration is one transaction under a lock:
    of several processes that open a database at once, one migrates and the others wait.

    Costs one query when the schema is current. Raises :class:`InvalidValueError` for another mode; the driver's errors
    pass through.
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
    """Return the option ``schema``, or raise :class:`InvalidValueError` naming the modes there are."""
    if mode is not None and mode not in MODES:
        raise InvalidValueError(f"schema={shown(mode)} is not one of {', '.join(MODES)}, or None for the default")
    return mode


def detect_schema(connection: Connection) -> Schema:
    """Return what the database holds. Costs up to nine small queries, and writes nothing."""
    inspector = inspect(connection)
    # The tables before the revision: who commits all of them in the meantime is not taken for something else.
    foreign = any(inspector.has_table(name) for name in metadata.tables)
    revisions: Sequence[object] = ()
    if inspector.has_table(VERSION_TABLE):
        revisions = connection.exec_driver_sql(_SELECT_REVISIONS).scalars().all()
    if revisions:
        return _classify(revisions)
    return Schema(SchemaState.FOREIGN if foreign else SchemaState.EMPTY)


def database_name(engine: Engine) -> str:
    """Return the kind and name of the database, for messages: never the user, the host or a password."""
    if engine.dialect.name == "sqlite":
        return f"the SQLite database {shown(engine.url.database or ':memory:')}"
    return f"the PostgreSQL database {shown(engine.url.database or '')}"


def is_missing_file(engine: Engine) -> bool:
    """Return whether the database is a SQLite file that is not there; connecting would create it."""
    path = engine.url.database
    return engine.dialect.name == "sqlite" and bool(path) and not os.path.exists(str(path))


def missing_schema_error(engine: Engine) -> MissingSchemaError:
    """Return the error for a database that is not there, or empty, and must not be written to."""
    if is_missing_file(engine):
        return MissingSchemaError(
            f"{database_name(engine)} does not exist: check its path, or create it with "
            "`feedstore db upgrade --store URL`"
        )
    return MissingSchemaError(
        f"{database_name(engine)} holds no tables of feedstore: create them with `feedstore db upgrade --store URL`"
    )


def refuse_unknown(engine: Engine, found: Schema) -> None:
    """Raise if the schema is one that no release up to this one made."""
    if found.state in (SchemaState.NEWER, SchemaState.FOREIGN):
        raise _refusal(engine, found)


def _is_current(engine: Engine) -> bool:
    with engine.connect() as connection:
        try:
            revisions = connection.exec_driver_sql(_SELECT_REVISIONS).scalars().all()
        except DBAPIError:
            # There is no such table, most likely; whatever else is wrong, a look at the tables says what.
            return False
    return revisions == [HEAD]


def _classify(revisions: Sequence[object]) -> Schema:
    revision = ", ".join(revision if isinstance(revision, str) else shown(revision) for revision in revisions)
    if revision == HEAD:
        return Schema(SchemaState.CURRENT, revision)
    return Schema(SchemaState.OLDER if revision in REVISIONS else SchemaState.NEWER, revision)


def _needs_migration(engine: Engine, found: Schema, mode: str | None) -> bool:
    """Return whether to migrate; raise where the mode does not allow what it would take."""
    if found.state is SchemaState.CURRENT:
        return False
    refuse_unknown(engine, found)
    migrates_older = mode == "migrate" or (mode is None and engine.dialect.name == "sqlite")
    if mode == "check" or (found.state is SchemaState.OLDER and not migrates_older):
        raise _refusal(engine, found)
    return True


def _migrate(engine: Engine, mode: str | None) -> None:
    # Importing Alembic takes longer than opening a database; who finds the schema current never pays for it.
    from feedstore.backends.sql.migration import migration_transaction, run_upgrade

    with migration_transaction(engine) as connection:
        found = detect_schema(connection)
        if _needs_migration(engine, found, mode):
            run_upgrade(connection, HEAD)
            _logger.info("migrated %s from revision %s to %s", database_name(engine), found.revision or BASE, HEAD)


def _refusal(engine: Engine, found: Schema) -> SchemaError:
    name = database_name(engine)
    if found.state is SchemaState.EMPTY:
        return missing_schema_error(engine)
    if found.state is SchemaState.OLDER:
        return OutdatedSchemaError(
            f"{name} is at revision {found.revision} and this release needs {HEAD}: "
            "migrate it with `feedstore db upgrade --store URL`"
        )
    if found.state is SchemaState.NEWER:
        return NewerSchemaError(
            f"{name} is at revision {found.revision}, which this release does not know (it needs {HEAD}): "
            "a newer feedstore wrote it; upgrade feedstore here, or run `feedstore db downgrade` with the newer one"
        )
    return SchemaError(
        f"{name} has tables of feedstore's names ({', '.join(sorted(metadata.tables))}) but no revision in "
        f"{VERSION_TABLE}: something else made them; use another database, or move them away"
    )

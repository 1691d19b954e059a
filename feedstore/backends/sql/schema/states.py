"""The states of a database's schema, and the errors for those that a backend cannot use."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, Engine, inspect

from feedstore.backends.sql.tables import metadata
from feedstore.errors import MissingSchemaError, NewerSchemaError, OutdatedSchemaError, SchemaError
from feedstore.shown import shown

VERSION_TABLE = "feedstore_alembic_version"
BASE = "base"
REVISIONS = ("0001", "0002", "0003", "0004", "0005")
HEAD = REVISIONS[-1]

SELECT_REVISIONS = f"SELECT version_num FROM {VERSION_TABLE}"


class SchemaState(StrEnum):
    """The state of a database's schema, compared with the schema that this release needs."""

    EMPTY = "empty"
    """The database has none of feedstore's tables. Tables of other applications do not matter."""
    CURRENT = "current"
    """The database has the schema that this release needs."""
    OLDER = "older"
    """The database is at an older revision, which this release can migrate."""
    NEWER = "newer"
    """The database is at a revision of a newer release, which this release does not know."""
    FOREIGN = "foreign"
    """The database has tables with feedstore's names and no revision: another program made them."""


@dataclass(frozen=True)
class Schema:
    """The state of a database's schema, and its revision if it has one."""

    state: SchemaState
    revision: str | None = None


def detect_schema(connection: Connection) -> Schema:
    """Return the state of the database's schema. It costs up to nine small queries, and writes nothing."""
    inspector = inspect(connection)
    # The tables before the revision: a process that commits all of them in between is not taken for another program.
    foreign = any(inspector.has_table(name) for name in metadata.tables)
    revisions: Sequence[object] = ()
    if inspector.has_table(VERSION_TABLE):
        revisions = connection.exec_driver_sql(SELECT_REVISIONS).scalars().all()
    if revisions:
        return _classify(revisions)
    return Schema(SchemaState.FOREIGN if foreign else SchemaState.EMPTY)


def database_name(engine: Engine) -> str:
    """Return the kind and name of the database for messages, without the user, the host and the password."""
    if engine.dialect.name == "sqlite":
        return f"the SQLite database {shown(engine.url.database or ':memory:')}"
    return f"the PostgreSQL database {shown(engine.url.database or '')}"


def is_missing_file(engine: Engine) -> bool:
    """Return whether the database is a SQLite file that does not exist. To connect would create it."""
    path = engine.url.database
    return engine.dialect.name == "sqlite" and bool(path) and not os.path.exists(str(path))


def missing_schema_error(engine: Engine) -> MissingSchemaError:
    """Return the error for a database that is missing or empty and must not be written to."""
    if is_missing_file(engine):
        return MissingSchemaError(
            f"{database_name(engine)} does not exist: check its path, or create it with "
            "`feedstore db upgrade --store URL`"
        )
    return MissingSchemaError(
        f"{database_name(engine)} holds no tables of feedstore: create them with `feedstore db upgrade --store URL`"
    )


def refuse_unknown(engine: Engine, found: Schema) -> None:
    """Raise :class:`SchemaError` if no release up to this one made the schema."""
    if found.state in (SchemaState.NEWER, SchemaState.FOREIGN):
        raise refusal(engine, found)


def _classify(revisions: Sequence[object]) -> Schema:
    revision = ", ".join(revision if isinstance(revision, str) else shown(revision) for revision in revisions)
    if revision == HEAD:
        return Schema(SchemaState.CURRENT, revision)
    return Schema(SchemaState.OLDER if revision in REVISIONS else SchemaState.NEWER, revision)


def refusal(engine: Engine, found: Schema) -> SchemaError:
    """Return the error for a schema that must not be used as it is."""
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
        f"{VERSION_TABLE}: another program made them; use another database, or move them away"
    )

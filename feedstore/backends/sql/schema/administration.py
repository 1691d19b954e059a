"""The administration of a database's schema: its state, upgrades, downgrades, and the backup before a migration."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import DBAPIError

from feedstore.backends.sql.opening import open_url
from feedstore.backends.sql.schema.backup import back_up
from feedstore.backends.sql.schema.migration import migration_transaction, revision_titles, run_downgrade, run_upgrade
from feedstore.backends.sql.schema.states import (
    BASE,
    HEAD,
    REVISIONS,
    Schema,
    SchemaState,
    detect_schema,
    is_missing_file,
    missing_schema_error,
    refuse_unknown,
)
from feedstore.backends.sql.stored import read_text
from feedstore.backends.sql.tables import timeline_table
from feedstore.errors import InvalidValueError
from feedstore.shown import shown

__all__ = [
    "HEAD",
    "Change",
    "current_schema",
    "database_engine",
    "downgrade_database",
    "revision_titles",
    "upgrade_database",
]

_HISTORY = (BASE, *REVISIONS)
_FLOORS = "0002"
"""The revision that added the floors."""
_NAMED = 5
_logger = logging.getLogger("feedstore.backends.sql")
_STEPS = re.compile(r"[+-][0-9]{1,9}")


@dataclass(frozen=True)
class Change:
    """The result of a migration: the revision before and after, and the path of the backup, if any."""

    before: str
    after: str
    backup: str | None = None


def current_schema(url: str) -> Schema:
    """Return the state of the schema at ``url``. It writes nothing and creates no file."""
    with database_engine(url) as engine:
        if is_missing_file(engine):
            return Schema(SchemaState.EMPTY)
        with engine.connect() as connection:
            return detect_schema(connection)


def upgrade_database(url: str, revision: str = "head", backup: bool = False) -> Change:
    """Migrate the database at ``url`` up to ``revision``: an id, ``"head"``, or steps such as ``"+1"``.

    An empty database gets its tables. If the database is at ``revision`` already, nothing is done. The migration is one
    transaction, under the lock of :func:`~feedstore.backends.sql.schema.prepare_schema`.

    Args:
        url: The database.
        revision: The revision at which to stop.
        backup: Copy the data first, unless the database is empty or nothing is done. A SQLite file is copied to
            ``FILE.backup-TIME`` beside it. A PostgreSQL database is copied by pg_dump to ``DATABASE.backup-TIME`` in
            the current folder. An existing file is never overwritten.

    Raises:
        InvalidValueError: If there is no such revision, or it is older than the database's.
        NewerSchemaError: If a newer release made the schema.
        SchemaError: If another program made tables with feedstore's names.
        StorageError: If the backup fails. Nothing is changed then.
    """
    with database_engine(url) as engine, migration_transaction(engine) as connection:
        before, after = _plan(engine, connection, revision)
        if _HISTORY.index(after) < _HISTORY.index(before):
            raise InvalidValueError(f"the database is at {before}, above {after}: use `feedstore db downgrade {after}`")
        return _change(connection, run_upgrade, before, after, backup)


def downgrade_database(
    url: str, revision: str, backup: str | None = None, warn: Callable[[str], object] | None = None
) -> Change:
    """Migrate the database at ``url`` down to ``revision``: an id, ``"base"``, or steps such as ``"-1"``.

    A downgrade below 0002 loses the floors of timelines. Before the migration ``warn`` is called with a message that
    names these timelines; without ``warn`` the message is logged. A downgrade to ``"base"`` drops the tables, and is
    refused while they hold data.

    Args:
        url: The database.
        revision: The revision at which to stop.
        backup: The path of a new file for the backup that :func:`upgrade_database` describes. It is not written if
            nothing is done.
        warn: Receives the warning.

    Raises:
        MissingSchemaError: For an empty database. The other errors are those of :func:`upgrade_database`.
    """
    with database_engine(url) as engine:
        if is_missing_file(engine):
            raise missing_schema_error(engine)
        with migration_transaction(engine) as connection:
            before, after = _plan(engine, connection, revision)
            if before == BASE:
                raise missing_schema_error(engine)
            if _HISTORY.index(after) > _HISTORY.index(before):
                raise InvalidValueError(f"the database is at {before}, below {after}: use `feedstore db upgrade`")
            copy = back_up(connection, backup) if backup is not None and before != after else None
            _warn_of_floors(connection, before, after, warn or _logger.warning)
            change = _change(connection, run_downgrade, before, after, backup=False)
            return replace(change, backup=copy)


@contextmanager
def database_engine(url: str) -> Iterator[Engine]:
    """Give the engine of the backend that the URL describes. The driver's errors are translated."""
    database = open_url(url, {}).database
    try:
        yield database.engine
    except (DBAPIError, database.driver.error) as error:
        # SQLAlchemy's exception repeats the statement and adds nothing that the driver's does not say.
        cause = getattr(error, "orig", None) or error
        raise database.driver.translated(cause) from cause
    finally:
        database.close()


def _plan(engine: Engine, connection: Connection, revision: str) -> tuple[str, str]:
    """Return the database's revision and the requested revision."""
    found = detect_schema(connection)
    refuse_unknown(engine, found)
    before = found.revision or BASE
    return before, _resolve(revision, before)


def _resolve(revision: str, before: str) -> str:
    if revision == "head":
        return HEAD
    if revision in _HISTORY:
        return revision
    if _STEPS.fullmatch(revision):
        index = _HISTORY.index(before) + int(revision)
        if 0 <= index < len(_HISTORY):
            return _HISTORY[index]
        raise InvalidValueError(f"the database is at {before}; {revision} leads beyond {', '.join(_HISTORY)}")
    raise InvalidValueError(
        f"there is no revision {shown(revision)}; there are {', '.join(_HISTORY)}, head, and steps: +1 for a newer "
        "one, -1 for an older one"
    )


def _warn_of_floors(connection: Connection, before: str, after: str, warn: Callable[[str], object]) -> None:
    """Warn of the timelines that lose their floors in a downgrade from ``before`` to ``after``."""
    if not _HISTORY.index(after) < _HISTORY.index(_FLOORS) <= _HISTORY.index(before):
        return
    trimmed = timeline_table.c.newest_dropped.is_not(None)
    count = connection.execute(select(func.count()).select_from(timeline_table).where(trimmed)).scalar_one()
    if not count:
        return
    keys = connection.execute(
        select(timeline_table.c.key).where(trimmed).order_by(timeline_table.c.id).limit(_NAMED)
    ).scalars()
    names = ", ".join(read_text(key, "the key of a timeline") for key in keys)
    more = f" and {count - _NAMED} more" if count > _NAMED else ""
    forgotten = "the floor of 1 timeline is" if count == 1 else f"the floors of {count:,} timelines are"
    warn(
        f"revision {after} keeps no floors: {forgotten} forgotten ({names}{more}), and every page will be complete "
        "though older entries were trimmed"
    )


def _change(
    connection: Connection,
    run: Callable[[Connection, str], None],
    before: str,
    after: str,
    backup: bool,
) -> Change:
    if before == after:
        return Change(before, after)
    copy = back_up(connection) if backup and before != BASE else None
    run(connection, after)
    return Change(before, after, copy)

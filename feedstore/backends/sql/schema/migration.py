"""The runner of revisions: a migration is one transaction, under a lock that other processes wait for.

Alembic's ``op`` and ``context`` are global to a process, so they are not used here. Each revision gets its operations
as an argument: several threads may open databases concurrently, and an application may open one in its own migration.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, Engine

from feedstore.backends.sql.schema.migrations.versions import (
    revision_0001_tables,
    revision_0002_timeline_length,
    revision_0003_queues,
    revision_0004_fillfactor,
    revision_0005_documents,
)
from feedstore.backends.sql.schema.states import BASE, VERSION_TABLE

_alembic_logger = logging.getLogger("alembic.runtime.migration")
MIGRATIONS = Path(__file__).parent / "migrations"
LOCK_SECONDS = 60
# A server that sends nothing for so long does not answer any more.
_STATEMENT_SECONDS = 3600.0
# Both databases can undo the creation of a table. By default Alembic assumes that SQLite cannot.
CONTEXT_OPTIONS: Mapping[str, Any] = {"version_table": VERSION_TABLE, "transactional_ddl": True}
# Any number that no other application of the database uses: these are the letters "feedstor".
_ADVISORY_LOCK = int.from_bytes(b"feedstor", "big")


_MODULES = (
    revision_0001_tables,
    revision_0002_timeline_length,
    revision_0003_queues,
    revision_0004_fillfactor,
    revision_0005_documents,
)


class _Revisions(ScriptDirectory):
    """The shipped revisions, imported as modules: a zip archive and a frozen program have no folder of scripts."""

    def __init__(self) -> None:
        # Alembic wants a folder that exists, and reads nothing in it here.
        super().__init__(os.curdir)

    def _load_revisions(self) -> Iterator[Script]:
        for module in _MODULES:
            yield Script(module, module.revision, str(module.__file__))


def run_upgrade(connection: Connection, target: str) -> None:
    """Run the revisions up to ``target``. The caller commits."""
    scripts = _Revisions()
    _run(connection, lambda current: scripts._upgrade_revs(target, current))


def run_downgrade(connection: Connection, target: str) -> None:
    """Undo the revisions above ``target``, or all for ``"base"``. The caller commits."""
    scripts = _Revisions()
    _run(connection, lambda current: scripts._downgrade_revs(target, current))


def revision_titles() -> dict[str, str]:
    """Return the title of each shipped revision, oldest first."""
    scripts = _Revisions()
    return {script.revision: script.doc for script in reversed(list(scripts.walk_revisions(BASE, "heads")))}


@contextmanager
def migration_transaction(engine: Engine) -> Iterator[Connection]:
    """Give a connection in one transaction that holds the lock of all migrations of this database.

    The transaction is committed at the end, or rolled back with all created tables if the block raises. The wait for
    the lock ends after the engine's busy timeout on SQLite, and after :data:`LOCK_SECONDS` on a server.
    """
    begin = _sqlite_transaction if engine.dialect.name == "sqlite" else _postgresql_transaction
    with engine.connect() as connection, begin(connection):
        yield connection


def _run(connection: Connection, steps: Callable[[Any], Any]) -> None:
    with _quiet_alembic():
        context = MigrationContext.configure(
            connection, opts={**CONTEXT_OPTIONS, "fn": lambda current, context: steps(current)}
        )
        context.run_migrations(operations=Operations(context))


@contextmanager
def _quiet_alembic() -> Iterator[None]:
    """Drop Alembic's log records of this thread's migration below a warning.

    Otherwise an application that logs at INFO would get Alembic's records when it opens a backend. The SQL backend's
    own logger reports the migration. Alembic's records of other threads are kept.
    """
    thread = threading.get_ident()

    def is_shown(record: logging.LogRecord) -> bool:
        return record.thread != thread or record.levelno >= logging.WARNING

    _alembic_logger.addFilter(is_shown)
    try:
        yield
    finally:
        _alembic_logger.removeFilter(is_shown)


@contextmanager
def _sqlite_transaction(connection: Connection) -> Iterator[None]:
    # In its default mode the driver commits at times of its own choice; without a mode it leaves transactions to us.
    with _driver_setting(connection, "isolation_level", None) as driver, connection.begin():
        if driver.in_transaction:
            connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield


@contextmanager
def _postgresql_transaction(connection: Connection) -> Iterator[None]:
    patient = _driver_setting(connection, "answer_seconds", _STATEMENT_SECONDS)
    with patient, _driver_setting(connection, "autocommit", False), connection.begin():
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
        # Counting the entries of a large database takes longer than any statement of the storages may.
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
        yield


@contextmanager
def _driver_setting(connection: Connection, name: str, value: object) -> Iterator[Any]:
    """Give the driver's own connection, with an attribute changed until the end."""
    driver: Any = connection.connection.driver_connection
    before = getattr(driver, name, None)
    setattr(driver, name, value)
    try:
        yield driver
    finally:
        if not getattr(driver, "closed", False):
            setattr(driver, name, before)

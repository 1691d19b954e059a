"""Running the revisions: all of a migration in one transaction, under a lock that keeps other processes out.

Alembic's ``op`` and ``context`` are global to a process. They are not used here: the revisions are handed their
operations, so several threads may open databases at once, and an application may open one in a migration of its own.
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
)
from feedstore.backends.sql.schema.states import BASE, VERSION_TABLE

_alembic_logger = logging.getLogger("alembic.runtime.migration")
MIGRATIONS = Path(__file__).parent / "migrations"
LOCK_SECONDS = 60
# A server that says nothing for so long does not answer any more.
_STATEMENT_SECONDS = 3600.0
# Both databases can undo the creation of a table; of SQLite Alembic does not expect it.
CONTEXT_OPTIONS: Mapping[str, Any] = {"version_table": VERSION_TABLE, "transactional_ddl": True}
# Any number will do that no other application of the database takes: these are the letters "feedstor".
_ADVISORY_LOCK = int.from_bytes(b"feedstor", "big")


_MODULES = (
    revision_0001_tables,
    revision_0002_timeline_length,
    revision_0003_queues,
    revision_0004_fillfactor,
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
    """Run the revisions up to ``target``. Costs what they cost; nothing is committed here."""
    scripts = _Revisions()
    _run(connection, lambda current: scripts._upgrade_revs(target, current))


def run_downgrade(connection: Connection, target: str) -> None:
    """Undo the revisions above ``target``, or all for ``"base"``. Costs what they cost; nothing is committed here."""
    scripts = _Revisions()
    _run(connection, lambda current: scripts._downgrade_revs(target, current))


def revision_titles() -> dict[str, str]:
    """Return each shipped revision and what it does in one sentence, oldest first."""
    scripts = _Revisions()
    return {script.revision: script.doc for script in reversed(list(scripts.walk_revisions(BASE, "heads")))}


@contextmanager
def migration_transaction(engine: Engine) -> Iterator[Connection]:
    """Give a connection in one transaction that holds the lock of all migrations of this database.

    It is committed at the end, or rolled back with everything that was created. The lock is waited for as long as the
    engine's busy timeout says on SQLite, and for :data:`LOCK_SECONDS` on a server.
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
    """Drop what Alembic logs of this thread's migration below a warning; the logger of the SQL backend names it.

    An application that logs at INFO would otherwise read of Alembic when it opens a store. Its own migrations, in other
    threads, are logged as before.
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
    # In its own mode the driver commits whenever it likes; without one it leaves every transaction to us.
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

"""SQLite as a database of the SQL backend."""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.database import Database
from feedstore.backends.sql.sqlite.activities import SqliteActivityRows
from feedstore.backends.sql.sqlite.deliveries import SqliteDeliveryRows
from feedstore.backends.sql.sqlite.errors import translate
from feedstore.backends.sql.sqlite.messages import SqliteMessageRows
from feedstore.backends.sql.sqlite.rows import NamespaceGoneError
from feedstore.backends.sql.sqlite.source import SqliteSource
from feedstore.backends.sql.sqlite.timelines import SqliteTimelineRows
from feedstore.backends.sql.statements import Compiler
from feedstore.errors import InvalidValueError
from feedstore.storage.notify.source import TopicSource

if TYPE_CHECKING:
    from feedstore.backends.sql.backend import SqlBackend


class SqliteDatabase(Database):
    """A SQLite file. Writers begin IMMEDIATE, so that they wait for each other at the start and nowhere else."""

    insert = staticmethod(insert)
    in_autocommit = False
    begin_read = "BEGIN"
    begin_write = "BEGIN IMMEDIATE"
    driver_error = sqlite3.Error

    def __init__(self, label: str) -> None:
        super().__init__(Compiler(SQLiteDialect_pysqlite()), label)
        self.activity_rows = SqliteActivityRows(self.compiler)
        self.timeline_rows = SqliteTimelineRows(self.compiler)
        self.delivery_rows = SqliteDeliveryRows(self.compiler, self.timeline_rows)
        self.message_rows = SqliteMessageRows(self.compiler)

    def make_source(self, backend: SqlBackend) -> TopicSource:
        """Nothing is pushed: who commits is noticed."""
        return SqliteSource(backend)

    def take(self, connection: Connection) -> None:
        """Nothing to change, for transactions are begun by hand; only a driver that begins them itself is refused."""
        if getattr(connection.raw, "autocommit", None) is False:
            raise InvalidValueError("the engine opens its SQLite connections with autocommit=False; leave that out")

    def leave(self, connection: Connection) -> bool:
        """Nothing was changed."""
        return True

    def is_stale(self, raw: Any) -> bool:
        """Never: there is no server to close it."""
        return False

    def guard(self, connection: Connection) -> AbstractContextManager[Any]:
        """The driver's connection, whose own context manager rolls back in C: no signal handler runs before it has."""
        guard: AbstractContextManager[Any] = connection.raw
        return guard

    def roll_back(self, connection: Connection) -> None:
        """A full disk or a failed write has ended the transaction already; then there is nothing to do."""
        if connection.raw is not None and connection.raw.in_transaction:
            connection.execute("ROLLBACK")

    def translated(self, error: BaseException) -> Exception:
        """Translate by SQLite's result code."""
        return translate(error, self.label)

    def may_retry(self, error: Exception) -> bool:
        """Never: SQLite undoes no transaction that has begun for another's sake."""
        return False

    def lacks_namespace(self, error: Exception) -> bool:
        """Where the id is looked up first, and where the statement inserts it."""
        is_null = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_CONSTRAINT_NOTNULL
        return isinstance(error, NamespaceGoneError) or (is_null and "namespace_id" in str(error))

    def is_lost(self, error: Exception) -> bool:
        """Never: there is no server to lose."""
        return False

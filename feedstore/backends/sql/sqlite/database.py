"""SQLite as a database of the SQL backend."""

from __future__ import annotations

import sqlite3

from sqlalchemy import Dialect
from sqlalchemy.dialects.sqlite import insert

from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.database import Database
from feedstore.backends.sql.sqlite.activities import SqliteActivityRows
from feedstore.backends.sql.sqlite.errors import translate
from feedstore.backends.sql.sqlite.timelines import SqliteTimelineRows


class SqliteDatabase(Database):
    """A SQLite file. Writers begin IMMEDIATE, so that they wait for each other at the start and nowhere else."""

    insert = staticmethod(insert)
    begin_read = "BEGIN"
    begin_write = "BEGIN IMMEDIATE"
    driver_error = sqlite3.Error

    def __init__(self, dialect: Dialect, label: str) -> None:
        super().__init__(dialect, label)
        self.activity_rows = SqliteActivityRows(self.compiler)
        self.timeline_rows = SqliteTimelineRows(self.compiler)

    def roll_back(self, connection: Connection) -> None:
        """A full disk or a failed write has ended the transaction already; then there is nothing to do."""
        if connection.raw is not None and connection.raw.in_transaction:
            connection.execute("ROLLBACK")

    def translated(self, error: BaseException) -> Exception:
        """By the text of SQLite's message: its codes are not visible before Python 3.11."""
        return translate(error, self.label)

    def may_retry(self, error: Exception) -> bool:
        """Never: SQLite undoes no transaction that has begun for another's sake."""
        return False

    def is_lost(self, error: Exception) -> bool:
        """Never: there is no server to lose."""
        return False

"""The dialect of SQLite: its statements, and the polling of the file for changes."""

from __future__ import annotations

from sqlalchemy import func
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from feedstore.backends.sql.compiler import Compiler
from feedstore.backends.sql.database import Database
from feedstore.backends.sql.dialect import Dialect, StatesReader
from feedstore.backends.sql.sqlite.activities import SqliteActivityRows
from feedstore.backends.sql.sqlite.deliveries import SqliteDeliveryWriter
from feedstore.backends.sql.sqlite.documents import SqliteDocuments
from feedstore.backends.sql.sqlite.messages import SqliteMessageRows
from feedstore.backends.sql.sqlite.source import SqliteSource
from feedstore.backends.sql.sqlite.timelines import SqliteTimelineWriter
from feedstore.storage.notify.source import TopicSource


class SqliteDialect(Dialect):
    """The dialect of SQLite."""

    flush_setting = "PRAGMA synchronous"
    flush_advice = "SQLite has synchronous=normal; pass synchronous=full, or a power cut may lose the last writes"

    def __init__(self) -> None:
        super().__init__(Compiler(SQLiteDialect_pysqlite(), insert, func.group_concat))
        timelines = SqliteTimelineWriter(self.compiler, self.statements.timelines)
        self.activities = SqliteActivityRows(self.compiler)
        self.timelines = timelines
        self.deliveries = SqliteDeliveryWriter(self.compiler, timelines)
        self.messages = SqliteMessageRows(self.compiler)
        self.documents = SqliteDocuments()

    def make_source(self, database: Database, read_states: StatesReader) -> TopicSource:
        """Return a source that polls the file: SQLite sends no notifications."""
        return SqliteSource(database, read_states)

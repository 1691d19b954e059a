"""The dialect of PostgreSQL: its statements, whose parameters and results are binary, and its notifications."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.sql.expression import ClauseElement

from feedstore.backends.sql.compiler import Compiler
from feedstore.backends.sql.database import Database
from feedstore.backends.sql.dialect import Dialect, StatesReader
from feedstore.backends.sql.postgresql.activities import PostgresqlActivityRows
from feedstore.backends.sql.postgresql.deliveries import PostgresqlDeliveryWriter
from feedstore.backends.sql.postgresql.documents import PostgresqlDocuments
from feedstore.backends.sql.postgresql.messages import PostgresqlMessageRows
from feedstore.backends.sql.postgresql.source import NOTIFY, PostgresqlSource, notification
from feedstore.backends.sql.postgresql.timelines import PostgresqlTimelineWriter
from feedstore.storage.notify.source import TopicSource


class PostgresqlDialect(Dialect):
    """The dialect of PostgreSQL."""

    pushes = True
    flush_setting = "SHOW synchronous_commit"
    flush_advice = "PostgreSQL has synchronous_commit=off; set it to on, or a crash may lose the last writes"

    def __init__(self) -> None:
        dialect: Any = PGDialect_psycopg(paramstyle="format")  # type: ignore[no-untyped-call]
        super().__init__(_BinaryCompiler(dialect, insert, func.string_agg))
        self.activities = PostgresqlActivityRows()
        self.timelines = PostgresqlTimelineWriter(self.compiler)
        self.deliveries = PostgresqlDeliveryWriter(self.timelines)
        self.messages = PostgresqlMessageRows()
        self.documents = PostgresqlDocuments()

    def make_source(self, database: Database, read_states: StatesReader) -> TopicSource:
        """Return a source that listens on a connection of its own."""
        return PostgresqlSource(database, read_states)

    def notify(self, database: Database, namespace: str, digests: Sequence[bytes]) -> None:
        """Publish changes with one statement."""
        database.fetch(NOTIFY, notification(namespace, digests))


class _BinaryCompiler(Compiler):
    """A compiler of placeholders for binary parameters.

    psycopg sends arrays as text otherwise, which takes three times as long for 500 activities.
    """

    def text(self, statement: ClauseElement, *parameters: str) -> str:
        """Return the text of a statement, with ``%b`` for each parameter."""
        return super().text(statement, *parameters).replace("%s", "%b")

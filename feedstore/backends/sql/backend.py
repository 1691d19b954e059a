"""The SQL backend."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from sqlalchemy import Engine

from feedstore.backends.sql.activity import SqlActivityStorage
from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.database import Database
from feedstore.backends.sql.dialect import Dialect
from feedstore.backends.sql.kv import SqlKvStorage
from feedstore.backends.sql.opening import open_url, use_engine
from feedstore.backends.sql.queue import SqlQueueStorage
from feedstore.backends.sql.shared_statements import Statements
from feedstore.backends.sql.timeline import SqlTimelineStorage
from feedstore.backends.store_backend import StoreBackend
from feedstore.errors import InvalidTypeError
from feedstore.metrics import Metrics
from feedstore.storage import Abilities, Backend
from feedstore.storage.batch import Operation
from feedstore.storage.notify.registry import Topic
from feedstore.storage.notify.source import TopicSource
from feedstore.storage.transaction import Pending, Transaction

_Result = TypeVar("_Result")


class SqlTransaction(Transaction):
    """The transaction of a batch, on the connection that it holds."""

    __slots__ = ("connection",)

    def __init__(self, connection: Connection) -> None:
        self.connection = connection


class SqlBackend(StoreBackend[Database]):
    """A store in a SQLite file or a PostgreSQL database (it needs 12, and is tested with 15).

    ``SqlBackend(url)`` takes ``sqlite:///relative.db``, ``sqlite:////absolute.db`` and
    ``postgresql://user:password@host:port/database`` (``postgres://`` and ``postgresql+psycopg://`` are the same;
    the driver is always psycopg 3). Options go by keyword or in the URL's query; all of them, with their finite
    defaults, are in :data:`feedstore.backends.sql.options.OPTIONS`. ``SqlBackend(engine=engine)`` takes a SQLAlchemy
    engine instead, for SQLite or for PostgreSQL through psycopg, and then only ``namespace``, ``schema`` and
    ``metrics``; it closes nothing of the engine's.

    Every call that writes is one transaction, and so is every batch, atomic or not: all of it happens or none, and
    nobody sees a part. Counts and lengths are exact, whoever else writes at the same time.

    On SQLite each thread keeps a connection of its own. Readers and the one writer do not wait for each other; writers
    wait up to ``busy_timeout``, then :class:`StorageTimeoutError` is raised. On PostgreSQL each call takes a
    connection from a pool; what a call costs in round trips its docstring says, and the first and last of a
    transaction come on top. Deadlocks and failed serializations are run again. A read whose connection turns out to be
    lost is repeated once; a commit whose answer was lost is not, and raises :class:`StorageUnavailableError`: it may
    have happened.

    Connections are opened at first use, when the schema is created, checked or migrated too. On PostgreSQL a forked
    child leaves the parent's connections alone and opens its own, however it was forked. On SQLite all are closed
    before a fork through Python (:mod:`multiprocessing`, Celery, gunicorn) and opened again after it; a child that was
    forked without Python's hooks while one was open raises :class:`ForkedClientError`, and so does every child for an
    engine that was handed in.

    On PostgreSQL a statement that is not answered within ``statement_timeout`` and a little more raises
    :class:`StorageTimeoutError`, and a pooler in front of the server is detected.

    Raises :class:`InvalidTypeError` for an unknown option, :class:`InvalidValueError` for a URL, an option or an engine
    that cannot be used, and :class:`MissingDriverError` without psycopg; no message holds a password.
    """

    abilities = Abilities()
    activity_storage_class = SqlActivityStorage
    timeline_storage_class = SqlTimelineStorage
    kv_storage_class = SqlKvStorage
    queue_storage_class = SqlQueueStorage
    options_to_read: ClassVar[Mapping[str, Any]] = {"schema": "check"}

    def __init__(
        self, url: str | None = None, *, engine: Engine | None = None, metrics: Metrics | None = None, **options: Any
    ) -> None:
        if url is not None and engine is None:
            opened = open_url(url, options)
        elif engine is not None and url is None:
            opened = use_engine(engine, options)
        else:
            raise InvalidTypeError("pass a URL or engine=, one of the two")
        super().__init__(opened.database, opened.namespace, metrics)
        self.dialect: Dialect = opened.dialect
        self.statements: Statements = opened.dialect.statements

    def written_namespace(self) -> str | None:
        """Return the namespace's name, None while nothing was ever written to it."""
        return self.store.namespaces.find(self.namespace)

    def namespace_to_write(self) -> str:
        """Return the namespace's name, whose row is made now if need be."""
        return self.store.namespaces.find_or_create(self.namespace)

    def shares_store_with(self, other: Backend) -> bool:
        """Return whether ``other`` lies in the same database, through the same connections."""
        return other._store_identity() is self._store

    def make_source(self) -> TopicSource:
        """PostgreSQL sends notifications; a SQLite file is polled."""
        return self.dialect.make_source(self.store, self.newest_ids_in)

    def publish_topics(self, topics: Sequence[Topic]) -> None:
        """One statement on PostgreSQL, none on SQLite."""
        if self.dialect.pushes:
            self.dialect.notify(self.store, self.namespace, [topic.digest for topic in topics])
        else:
            super().publish_topics(topics)

    def write(self, transaction: Transaction, work: Callable[..., _Result], *arguments: Any) -> Pending[_Result]:
        """Call ``work(connection, *arguments)`` in the transaction of a batch, else in one of its own."""
        if isinstance(transaction, SqlTransaction):
            return Pending(work(transaction.connection, *arguments))
        return Pending(self.store.write(work, *arguments))

    def execute(self, transaction: Transaction, text: str, parameters: Any) -> Pending[int | None]:
        """Run one writing statement as :meth:`write` does; the result is how many rows it changed."""
        if isinstance(transaction, SqlTransaction):
            return Pending(transaction.connection.execute(text, parameters).rowcount)
        return Pending(self.store.execute(text, parameters))

    def _transact(self, operations: Sequence[Operation], atomic: bool) -> list[Pending[Any]]:
        # Both kinds of batch are one transaction: it costs less than several, and promises more.
        collections: dict[str, list[Operation]] = defaultdict(list)
        for operation in operations:
            backend = operation.storage.backend
            assert isinstance(backend, SqlBackend)
            collections[backend.namespace_to_write()].append(operation)
        return self.store.write(self._write_together, collections, operations)

    def _write_together(
        self, connection: Connection, collections: Mapping[str, list[Operation]], operations: Sequence[Operation]
    ) -> list[Pending[Any]]:
        # All headers are locked in one order before the first write, so that two batches cannot deadlock.
        for namespace in sorted(collections):
            there = collections[namespace]
            keys = dict.fromkeys(key for operation in there for key in operation.keys)
            new_keys = dict.fromkeys(key for operation in there if operation.creates for key in operation.keys)
            self.dialect.timelines.lock(connection, namespace, list(keys), list(new_keys))
        connection.shared = True
        transaction = SqlTransaction(connection)
        return [operation.write(transaction) for operation in operations]

    def _ping(self) -> None:
        self.store.fetch("SELECT 1", ())

"""The SQL backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from sqlalchemy import Engine

from feedstore.backends.sql.activity import SqlActivityStorage
from feedstore.backends.sql.documents import SqlDocumentStorage
from feedstore.backends.sql.kv import SqlKvStorage
from feedstore.backends.sql.opening import open_url, use_engine
from feedstore.backends.sql.queue import SqlQueueStorage
from feedstore.backends.sql.session import SqlSession
from feedstore.backends.sql.stored import read_text
from feedstore.backends.sql.timeline import SqlTimelineStorage
from feedstore.errors import InvalidTypeError
from feedstore.metrics import Metrics
from feedstore.storage.backend import Backend
from feedstore.storage.batch import WriteBatch
from feedstore.storage.names import StorageNames
from feedstore.storage.session import AUTOCOMMIT, Pending, Transaction

if TYPE_CHECKING:
    from sqlalchemy.orm import Session as OrmSession

_Result = TypeVar("_Result")

_NAMES_A_STATEMENT = 1000


class SqlBackend(Backend):
    """A store in a SQLite file or a PostgreSQL database, version 12 or newer (tested with 15).

    Every call that writes is one transaction, and so is every batch, atomic or not. All of its writes are stored or
    none, and no reader sees a part. Counts and lengths are exact, also during concurrent writes.

    On SQLite each thread has its own connection. Readers and the one writer do not wait for each other. A second writer
    waits up to ``busy_timeout``, and then raises :class:`StorageTimeoutError`. On PostgreSQL each call takes a
    connection from a pool. The docstring of a call states its cost in round trips; a transaction has two more, for its
    begin and its end. Transactions are repeated after deadlocks and failed serializations. A read is repeated once if
    its connection was lost. A commit whose answer was lost is not repeated, and raises
    :class:`StorageUnavailableError`: it may have been applied.

    Connections are opened at the first use, which also creates, checks or migrates the schema. On PostgreSQL a forked
    child never uses the parent's connections, and opens its own. On SQLite a fork through Python
    (:mod:`multiprocessing`, Celery, gunicorn) closes all connections before the fork, and they are opened again after
    it. A child that was forked without Python's hooks while a connection was open raises :class:`ForkedClientError`,
    and so does every child with an engine that the parent passed.

    On PostgreSQL a statement without an answer within ``statement_timeout`` and a short grace period raises
    :class:`StorageTimeoutError`, and a pooler in front of the server is detected.

    Args:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db`` or ``postgresql://user:password@host:port/database``.
            The schemes ``postgres://`` and ``postgresql+psycopg://`` are equal; the driver is always psycopg 3.
        engine: A SQLAlchemy engine instead of a URL, for SQLite, or for PostgreSQL through psycopg. The only options
            are then ``namespace``, ``schema`` and ``metrics``. The backend never closes the engine.
        metrics: The metrics that storages of this backend report to.
        options: Options, as keywords or in the URL's query. :data:`feedstore.backends.sql.options.OPTIONS` has all of
            them with their defaults.

    Raises:
        InvalidTypeError: An option is unknown.
        InvalidValueError: The URL, an option or the engine cannot be used. No message holds a password.
        MissingDriverError: psycopg is not installed.
    """

    session: SqlSession
    activity_storage_class = SqlActivityStorage
    timeline_storage_class = SqlTimelineStorage
    kv_storage_class = SqlKvStorage
    queue_storage_class = SqlQueueStorage
    document_storage_class = SqlDocumentStorage
    options_to_read: ClassVar[Mapping[str, Any]] = {"schema": "check"}
    options_to_flush: ClassVar[Mapping[str, Mapping[str, Any]]] = {"sqlite": {"synchronous": "full"}}

    def __init__(
        self, url: str | None = None, *, engine: Engine | None = None, metrics: Metrics | None = None, **options: Any
    ) -> None:
        if url is not None and engine is None:
            opened = open_url(url, options)
        elif engine is not None and url is None:
            opened = use_engine(engine, options)
        else:
            raise InvalidTypeError("pass either a URL or engine=")
        super().__init__(SqlSession(opened.database, opened.dialect, opened.namespace, metrics))

    def in_orm_session(
        self, work: Callable[[OrmSession], _Result], *, batch_interface: WriteBatch | None = None
    ) -> _Result | None:
        """Call ``work(session)`` with a Session of SQLAlchemy's ORM in a transaction, and return its result.

        The Session is flushed when the function returns, and everything is committed together. If the function raises,
        nothing is stored. Calls of this backend's storages inside the function join the transaction. The Session must
        not commit. If the server undoes the transaction because of a concurrent one, the function is called again. The
        classes of :mod:`feedstore.backends.sql.mapping` map the tables.

        Args:
            work: A function of the Session.
            batch_interface: The batch to join. The function is then called when the batch commits, in its place among
                the writes. The call returns None, and ``results`` of the batch holds the result.
        """
        if batch_interface is None:
            return self._in_orm_session(work, AUTOCOMMIT).result
        batch_interface.enqueue(self.session, partial(self._in_orm_session, work))
        return None

    def _in_orm_session(self, work: Callable[[OrmSession], _Result], transaction: Transaction) -> Pending[_Result]:
        # Loaded here: the ORM takes longer to import than a database to open, and few applications use it.
        from feedstore.backends.sql.orm_session import call_with_session

        return self.session.write(transaction, call_with_session, self.session.store, work)

    def _names(self, known: Mapping[str, str]) -> StorageNames:
        """Return the names, with one statement for each key-value storage, and one for each 1,000 queues.

        The names of the collections cost one statement, which reads the names of all namespaces.
        """
        session = self.session
        return StorageNames.found(
            session.root_namespace,
            known,
            session.store.namespaces.names(),
            # One row a statement, because the index leads to the next name past all items of the one before.
            _all_names(session, session.statements.items.next_names, 1),
            _all_names(session, session.statements.queues.next_names, _NAMES_A_STATEMENT),
        )


def _all_names(session: SqlSession, statement: str, limit: int) -> Iterator[str]:
    after = b""
    while rows := session.fetch(statement, (session.namespace, after, limit)):
        yield from (read_text(name, "the name of a storage") for (name,) in rows)
        after = rows[-1][0]

"""The session of a namespace in SQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.database import Database
from feedstore.backends.sql.dialect import Dialect
from feedstore.backends.sql.shared_statements import Statements
from feedstore.metrics import Metrics
from feedstore.storage.abilities import Abilities
from feedstore.storage.notify.registry import Kind, Topic
from feedstore.storage.notify.source import TopicSource
from feedstore.storage.session import AUTOCOMMIT, Operation, Pending, Session, Transaction, closed_error

_Result = TypeVar("_Result")


class SqlTransaction(Transaction):
    """The transaction of a batch, on the connection that it holds."""

    __slots__ = ("connection",)

    def __init__(self, connection: Connection) -> None:
        self.connection = connection


class SqlSession(Session[Database]):
    """A namespace in a database."""

    abilities = Abilities(documents=True)

    def __init__(self, database: Database, dialect: Dialect, namespace: str, metrics: Metrics | None) -> None:
        super().__init__(database, namespace, metrics)
        self.dialect = dialect
        self.statements: Statements = dialect.statements

    def written_namespace(self) -> str | None:
        """Return the namespace's name, or None before the first write to it."""
        return self.store.namespaces.find(self.namespace)

    def fetch(self, text: str, parameters: tuple[Any, ...]) -> list[Any]:
        """Return the rows of one reading statement, whose first parameter is :attr:`namespace`.

        Every short read calls it, so it has the checks of :attr:`store` and :meth:`written_namespace` without their
        calls.
        """
        store = self._store
        if store.closed:
            raise closed_error(self)
        if self.namespace not in store.namespaces.known:
            parameters = (self.written_namespace(), *parameters[1:])
        return store.fetch(text, parameters)

    def namespace_to_write(self) -> str:
        """Return the namespace's name after inserting a missing row."""
        store = self._store
        if store.closed:
            raise closed_error(self)
        if self.namespace in store.namespaces.known:
            return self.namespace
        return store.namespaces.find_or_create(self.namespace)

    def make_source(self) -> TopicSource:
        """Return a source that receives PostgreSQL's notifications, or polls a SQLite file."""
        return self.dialect.make_source(self.store, self.newest_ids_in)

    def newest_ids(self, kind: Kind, keys: list[str]) -> Mapping[str, Any]:
        """Return the states of timelines or queues, with one statement for each 500."""
        namespace = self.written_namespace()
        return {} if namespace is None else self.dialect.heads.fetch(self.store, kind, namespace, keys)

    def publish_topics(self, topics: Sequence[Topic]) -> None:
        """Publish changes, with one statement on PostgreSQL and none on SQLite."""
        if self.dialect.pushes:
            self.dialect.notify(self.store, self.namespace, [topic.digest for topic in topics])
        else:
            super().publish_topics(topics)

    def write(self, transaction: Transaction, work: Callable[..., _Result], *arguments: Any) -> Pending[_Result]:
        """Call ``work(connection, *arguments)`` in the transaction of a batch. Without a batch, it has its own."""
        if isinstance(transaction, SqlTransaction):
            return Pending(work(transaction.connection, *arguments))
        return Pending(self.store.write(work, *arguments))

    def execute(self, transaction: Transaction, text: str, parameters: Any) -> Pending[int | None]:
        """Run one writing statement as :meth:`write` does. The result is the number of changed rows."""
        return Pending(self.change_rows(transaction, text, parameters))

    def change_rows(self, transaction: Transaction, text: str, parameters: Any) -> int:
        """Run one writing statement as :meth:`execute` does, and return the number of changed rows."""
        if transaction is AUTOCOMMIT:
            return self.store.execute(text, parameters)
        assert isinstance(transaction, SqlTransaction)
        rows: int = transaction.connection.execute(text, parameters).rowcount
        return rows

    def _transact(self, operations: Sequence[Operation], atomic: bool) -> list[Pending[Any]]:
        # Both kinds of batch are one transaction, which costs less than several and gives stronger guarantees.
        collections: dict[str, list[Operation]] = defaultdict(list)
        for operation in operations:
            session = operation.session
            assert isinstance(session, SqlSession)
            collections[session.namespace_to_write()].append(operation)
        return self.store.write(self._write_together, collections, operations)

    def _write_together(
        self, connection: Connection, collections: Mapping[str, list[Operation]], operations: Sequence[Operation]
    ) -> list[Pending[Any]]:
        # All headers are locked in one order before the first write, so that two batches cannot deadlock. To make
        # headers in one namespace ends the locks of those before it.
        lock = self.dialect.timelines.lock
        while any(lock(connection, each, collections[each]) for each in sorted(collections)):
            if len(collections) == 1:
                break
        connection.shared = True
        transaction = SqlTransaction(connection)
        return [operation.write(transaction) for operation in operations]

    def _durability_gap(self) -> str | None:
        value = self.store.fetch(self.dialect.flush_setting, ())[0][0]
        is_flushed = value not in (0, 1, "off", b"off")
        return None if is_flushed else self.dialect.flush_advice

    def _ping(self) -> None:
        self.store.fetch("SELECT 1", ())

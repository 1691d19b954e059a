"""Sessions of SQLAlchemy's ORM in a transaction of the storages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Engine, NullPool
from sqlalchemy.orm import Session

from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.database import Database

_Result = TypeVar("_Result")


class _BorrowedConnection:
    """A driver's connection inside a transaction that only its owner ends."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def commit(self) -> None:
        """Do nothing: the owner commits."""

    def rollback(self) -> None:
        """Do nothing: the owner rolls back when an exception reaches it."""

    def close(self) -> None:
        """Do nothing: the owner keeps the connection."""


def call_with_session(connection: Connection, database: Database, work: Callable[[Session], _Result]) -> _Result:
    """Return ``work(session)`` with a Session in the transaction of a connection, and flush the Session."""
    borrowed: Any = _BorrowedConnection(connection.raw)
    pool = NullPool(lambda: borrowed, dialect=database.engine.dialect, reset_on_return=None)
    engine = Engine(pool, database.engine.dialect, database.engine.url)
    # Results do not expire: the caller may use them after the Session has ended.
    with Session(engine, expire_on_commit=False) as session:
        result = work(session)
        session.flush()
        session.expunge_all()
    return result

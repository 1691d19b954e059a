"""The SQL backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from sqlalchemy import Engine

from feedstore.backends.sql.activity import SqlActivityStorage
from feedstore.backends.sql.kv import SqlKvStorage
from feedstore.backends.sql.opening import open_url, use_engine
from feedstore.backends.sql.queue import SqlQueueStorage
from feedstore.backends.sql.session import SqlSession
from feedstore.backends.sql.timeline import SqlTimelineStorage
from feedstore.errors import InvalidTypeError
from feedstore.metrics import Metrics
from feedstore.storage.backend import Backend


class SqlBackend(Backend):
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

    session: SqlSession
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
        super().__init__(SqlSession(opened.database, opened.dialect, opened.namespace, metrics))

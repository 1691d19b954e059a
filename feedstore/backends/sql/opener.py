"""Opening connections, after the schema was seen to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from os import getpid
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError

from feedstore.backends.sql.database import Database
from feedstore.backends.sql.schema import prepare_schema


class Opener:
    """Takes connections out of an engine's pool. Before the first one it checks or migrates the schema (``mode``), and
    then calls ``set_up`` once.
    """

    def __init__(
        self,
        engine: Engine,
        database: Database,
        mode: str | None,
        set_up: Callable[[Engine], None] | None = None,
    ) -> None:
        self.engine = engine
        self._database = database
        self._mode = mode
        self._set_up = set_up
        self._prepared = False
        # One for each process: a child may be forked while a thread of its parent holds the parent's.
        self._locks: dict[int, threading.Lock] = {}

    def open(self) -> Any:
        """Return a connection of the pool's. The driver's errors are translated."""
        try:
            if not self._prepared:
                self._prepare()
            return self.engine.raw_connection()
        except DBAPIError as error:
            # SQLAlchemy's own exception repeats the statement and adds nothing that the driver's does not say.
            raise self._database.translated(error.orig or error) from error.orig
        except StatementError as error:
            # SQLAlchemy wraps an exception that a signal handler raised inside a statement.
            raise (error.orig or error) from None
        except (SQLAlchemyError, self._database.driver_error) as error:
            raise self._database.translated(error) from error

    def _prepare(self) -> None:
        with self._locks.setdefault(getpid(), threading.Lock()):
            if self._prepared:
                return
            prepare_schema(self.engine, self._mode)
            if self._set_up is not None:
                self._set_up(self.engine)
            self._prepared = True

"""What differs between databases: how transactions begin and end, what errors mean, and how bulk writes are done."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from sqlalchemy import Dialect

from feedstore.backends.sql.activity_rows import ActivityRows
from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.statements import Compiler
from feedstore.backends.sql.timeline_rows import TimelineRows


class Database(ABC):
    """One kind of database. Subclasses hold no connection and no state that a call changes."""

    insert: Callable[..., Any]
    begin_read: str
    begin_write: str
    driver_error: type[Exception]
    activity_rows: ActivityRows
    timeline_rows: TimelineRows

    def __init__(self, dialect: Dialect, label: str) -> None:
        self.compiler = Compiler(dialect)
        self.label = label

    @abstractmethod
    def roll_back(self, connection: Connection) -> None:
        """End the transaction without its writes; none under way is no error."""

    @abstractmethod
    def translated(self, error: BaseException) -> Exception:
        """Return the error of feedstore's that a driver's error, or SQLAlchemy's around one, amounts to."""

    @abstractmethod
    def may_retry(self, error: Exception) -> bool:
        """Return whether the server undid the transaction and asks to run it again."""

    @abstractmethod
    def is_lost(self, error: Exception) -> bool:
        """Return whether the error says that the connection is gone."""

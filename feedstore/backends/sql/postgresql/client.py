"""A connection to a PostgreSQL server that does not wait for ever, and knows whether a pooler stands in between."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import psycopg

_Result = TypeVar("_Result")
_MILLISECONDS = 1000
_LONGEST_GRACE_SECONDS = 5.0
_CANCEL_SECONDS = 1.0
DETECT, NONE, SESSION, TRANSACTION = "detect", "none", "session", "transaction"
REFUSED_SETTINGS = "unsupported startup parameter"
"""What pgbouncer says, in every language, when a connection begins with the parameter "options"."""


class NoAnswerError(psycopg.OperationalError):
    """The server accepted a statement and gave no answer in time."""


@dataclass(frozen=True)
class Wishes:
    """How a connection is to behave: the seconds that a statement may take, and the pooler in front of the server."""

    statement_timeout: float
    pooler: str

    @property
    def answer_seconds(self) -> float:
        """How long the client waits for an answer: a little longer than the server lets a statement take."""
        return self.statement_timeout + min(self.statement_timeout, _LONGEST_GRACE_SECONDS)

    @property
    def setting(self) -> str:
        """The setting that lets the server end a statement."""
        return f"statement_timeout={math.ceil(self.statement_timeout * _MILLISECONDS)}"


class Client(psycopg.Connection[Any]):
    """A connection of psycopg's in autocommit.

    A statement that is not answered within ``answer_seconds`` raises :class:`NoAnswerError` and closes the connection;
    None waits for ever. ``shares_server`` says that a pooler may run each transaction on another connection to the
    server: nothing that a session keeps may then be relied on.
    """

    answer_seconds: float | None = None
    shares_server = False

    @classmethod
    def open(cls, arguments: dict[str, Any], wishes: Wishes) -> Self:
        """Connect. Costs one more round trip where a pooler is to be detected."""
        if wishes.pooler in (DETECT, NONE):
            client = cls._open_with_settings(arguments, wishes)
        else:
            client = cls.connect(**arguments, autocommit=True)
        client.answer_seconds = wishes.answer_seconds
        try:
            if wishes.pooler == SESSION:
                client.execute(f"SET {wishes.setting}")
            elif wishes.pooler == TRANSACTION or (wishes.pooler == DETECT and is_pooled(client)):
                client.shares_server = True
                client.prepare_threshold = None
        except BaseException:
            client.close()
            raise
        return client

    @classmethod
    def _open_with_settings(cls, arguments: dict[str, Any], wishes: Wishes) -> Self:
        try:
            return cls.connect(**arguments, options=f"-c {wishes.setting}", autocommit=True)
        except psycopg.OperationalError as error:
            if wishes.pooler == NONE or REFUSED_SETTINGS not in str(error):
                raise
        return cls.connect(**arguments, autocommit=True)

    def wait(self, gen: Generator[Any, Any, _Result], *arguments: Any, **options: Any) -> _Result:
        """Wait for an answer as psycopg does, but no longer than ``answer_seconds``."""
        seconds = self.answer_seconds
        if seconds is None:
            return super().wait(gen, *arguments, **options)
        try:
            return super().wait(_answered(gen, seconds), *arguments, **options)
        except NoAnswerError:
            self._give_up()
            raise

    def _give_up(self) -> None:
        self.answer_seconds = None
        try:
            if self.shares_server:
                # The server does not know the pooler's statement_timeout.
                self.cancel_safe(timeout=_CANCEL_SECONDS)
        except psycopg.Error:
            # The statement goes on; the client raises the error of the missing answer, which is the cause.
            return
        finally:
            self.close()

    # psycopg's warns of a connection that nothing closed, such as one that a signal handler's exception left behind;
    # libpq closes it. This is not written in Python: another such exception would be lost there.
    __del__ = staticmethod(bool)  # type: ignore[assignment]


def is_pooled(connection: psycopg.Connection[Any]) -> bool:
    """Return whether a pooler stands before the server: it makes up the process id that a connection begins with."""
    row = connection.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
    return row is None or row[0] != connection.info.backend_pid


def _answered(gen: Generator[Any, Any, _Result], seconds: float) -> Generator[Any, Any, _Result]:
    """Run a generator of psycopg's, and raise :class:`NoAnswerError` when it has waited for so long."""
    deadline = time.monotonic() + seconds
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > deadline:
                raise NoAnswerError(f"no answer within {seconds:g} seconds")
            wanted = gen.send(ready)
    except StopIteration as end:
        result: _Result = end.value
        return result

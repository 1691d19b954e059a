"""Connections to PostgreSQL servers with a timeout for every answer, and the engines that open them."""

from __future__ import annotations

import math
import select
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import psycopg
from psycopg.waiting import READY_R, WAIT_R
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.pool import NullPool

from feedstore.backends.sql.address import Address, libpq_options

_Result = TypeVar("_Result")
# A connection to a server that vanished ends after a minute at most, if the operating system supports keepalives.
_KEEPALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 30_000}
_MILLISECONDS = 1000
# A signal that arrives just before a poll does not end it: its handler runs after the poll.
_LONGEST_POLL_MILLISECONDS = 100
_LONGEST_GRACE_SECONDS = 5.0
_CANCEL_SECONDS = 1.0
DETECT, NONE, SESSION, TRANSACTION = "detect", "none", "session", "transaction"
REFUSED_SETTINGS = "unsupported startup parameter"
"""Part of pgbouncer's error, in every language, for a connection that begins with the parameter "options"."""


class NoAnswerError(psycopg.OperationalError):
    """An error for a server that accepted a statement and gave no answer in time."""


@dataclass(frozen=True)
class Wishes:
    """The settings of a connection: the seconds that a statement may take, and the pooler in front of the server."""

    statement_timeout: float
    pooler: str

    @property
    def answer_seconds(self) -> float:
        """The seconds that the client waits for an answer, a few more than a statement may take on the server."""
        return self.statement_timeout + min(self.statement_timeout, _LONGEST_GRACE_SECONDS)

    @property
    def setting(self) -> str:
        """The setting with which the server ends a slow statement."""
        return f"statement_timeout={math.ceil(self.statement_timeout * _MILLISECONDS)}"


class Client(psycopg.Connection[Any]):
    """A connection of psycopg's in autocommit.

    Attributes:
        answer_seconds: If a statement is not answered within so many seconds, :class:`NoAnswerError` is raised and the
            connection is closed. None disables the timeout.
        shares_server: A pooler may run each transaction on another connection to the server, so the state of a session
            is not reliable.
    """

    answer_seconds: float | None = None
    shares_server = False
    _poll: Any = None
    _poll_milliseconds: float = 0

    @classmethod
    def open(cls, arguments: dict[str, Any], wishes: Wishes) -> Self:
        """Connect. To detect a pooler costs one more round trip."""
        if wishes.pooler in (DETECT, NONE):
            client = cls._open_with_settings(arguments, wishes)
        else:
            client = cls.connect(**arguments, autocommit=True)
        try:
            client._limit_answers(wishes.answer_seconds)
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

    def _limit_answers(self, seconds: float) -> None:
        self._poll = select.poll()
        self._poll.register(self.fileno(), select.POLLIN)
        self._poll_milliseconds = min(seconds * _MILLISECONDS, _LONGEST_POLL_MILLISECONDS)
        self.answer_seconds = seconds

    def wait(self, gen: Generator[Any, Any, _Result], *arguments: Any, **options: Any) -> _Result:
        """Wait for an answer as psycopg does, but not longer than ``answer_seconds``.

        Most statements wait once and for less than a tenth of a second, for their answer to arrive. This method does so
        itself: with psycopg's method around a generator that checks the time, the shortest read took 3 µs more.
        """
        seconds = self.answer_seconds
        if seconds is None:
            return super().wait(gen, *arguments, **options)
        deadline = time.monotonic() + seconds
        waiting: Generator[Any, Any, _Result]
        try:
            wanted = next(gen)
            if wanted == WAIT_R and not options and self._poll.poll(self._poll_milliseconds):
                wanted = gen.send(READY_R)
        except StopIteration as end:
            result: _Result = end.value
            return result
        except KeyboardInterrupt as error:
            # psycopg's method cancels the statement on the server.
            waiting = _raising(error)
        else:
            waiting = _answered(gen, wanted, deadline, seconds)
        try:
            return super().wait(waiting, *arguments, **options)
        except NoAnswerError:
            self._give_up()
            raise

    def _give_up(self) -> None:
        self.answer_seconds = None
        try:
            if self.shares_server:
                # With a pooler in front, the server has no statement_timeout.
                self.cancel_safe(timeout=_CANCEL_SECONDS)
        except psycopg.Error:
            # The statement goes on. The caller raises the error of the missing answer, which is the cause.
            return
        finally:
            self.close()

    # psycopg's own method warns of a connection that was not closed, such as one that an exception of a signal handler
    # abandoned; libpq closes it. This method is not written in Python, where another such exception would be lost.
    __del__ = staticmethod(bool)  # type: ignore[assignment]


def is_pooled(connection: psycopg.Connection[Any]) -> bool:
    """Return whether a pooler stands before the server: a pooler invents the process id that it gives to a client."""
    row = connection.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
    return row is None or row[0] != connection.info.backend_pid


def _answered(
    gen: Generator[Any, Any, _Result], wanted: Any, deadline: float, seconds: float
) -> Generator[Any, Any, _Result]:
    """Go on with a generator of psycopg's that waits, and raise :class:`NoAnswerError` after the deadline."""
    try:
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > deadline:
                raise NoAnswerError(f"no answer within {seconds:g} seconds")
            wanted = gen.send(ready)
    except StopIteration as end:
        result: _Result = end.value
        return result


def _raising(error: BaseException) -> Generator[Any, Any, Any]:
    """Return a generator that raises an exception at its first step."""
    yield from ()
    raise error


def make_engine(address: Address, options: dict[str, Any]) -> Engine:
    """Return an engine whose connections are in autocommit and not pooled. It connects to nothing yet."""
    arguments = {
        "connect_timeout": math.ceil(options["connect_timeout"]),
        "application_name": "feedstore",
        **_KEEPALIVE,
        **address.libpq,
        **libpq_options(options),
    }
    engine = create_engine(address.url, isolation_level="AUTOCOMMIT", poolclass=NullPool, connect_args=arguments)
    wishes = Wishes(options["statement_timeout"], options["pooler"])

    @event.listens_for(engine, "do_connect")
    def connect(dialect: object, record: object, positional: object, keywords: dict[str, Any]) -> Client:
        return Client.open(keywords, wishes)

    return engine

"""What PostgreSQL's errors amount to, by their SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html)."""

from __future__ import annotations

import re

import psycopg
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from feedstore.backends.sql.postgresql.client import REFUSED_SETTINGS, NoAnswerError
from feedstore.errors import (
    FeedstoreError,
    MissingSchemaError,
    StorageError,
    StorageFullError,
    StorageTimeoutError,
    StorageUnavailableError,
)

_DEADLOCK, _SERIALIZATION_FAILURE = "40P01", "40001"
_BY_STATE = {
    _DEADLOCK: (StorageTimeoutError, "it kept running into deadlocks with other writers"),
    _SERIALIZATION_FAILURE: (StorageTimeoutError, "other writers kept getting in between"),
    "57014": (StorageTimeoutError, "a statement took longer than statement_timeout"),
    "55P03": (StorageTimeoutError, "a lock was not given in time"),
    "25P03": (StorageTimeoutError, "the server ended a transaction that stood idle"),
    "53100": (StorageFullError, "the server's disk is full"),
    "53300": (StorageUnavailableError, "the server has no connection left; lower pool_size"),
    "42P01": (MissingSchemaError, "it has no feedstore tables; create them with `feedstore db upgrade --store URL`"),
    "42703": (
        MissingSchemaError,
        "its feedstore tables are of another release; run `feedstore db upgrade --store URL`",
    ),
    "3F000": (MissingSchemaError, "it has no feedstore tables; create them with `feedstore db upgrade --store URL`"),
}
# Connection exceptions, refused authorization, unknown database, and the server's own end.
_UNAVAILABLE = ("08", "28", "3D", "57P")
# libpq gives no SQLSTATE while it connects, but the server's own words, which say how grave they are. A server speaks
# its own language; what it says when it is asked for what it has not got always holds the name in quotes.
_FATAL = re.compile(r"\b(?:FATAL|FATALE?|PANIC|ERROR):\s")
_NOT_NOW = ("starting up", "shutting down", "recovery mode", "not yet accepting", "too many", "remaining connection")


def translate(error: BaseException, label: str) -> FeedstoreError:
    """Return feedstore's error for one of psycopg's or of the pool's; its text names the server without a password."""
    message = str(error).strip()
    if isinstance(error, PoolTimeoutError):
        return StorageTimeoutError(f"{label}: no connection of the pool was free within pool_timeout; raise pool_size")
    state = getattr(error, "sqlstate", None)
    kind, meaning = _BY_STATE.get(state or "", (None, ""))
    if kind is not None:
        return kind(f"{label}: {meaning} ({message})")
    if isinstance(error, NoAnswerError):
        return StorageTimeoutError(
            f"{label}: the server accepted a statement and did not answer ({message}); what it was asked to write may "
            "be stored or not"
        )
    if REFUSED_SETTINGS in message:
        return StorageUnavailableError(
            f"{label}: a connection pooler refuses the settings of a session; pass pooler='transaction' or 'session', "
            f"its pool_mode ({message})"
        )
    if _is_refused(message, state):
        return StorageUnavailableError(
            f"{label}: the server was reached and refused the connection; check the user, the password and the "
            f"database ({message})"
        )
    if is_lost(error) or (isinstance(error, psycopg.OperationalError) and state is None):
        return StorageUnavailableError(f"{label}: the server cannot be reached, or the connection was lost ({message})")
    return StorageError(f"{label}: PostgreSQL failed: {message}")


def may_retry(error: BaseException) -> bool:
    """Return whether the server undid the transaction for another's sake."""
    return getattr(error, "sqlstate", None) in (_DEADLOCK, _SERIALIZATION_FAILURE)


def _is_refused(message: str, state: str | None) -> bool:
    """Return whether a server answered that it does not let this user in, or has no such database."""
    if state is not None:
        return state.startswith(("28", "3D"))
    return bool(_FATAL.search(message)) and not any(words in message for words in _NOT_NOW)


def is_lost(error: BaseException) -> bool:
    """Return whether the error says that there is no connection any more."""
    if isinstance(error, NoAnswerError):
        # Asked again, another connection would wait as long.
        return False
    state: str | None = getattr(error, "sqlstate", None)
    if state is not None:
        return state.startswith(_UNAVAILABLE)
    return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))

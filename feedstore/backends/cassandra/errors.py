"""The translation of cassandra-driver's errors into feedstore's errors.

The driver's messages name nodes, tables and users, never a password.
"""

from __future__ import annotations

from cassandra import (
    AuthenticationFailed,
    DriverException,
    InvalidRequest,
    OperationTimedOut,
    ReadFailure,
    Timeout,
    Unavailable,
    UnresolvableContactPoints,
    WriteFailure,
)
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionException, ConnectionShutdown
from cassandra.protocol import (
    ErrorMessage,
    IsBootstrappingErrorMessage,
    OverloadedErrorMessage,
    ServerError,
    TruncateError,
)

from feedstore.errors import (
    FeedstoreError,
    MissingSchemaError,
    StorageError,
    StorageTimeoutError,
    StorageUnavailableError,
)

DRIVER_ERRORS = (DriverException, NoHostAvailable, ConnectionException, ErrorMessage)
"""The base classes of all errors that the driver raises on purpose."""

_UNAVAILABLE = (
    Unavailable,
    UnresolvableContactPoints,
    ConnectionException,
    IsBootstrappingErrorMessage,
    OverloadedErrorMessage,
)
_TIMEOUTS = (Timeout, OperationTimedOut)
_PASSING = (*_UNAVAILABLE, *_TIMEOUTS, ReadFailure, WriteFailure, ServerError, TruncateError)
# The code of a lightweight transaction whose outcome the servers do not know. The driver has no exception for it.
_UNKNOWN_OUTCOME = 0x1700
_GONE = ("unconfigured table", "does not exist")


def translated(error: Exception, label: str) -> FeedstoreError:
    """Return feedstore's error for an error of the driver's. ``label`` names the store in the message."""
    inner = _innermost(error)
    message = f"{label}: {_text(inner)}"
    if isinstance(inner, AuthenticationFailed):
        return StorageError(f"{message}; pass the right credentials in the URL")
    if _is_gone(inner):
        return MissingSchemaError(f"{message}; the keyspace or feedstore's tables in it are missing")
    if isinstance(inner, OverloadedErrorMessage):
        return StorageUnavailableError(f"{message}; the cluster is overloaded: write more slowly")
    if isinstance(inner, _TIMEOUTS) or _is_undecided(inner):
        return StorageTimeoutError(f"{message}; the write may have been applied, and it is safe to repeat it")
    if isinstance(error, NoHostAvailable) or isinstance(inner, _UNAVAILABLE):
        return StorageUnavailableError(message)
    return StorageError(message)


def unreachable(error: Exception, label: str) -> FeedstoreError:
    """Return feedstore's error for an error of the driver's while it connects, before any request was sent."""
    inner = _innermost(error)
    if isinstance(inner, _TIMEOUTS):
        return StorageUnavailableError(f"{label}: no node answered: {_text(inner)}")
    return translated(error, label)


def was_lost(error: NoHostAvailable) -> bool:
    """Return whether a node had accepted the driver's connection, and the connection was lost before it was ready.

    A node that restarts closes it. The driver itself closes it if it misreads a frame, as version 3.30 has done once in
    many thousand connections.
    """
    return isinstance(_innermost(error), ConnectionShutdown)


def is_passing(error: Exception) -> bool:
    """Return whether the same request may succeed a little later: nodes were unreachable, slow or overloaded.

    Every write carries its own timestamp, so a repeated write has no further effect.
    """
    if isinstance(error, NoHostAvailable):
        return not isinstance(_innermost(error), (AuthenticationFailed, InvalidRequest))
    return isinstance(error, _PASSING) or _is_undecided(error)


def _is_undecided(error: Exception) -> bool:
    return isinstance(error, ErrorMessage) and error.code == _UNKNOWN_OUTCOME


def _is_gone(error: Exception) -> bool:
    return isinstance(error, InvalidRequest) and any(text in str(error) for text in _GONE)


def _innermost(error: Exception) -> Exception:
    """Return the most specific error of a node if no node carried the request out. Return any other error as it is."""
    if isinstance(error, NoHostAvailable) and isinstance(error.errors, dict):
        found = [_exception_of(one) for one in error.errors.values() if isinstance(one, Exception)]
        specific = [one for one in found if isinstance(one, (AuthenticationFailed, InvalidRequest))]
        return (specific or found or [error])[0]
    return error


def _exception_of(answer: Exception) -> Exception:
    """Return the exception that the driver would have raised for a node's answer."""
    if not isinstance(answer, ErrorMessage):
        return answer
    raised: Exception = answer.to_exception()
    return raised


def _text(error: Exception) -> str:
    if isinstance(error, UnresolvableContactPoints):
        # The driver's own message is the empty mapping of the names that it resolved.
        return "cannot resolve any of the hosts' names"
    return str(error) or type(error).__name__

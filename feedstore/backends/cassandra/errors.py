"""The border: what cassandra-driver raises, as feedstore's errors.

The driver's texts name nodes, tables and users, never a password.
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
from cassandra.connection import ConnectionException
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
"""Everything that the driver raises on purpose."""

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
    """Return feedstore's error for a driver's; ``label`` says which store."""
    inner = _innermost(error)
    message = f"{label}: {_text(inner)}"
    if isinstance(inner, AuthenticationFailed):
        return StorageError(f"{message}; pass the right credentials in the URL")
    if _is_gone(inner):
        return MissingSchemaError(f"{message}; the keyspace or feedstore's tables in it are gone")
    if isinstance(inner, OverloadedErrorMessage):
        return StorageUnavailableError(f"{message}; the cluster is overloaded, write more slowly")
    if isinstance(inner, _TIMEOUTS) or _is_undecided(inner):
        return StorageTimeoutError(f"{message}; a write may have happened, and writing it again changes nothing twice")
    if isinstance(error, NoHostAvailable) or isinstance(inner, _UNAVAILABLE):
        return StorageUnavailableError(message)
    return StorageError(message)


def unreachable(error: Exception, label: str) -> FeedstoreError:
    """Return feedstore's error for a driver's that was raised while connecting, when nothing was sent yet."""
    inner = _innermost(error)
    if isinstance(inner, _TIMEOUTS):
        return StorageUnavailableError(f"{label}: no node answered: {_text(inner)}")
    return translated(error, label)


def is_passing(error: Exception) -> bool:
    """Return whether the same request may succeed a little later: nodes were away, slow or overloaded.

    Every write carries its own timestamp, so sending one again changes nothing twice, whether or not it happened.
    """
    if isinstance(error, NoHostAvailable):
        return not isinstance(_innermost(error), (AuthenticationFailed, InvalidRequest))
    return isinstance(error, _PASSING) or _is_undecided(error)


def _is_undecided(error: Exception) -> bool:
    return isinstance(error, ErrorMessage) and error.code == _UNKNOWN_OUTCOME


def _is_gone(error: Exception) -> bool:
    return isinstance(error, InvalidRequest) and any(text in str(error) for text in _GONE)


def _innermost(error: Exception) -> Exception:
    """Return what a node said, where none of them could be asked; the error itself for any other."""
    if isinstance(error, NoHostAvailable) and isinstance(error.errors, dict):
        found = [_exception_of(one) for one in error.errors.values() if isinstance(one, Exception)]
        telling = [one for one in found if isinstance(one, (AuthenticationFailed, InvalidRequest))]
        return (telling or found or [error])[0]
    return error


def _exception_of(answer: Exception) -> Exception:
    """Return the exception that the driver would have raised for a node's answer."""
    if not isinstance(answer, ErrorMessage):
        return answer
    raised: Exception = answer.to_exception()
    return raised


def _text(error: Exception) -> str:
    if isinstance(error, UnresolvableContactPoints):
        # The driver's own text is the empty mapping of what it could resolve.
        return "none of the hosts' names can be resolved"
    return str(error) or type(error).__name__

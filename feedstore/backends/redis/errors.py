"""The translation of redis-py's errors into feedstore's errors.

The driver's messages name servers and keys. The one message that may repeat a password is cut off here.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator

from redis import exceptions

from feedstore.errors import StorageError, StorageFullError, StorageTimeoutError, StorageUnavailableError

DRIVER_ERRORS = (exceptions.RedisError,)
"""The base classes of redis-py's errors."""

_UNAVAILABLE = (
    OSError,
    exceptions.ConnectionError,
    exceptions.ReadOnlyError,
    exceptions.ClusterDownError,
    exceptions.TryAgainError,
    exceptions.MovedError,
    exceptions.AskError,
)
_REFUSED = (exceptions.AuthenticationError, exceptions.AuthorizationError)
# Errors of a lost connection over TLS. Any other error of TLS is permanent.
_LOST_TLS = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
_UNKNOWN_COMMAND = "unknown command"
_NO_DATABASE = "DB index"
_REPEATED_ARGUMENTS = ", with args beginning with"
# BUSY: another client's script runs for longer than the server's busy-reply-threshold.
_PASSING_PREFIXES = ("LOADING", "MASTERDOWN", "READONLY", "TRYAGAIN", "CLUSTERDOWN", "BUSY ")
# A script touched a key again that it had emptied, while the slot moves to another node. The next attempt waits for the
# move.
_MOVING_SLOT = "attempted to access a non local key"
_UNAVAILABLE_PREFIXES = (*_PASSING_PREFIXES, "MISCONF", "NOREPLICAS")


def translated(error: Exception, label: str) -> StorageError:
    """Return feedstore's error for an error of the driver or the operating system. ``label`` names the store."""
    _forget_arguments(error)
    message = f"{label}: {error}"
    if is_full(error):
        return StorageFullError(f"{message}; free memory or raise maxmemory")
    if isinstance(error, _REFUSED):
        return StorageError(f"{message}; pass the credentials in the URL: redis://user:password@host")
    if is_refused(error):
        return StorageError(message)
    if _starts_with(error, (_NO_DATABASE,)):
        return StorageError(f"{message}; the server's setting `databases` limits the number of databases")
    if isinstance(error, exceptions.TimeoutError):
        return StorageTimeoutError(message)
    if isinstance(error, _UNAVAILABLE) or _starts_with(error, _UNAVAILABLE_PREFIXES) or _is_of_moving_slot(error):
        return StorageUnavailableError(message)
    return StorageError(message)


def is_full(error: Exception) -> bool:
    """Return whether the server had no memory left for a write."""
    return isinstance(error, exceptions.OutOfMemoryError) or _starts_with(error, ("OOM",))


def is_refused(error: Exception) -> bool:
    """Return whether the server rejected the credentials or rights of this client, or TLS failed permanently."""
    return any(
        isinstance(link, _REFUSED) or (isinstance(link, ssl.SSLError) and not isinstance(link, _LOST_TLS))
        for link in _chain(error)
    )


def is_unknown_command(answer: object) -> bool:
    """Return whether the server does not know the command: it is older, or the command was renamed."""
    return isinstance(answer, exceptions.ResponseError) and str(answer).startswith(_UNKNOWN_COMMAND)


def is_passing(error: Exception) -> bool:
    """Return whether the same request may succeed a little later: the error is temporary, and not a refusal."""
    if is_refused(error):
        return False
    if isinstance(error, (exceptions.ConnectionError, exceptions.TimeoutError)):
        return True
    return isinstance(error, _UNAVAILABLE) or _starts_with(error, _PASSING_PREFIXES) or _is_of_moving_slot(error)


def is_lost(error: Exception) -> bool:
    """Return whether a connection was lost, could not be made, or gave no answer in time."""
    if isinstance(error, exceptions.MaxConnectionsError) or is_refused(error):
        return False
    return isinstance(error, (exceptions.ConnectionError, exceptions.TimeoutError))


def _forget_arguments(error: BaseException) -> None:
    # A server without AUTH repeats the user name and the password in its error.
    for link in _chain(error):
        link.args = tuple(
            part.partition(_REPEATED_ARGUMENTS)[0] if isinstance(part, str) else part for part in link.args
        )


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _is_of_moving_slot(error: Exception) -> bool:
    return isinstance(error, exceptions.ResponseError) and _MOVING_SLOT in str(error)


def _starts_with(error: Exception, prefixes: tuple[str, ...]) -> bool:
    # A script's error begins with the code of the command that failed inside it.
    return isinstance(error, exceptions.ResponseError) and str(error).startswith(prefixes)

"""The border: what redis-py raises, as feedstore's errors.

The driver's texts name servers and keys, never a password.
"""

from __future__ import annotations

from redis import exceptions

from feedstore.errors import StorageError, StorageFullError, StorageTimeoutError, StorageUnavailableError

_UNAVAILABLE = (
    exceptions.ConnectionError,
    exceptions.ReadOnlyError,
    exceptions.ClusterDownError,
    exceptions.TryAgainError,
    exceptions.MovedError,
    exceptions.AskError,
    exceptions.RedisClusterException,
)
_REFUSED = (exceptions.AuthenticationError, exceptions.AuthorizationError, exceptions.MaxConnectionsError)
_PASSING_PREFIXES = ("LOADING", "MASTERDOWN", "READONLY", "TRYAGAIN", "CLUSTERDOWN")
_UNAVAILABLE_PREFIXES = (*_PASSING_PREFIXES, "MISCONF", "NOREPLICAS", "BUSY ")


def translated(error: Exception, label: str) -> StorageError:
    """Return feedstore's error for a driver's; ``label`` says which store."""
    message = f"{label}: {error}"
    if is_full(error):
        return StorageFullError(f"{message}; free memory or raise maxmemory")
    if isinstance(error, exceptions.TimeoutError):
        return StorageTimeoutError(message)
    if isinstance(error, _UNAVAILABLE) or _starts_with(error, _UNAVAILABLE_PREFIXES):
        return StorageUnavailableError(message)
    return StorageError(message)


def is_full(error: Exception) -> bool:
    """Return whether the server had no memory left for a write."""
    return isinstance(error, exceptions.OutOfMemoryError) or _starts_with(error, ("OOM",))


def is_passing(error: Exception) -> bool:
    """Return whether the same request may succeed a little later: nobody is at fault, and it was not refused."""
    if isinstance(error, _REFUSED):
        return False
    if isinstance(error, (exceptions.ConnectionError, exceptions.TimeoutError)):
        return True
    return isinstance(error, _UNAVAILABLE) or _starts_with(error, _PASSING_PREFIXES)


def _starts_with(error: Exception, prefixes: tuple[str, ...]) -> bool:
    # A script's error carries the code of what failed inside it.
    return isinstance(error, exceptions.ResponseError) and str(error).startswith(prefixes)

"""The translation of a backend's errors into those of event stores."""

from __future__ import annotations

from types import TracebackType
from typing import NoReturn

from feedstore.errors import (
    EventReadException,
    EventStoreException,
    EventWriteException,
    FeedstoreError,
    InvalidTypeError,
    InvalidValueError,
    MissingDriverError,
)

_ARGUMENTS = (EventStoreException, InvalidTypeError, InvalidValueError, MissingDriverError)


class _Translation:
    """A context manager that raises an error of its own for a backend's error, which becomes the cause."""

    __slots__ = ("_error",)

    def __init__(self, error: type[EventStoreException]) -> None:
        self._error = error

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, FeedstoreError) and not isinstance(error, _ARGUMENTS):
            raise self._error(str(error)) from error


def raise_reading(error: FeedstoreError) -> NoReturn:
    """Raise an :class:`EventReadException` for an error of the backend, or the error itself if it is of arguments.

    Iterators call it, because a context manager around each event costs as much as the event.
    """
    if isinstance(error, _ARGUMENTS):
        raise error
    raise EventReadException(str(error)) from error


def reading() -> _Translation:
    """Return a context manager that raises an :class:`EventReadException` for an error of the backend."""
    return _READING


def writing() -> _Translation:
    """Return a context manager that raises an :class:`EventWriteException` for an error of the backend."""
    return _WRITING


_READING = _Translation(EventReadException)
_WRITING = _Translation(EventWriteException)

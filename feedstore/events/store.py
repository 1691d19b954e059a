"""The contract of event stores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from feedstore.events.event import Event, TimeLike


class EventStore(ABC):
    """A store of events: save, delete, get, search. An instance is safe to share between threads.

    A save is atomic: the store writes and flushes the event with all its indexes, or the call fails and the store is as
    it was before. After a save has returned, every ``get`` and ``search`` that begins later, in any process, finds the
    event. A subclass documents the result of a read that runs during a save.

    Errors are those of :mod:`feedstore.errors`: an :class:`EventWriteException` or :class:`EventReadException` if the
    store fails, :class:`EventNotFound` for an unknown id, :class:`InvalidEventError` and :class:`InvalidSearchError`
    for arguments. All are an :class:`EventStoreException`.
    """

    @abstractmethod
    def save(self, event: Event) -> None:
        """Save an event and replace the event of the same id, if there is one.

        Raises:
            EventWriteException: The event was not saved.
        """

    @abstractmethod
    def save_many(self, events: Iterable[Event]) -> int:
        """Save events and return their number. Each of them is atomic; the last of several with one id wins.

        The iterable may be endless, because the store reads it in chunks. If the store fails, the events of earlier
        chunks stay saved. Saving them again changes nothing.
        """

    @abstractmethod
    def delete(self, event_id: str) -> None:
        """Delete an event.

        Raises:
            EventNotFound: No event has the id.
            EventWriteException: The event was not deleted.
        """

    @abstractmethod
    def get(self, event_id: str) -> Event:
        """Return the event of an id.

        Raises:
            EventNotFound: No event has the id; the method never returns None.
            EventReadException: The store failed.
        """

    @abstractmethod
    def search(
        self,
        ts_start: TimeLike,
        ts_end: TimeLike | None = None,
        flags: Iterable[str] | None = None,
        match: str | None = None,
        order: str = "asc",
        limit: int | None = None,
        after: str | None = None,
    ) -> Iterator[Event]:
        """Return an iterator over the events of a range of time, ordered by time and then by id, in bounded memory.

        Args:
            ts_start: The earliest time, inclusive.
            ts_end: The latest time, inclusive; None is open, 0 is a time.
            flags: Tags that an event must all have, compared literally; none at all filters nothing.
            match: A regular expression that must match anywhere in the content.
            order: ``"asc"``, oldest first, or ``"desc"``, which is exactly the reverse.
            limit: The largest number of events to return; None returns all.
            after: The cursor of an earlier search with the same order, after which this one continues.

        Raises:
            InvalidSearchError: An argument is not allowed.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the store. A second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

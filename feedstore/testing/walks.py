"""Walks by cursor through timelines and feeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from feedstore.storage import ActivityStorage, Page, TimelineStorage

MOST_PAGES = 10_000


def pages_of(read: Callable[[str | None], Page[Any]]) -> Iterator[Page[Any]]:
    """Yield the pages of a walk. The caller's actions between two pages happen between their reads.

    Args:
        read: Returns the page after a cursor, or the first page if it is None.
    """
    cursor = None
    for _ in range(MOST_PAGES):
        page = read(cursor)
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return
    raise AssertionError(f"the walk did not end within {MOST_PAGES} pages")


def pages(
    timelines: TimelineStorage,
    key: str,
    limit: int,
    ordering_args: Sequence[str] | None = None,
    hydrate_from: ActivityStorage | None = None,
) -> Iterator[Page]:
    """Yield the pages of a walk through a timeline, as :func:`pages_of` does."""
    return pages_of(lambda cursor: timelines.get_page(key, limit, cursor, ordering_args, hydrate_from))


def walk(
    timelines: TimelineStorage,
    key: str,
    limit: int,
    ordering_args: Sequence[str] | None = None,
    between: Callable[[int], Any] | None = None,
) -> list[int]:
    """Return the ids of a whole walk, calling ``between(number)`` after each page."""
    seen: list[int] = []
    for number, page in enumerate(pages(timelines, key, limit, ordering_args)):
        assert len(page.items) <= limit
        seen += [item.serialization_id for item in page.items]
        if between is not None:
            between(number)
    return seen

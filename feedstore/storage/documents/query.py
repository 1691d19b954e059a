"""Queries of document storages: filters, conditions on parsed documents, and orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from feedstore.errors import InvalidValueError
from feedstore.shown import shown
from feedstore.storage.checks import check_limit

OPERATORS: dict[str, str] = {
    "==": "eq",
    "eq": "eq",
    "!=": "ne",
    "ne": "ne",
    ">": "gt",
    "gt": "gt",
    ">=": "ge",
    "ge": "ge",
    "<": "lt",
    "lt": "lt",
    "<=": "le",
    "le": "le",
    "between": "between",
    "in": "in",
    "not_in": "not_in",
    "overlap": "overlap",
    "ioverlap": "ioverlap",
    "disjoint": "disjoint",
    "idisjoint": "idisjoint",
    "like": "like",
    "ilike": "ilike",
    "not_like": "not_like",
    "not_ilike": "not_ilike",
}
"""The operators of conditions, each with its canonical name."""
ORDERS = ("creation", "modification", "item_id", "rank")
"""The orders of a search, besides paths."""
MAX_RESULTS = 10_000
"""The greatest ``limit`` of a search and of a page."""


@dataclass(frozen=True)
class Condition:
    """A condition on the value at a path of the parsed documents (D8).

    Args:
        path: The keys and list positions that lead to the value: ``("tags", 0)``. A str is a path of one key. 1 to 16
            steps. A key has 1 to 255 characters without quotation marks, backslashes and control characters.
        op: An operator.

            - ``eq ne gt ge lt le`` (or ``== != > >= < <=``) compare with a number or a str; ``eq`` and ``ne`` also with
              a bool or None.
            - ``between`` takes two values, both included.
            - ``in`` and ``not_in`` take a list of values.
            - ``overlap`` and ``disjoint`` take a list of values and compare it with the list at the path; ``ioverlap``
              and ``idisjoint`` ignore the case of letters.
            - ``like``, ``not_like`` and, ignoring case, ``ilike``, ``not_ilike`` take a pattern, in which ``%`` is any
              number of characters, ``_`` one character, and a backslash makes the next character ordinary.
        value: The value of the comparison. A str has 500 characters at most, a list 1,000 values.
    """

    path: str | Sequence[str | int]
    op: str
    value: Any = None


@dataclass(frozen=True)
class Order:
    """One order of a search's results (D9): ``by`` one of :data:`ORDERS`, or by the value at a ``path``.

    ``direction`` is ``asc`` or ``desc`` in any case. By rank, ``asc`` puts the best match first. By a path, numbers are
    sorted as numbers and come before strs; ``desc`` reverses that. Documents without a number or str at the path come
    last in both directions.
    """

    by: str | None = None
    path: str | Sequence[str | int] | None = None
    direction: str = "asc"


@dataclass(frozen=True)
class DocumentFilter:
    """A choice of documents: all fields that are not None must hold.

    Attributes:
        accounts: The accounts of the node.
        services: The services of the node.
        nodes: The names of the node.
        types: The types of the node. None in the list stands for nodes without a type.
        subtypes: The subtypes of the node. None in the list stands for nodes without a subtype.
        created_before: The documents that were created before this time.
        updated_before: The documents that were last changed before this time.

    An empty list chooses nothing. A list has 1,000 values at most.
    """

    accounts: Sequence[str] | None = None
    services: Sequence[str] | None = None
    nodes: Sequence[str] | None = None
    types: Sequence[str | None] | None = None
    subtypes: Sequence[str | None] | None = None
    created_before: datetime | None = None
    updated_before: datetime | None = None


@dataclass(frozen=True)
class DocumentQuery(DocumentFilter):
    """A search for documents.

    Attributes:
        item_ids: The ids of the documents.
        text: A query for full text (D7), or None.
        conditions: Conditions on the parsed documents; all must hold.
        order_by: The orders, the most significant first. The default is by creation.
        index: The number of results to skip.
        limit: The greatest number of results, 1 to 10,000.
        cursor: The ``next_cursor`` of the page before, instead of an ``index``. The other fields must be those of that
            search.
    """

    item_ids: Sequence[str] | None = None
    text: str | None = None
    conditions: Sequence[Condition] = ()
    order_by: Sequence[Order] = (Order("creation"),)
    index: int = 0
    limit: int = 100
    cursor: str | None = None


def check_results(name: str, value: object) -> int:
    """Return a number of results. It raises unless the value is an int of 1 to ``MAX_RESULTS``."""
    number = check_limit(name, value)
    if number > MAX_RESULTS:
        raise InvalidValueError(f"{name} is {shown(value)}; pass at most {MAX_RESULTS}, and read the rest in pages")
    return number

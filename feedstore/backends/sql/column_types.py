"""The types of columns that the tables of documents have: times, JSON, words, and names in the order of their bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, Dialect, Enum, Text, TypeDecorator
from sqlalchemy.types import TypeEngine

from feedstore.storage.documents.words import words_of

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)

NAME_TYPE = Text().with_variant(Text(collation="C"), "postgresql")
"""A str that both databases sort by its bytes in UTF-8."""


def to_microseconds(time: datetime) -> int:
    """Return the microseconds since 1970 of an aware datetime."""
    return (time - _EPOCH) // _MICROSECOND


def from_microseconds(microseconds: int) -> datetime:
    """Return the time in UTC of a number of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=microseconds)


class UtcTime(TypeDecorator[datetime]):
    """An aware datetime, stored as microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Return the stored number."""
        return None if value is None else to_microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Return the time in UTC."""
        return None if value is None else from_microseconds(value)


class JsonObject(TypeDecorator[dict[str, Any]]):
    """A JSON object: ``jsonb`` in PostgreSQL, text on SQLite. Python's None is NULL.

    The text has no escapes of letters, because SQLite compares the keys of a path with the stored characters.
    """

    impl = JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the database's own type."""
        if dialect.name != "postgresql":
            return dialect.type_descriptor(Text())
        # Loaded here: a program that opens SQLite alone does not load the dialect of PostgreSQL.
        from sqlalchemy.dialects.postgresql import JSONB

        return dialect.type_descriptor(JSONB(none_as_null=True))

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Return the text for SQLite."""
        if value is None or dialect.name == "postgresql":
            return value
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Return the object of SQLite's text."""
        return json.loads(value) if isinstance(value, str) else value


class SearchWords(TypeDecorator[str]):
    """The words of plain text: a list of words for SQLite's FTS5, a ``tsvector`` in PostgreSQL.

    An application that assigns plain text stores its normalised words. The stored form is read back.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the database's own type."""
        if dialect.name != "postgresql":
            return dialect.type_descriptor(Text())
        from sqlalchemy.dialects.postgresql import TSVECTOR

        return dialect.type_descriptor(TSVECTOR())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str:
        """Return the stored form of the words."""
        words = words_of(value or "")
        return positions_of_words(words) if dialect.name == "postgresql" else " ".join(words)


def positions_of_words(words: Sequence[str]) -> str:
    """Return words as PostgreSQL writes a ``tsvector``. Words hold letters and digits alone, so nothing is escaped.

    >>> positions_of_words(["a", "b", "a"])
    "'a':1,3 'b':2"
    """
    places: dict[str, list[str]] = {}
    for number, word in enumerate(words, 1):
        places.setdefault(word, []).append(str(number))
    return " ".join(f"'{word}':{','.join(numbers)}" for word, numbers in places.items())


def state_type(states: type[StrEnum]) -> Enum:
    """Return the type of a column with the values of an enumeration."""
    return Enum(states, native_enum=False, length=16, values_callable=lambda kind: [one.value for one in kind])

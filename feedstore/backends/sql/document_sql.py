"""Pieces of SQL on documents with their parameters, and the parts of it that differ between databases.

Statements are built as text because each search has another form. Only this package's own text and paths that
:func:`feedstore.backends.sql.document_sql.quoted` quotes become SQL; every other value is a parameter.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from feedstore.storage.documents.words import AllOf, AnyOf, Phrase, TextQuery

MARK = "\0"
"""The place of a parameter. No name, path or value in SQL holds it."""
LONGEST_KEY_CHARACTERS = 501
"""The number of characters of a str that an index on a path holds. Conditions have at most one less."""


@dataclass(frozen=True, slots=True)
class Sql:
    """SQL with :data:`MARK` for each parameter, and the parameters."""

    text: str
    parameters: tuple[Any, ...] = ()

    @classmethod
    def joined(cls, separator: str, parts: Iterable[Sql]) -> Sql:
        """Return the parts with a separator in between."""
        found = list(parts)
        parameters = tuple(value for part in found for value in part.parameters)
        return cls(separator.join(part.text for part in found), parameters)

    def wrapped(self, before: str, after: str = ")") -> Sql:
        """Return the SQL between two strs of SQL without parameters."""
        return Sql(before + self.text + after, self.parameters)


def quoted(text: str) -> str:
    """Return a str as a literal of SQL. It must not hold NUL."""
    return "'" + text.replace("'", "''") + "'"


def one_of(expression: str, values: Sequence[Any]) -> Sql:
    """Return the condition that an expression has one of the values; None stands for NULL."""
    given = tuple(value for value in values if value is not None)
    parts = []
    if given:
        parts.append(Sql(f"{expression} IN ({', '.join([MARK] * len(given))})", given))
    if len(given) < len(values):
        parts.append(Sql(f"{expression} IS NULL"))
    if not parts:
        return Sql("1 = 0")
    return Sql.joined(" OR ", parts).wrapped("(")


class DocumentDialect(ABC):
    """The SQL on documents of one kind of database."""

    lock = ""
    """The end of a SELECT that locks its rows."""
    parsed_column = "i.parsed"
    """The expression that reads the parsed content as text in JSON."""
    new_row = f"({', '.join([MARK] * 8)})"
    """The values of a new document: node, id, payload, publisher, parsed, words, created and updated."""
    new_content = f"parsed = {MARK}, words = {MARK}"
    new_extra = MARK
    """The value of a node's extra object."""
    define_lower: Callable[[Any], None] | None = None
    """The definition, on the driver's connection, of a function that :meth:`elements` and :meth:`matches_pattern` need
    to ignore the case of letters. None if the database has one."""

    def __init__(self) -> None:
        self.statements: dict[tuple[str, str, bool], tuple[str, tuple[str, ...]]] = {}
        """The text of each statement of a page and the names of its parameters, by order, end and direction."""

    @abstractmethod
    def finished(self, sql: Sql) -> tuple[str, tuple[Any, ...]]:
        """Return the statement with the driver's own placeholders."""

    @abstractmethod
    def words(self, words: Sequence[str]) -> str:
        """Return the stored form of words."""

    @abstractmethod
    def exists(self, path: Sequence[str | int]) -> str:
        """Return the condition that there is a value other than null at a path."""

    @abstractmethod
    def number(self, path: Sequence[str | int], column: str = "i.parsed") -> str:
        """Return the expression of the number at a path; NULL for any other value."""

    @abstractmethod
    def key_text(self, path: Sequence[str | int], column: str = "i.parsed") -> str:
        """Return the expression of the first 501 characters of the str at a path; NULL for any other value."""

    @abstractmethod
    def whole_text(self, path: Sequence[str | int]) -> str:
        """Return the expression of the str at a path; NULL for any other value."""

    @abstractmethod
    def is_bool(self, path: Sequence[str | int], value: bool) -> str:
        """Return the condition that the value at a path is the bool."""

    @abstractmethod
    def elements(self, path: Sequence[str | int], inner: Sql) -> Sql:
        """Return the condition that an element of the list at a path meets an ``inner`` condition.

        The inner condition is on the columns ``kind`` (number, text, true, false or null), ``number``, ``string`` and
        ``lowered``.
        """

    @abstractmethod
    def matches_pattern(self, expression: str, pattern: str, ignores_case: bool) -> Sql:
        """Return the condition that a str matches a pattern of LIKE, in which a backslash escapes."""

    @abstractmethod
    def number_parameter(self, value: float) -> Any:
        """Return a number in the driver's type that is compared exactly."""

    @abstractmethod
    def full_text(self, query: TextQuery) -> tuple[str, Sql, Sql]:
        """Return a join, the condition that a document matches, and its rank, least for the best match."""


def in_syntax(query: TextQuery, phrase: Callable[[Phrase], str], both: str, either: str, without: str) -> str:
    """Return a query with the database's own operators; ``phrase`` writes a phrase.

    Excluded parts are alternatives of one exclusion, so that their number does not nest the result.
    """
    if isinstance(query, Phrase):
        return phrase(query)
    parts = [in_syntax(part, phrase, both, either, without) for part in query.parts]
    if isinstance(query, AnyOf):
        return f"({either.join(parts)})"
    assert isinstance(query, AllOf)
    found = f"({both.join(parts)})"
    if not query.without:
        return found
    return f"({found}{without}{in_syntax(AnyOf(query.without), phrase, both, either, without)})"

"""The SQL on documents in SQLite: JSON1 and FTS5."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from feedstore.backends.sql.document_sql import LONGEST_KEY_CHARACTERS, MARK, DocumentDialect, Sql, in_syntax, quoted
from feedstore.backends.sql.tables import WORDS_TABLE
from feedstore.storage.documents.words import Phrase, TextQuery

LOWER = "feedstore_lower"
"""The function that lowers the case of all letters. SQLite's own knows ASCII alone."""
_SPECIAL_IN_GLOB = "*?["


def _define_lower(connection: Any) -> None:
    connection.create_function(LOWER, 1, _lowered, deterministic=True)


class SqliteDocuments(DocumentDialect):
    """The SQL on documents in SQLite. ``LIKE`` ignores the case of ASCII letters there, so patterns become globs."""

    define_lower = staticmethod(_define_lower)

    def finished(self, sql: Sql) -> tuple[str, tuple[Any, ...]]:
        """Return the statement with question marks."""
        return sql.text.replace(MARK, "?"), sql.parameters

    def words(self, words: Sequence[str]) -> str:
        """Return the words with spaces in between."""
        return " ".join(words)

    def exists(self, path: Sequence[str | int]) -> str:
        """Compare the type, which is NULL for a path without a value."""
        return f"json_type(i.parsed, {_json_path(path)}) <> 'null'"

    def number(self, path: Sequence[str | int], column: str = "i.parsed") -> str:
        """Extract a value of the types integer and real."""
        place = f"{column}, {_json_path(path)}"
        return f"CASE WHEN json_type({place}) IN ('integer', 'real') THEN json_extract({place}) END"

    def key_text(self, path: Sequence[str | int], column: str = "i.parsed") -> str:
        """Extract the beginning of a value of the type text."""
        place = f"{column}, {_json_path(path)}"
        extracted = f"substr(json_extract({place}), 1, {LONGEST_KEY_CHARACTERS})"
        return f"CASE WHEN json_type({place}) = 'text' THEN {extracted} END"

    def whole_text(self, path: Sequence[str | int]) -> str:
        """Extract a value of the type text."""
        place = f"i.parsed, {_json_path(path)}"
        return f"CASE WHEN json_type({place}) = 'text' THEN json_extract({place}) END"

    def is_bool(self, path: Sequence[str | int], value: bool) -> str:
        """Compare the type, which is the value."""
        return f"json_type(i.parsed, {_json_path(path)}) = '{'true' if value else 'false'}'"

    def elements(self, path: Sequence[str | int], inner: Sql) -> Sql:
        """Expand the list with ``json_each``."""
        place = f"i.parsed, {_json_path(path)}"
        rows = (
            "SELECT CASE WHEN type IN ('integer', 'real') THEN 'number' ELSE type END AS kind, "
            "CASE WHEN type IN ('integer', 'real') THEN atom END AS number, "
            "CASE WHEN type = 'text' THEN atom END AS string, "
            f"CASE WHEN type = 'text' THEN {LOWER}(atom) END AS lowered FROM json_each({place})"
        )
        is_list = f"json_type({place}) = 'array'"
        return inner.wrapped(f"({is_list} AND EXISTS (SELECT 1 FROM ({rows}) WHERE ", "))")

    def matches_pattern(self, expression: str, pattern: str, ignores_case: bool) -> Sql:
        """Compare with a glob, of lowered strs if the case is ignored."""
        if ignores_case:
            return Sql(f"{LOWER}({expression}) GLOB {MARK}", (_glob(pattern.lower()),))
        return Sql(f"{expression} GLOB {MARK}", (_glob(pattern),))

    def number_parameter(self, value: float) -> Any:
        """Return the number."""
        return value

    def full_text(self, query: TextQuery) -> tuple[str, Sql, Sql]:
        """Join the index, in which bm25 is less for a better match."""
        condition = Sql(f"{WORDS_TABLE} MATCH {MARK}", (in_syntax(query, _phrase, " AND ", " OR ", " NOT "),))
        return f" JOIN {WORDS_TABLE} ON {WORDS_TABLE}.rowid = i.id", condition, Sql(f"bm25({WORDS_TABLE})")


def _lowered(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else None


def _phrase(phrase: Phrase) -> str:
    return f'"{" ".join(phrase.words)}"' + (" *" if phrase.is_prefix else "")


def _json_path(path: Sequence[str | int]) -> str:
    return quoted("$" + "".join(f"[{step}]" if isinstance(step, int) else f'."{step}"' for step in path))


def _glob(pattern: str) -> str:
    found, is_escaped = [], False
    for character in pattern:
        if is_escaped or character not in "%_\\":
            found.append(f"[{character}]" if character in _SPECIAL_IN_GLOB else character)
            is_escaped = False
        elif character == "\\":
            is_escaped = True
        else:
            found.append("*" if character == "%" else "?")
    return "".join(found)

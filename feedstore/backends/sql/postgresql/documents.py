"""The SQL on documents in PostgreSQL: jsonb and tsvector."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from feedstore.backends.sql.column_types import positions_of_words
from feedstore.backends.sql.document_sql import LONGEST_KEY_CHARACTERS, MARK, DocumentDialect, Sql, in_syntax, quoted
from feedstore.storage.documents.words import Phrase, TextQuery


class PostgresqlDocuments(DocumentDialect):
    """The SQL on documents in PostgreSQL.

    The path of a value is text of the statement, because an index on an expression serves only equal expressions.
    """

    lock = " FOR UPDATE"
    parsed_column = "i.parsed::text"
    new_row = f"({MARK}, {MARK}, {MARK}, {MARK}, CAST({MARK} AS jsonb), CAST({MARK} AS tsvector), {MARK}, {MARK})"
    new_content = f"parsed = CAST({MARK} AS jsonb), words = CAST({MARK} AS tsvector)"
    new_extra = f"CAST({MARK} AS jsonb)"

    def finished(self, sql: Sql) -> tuple[str, tuple[Any, ...]]:
        """Return the statement with ``%s``, and other percent signs doubled."""
        return sql.text.replace("%", "%%").replace(MARK, "%s"), sql.parameters

    def words(self, words: Sequence[str]) -> str:
        """Return the text of a tsvector."""
        return positions_of_words(words)

    def exists(self, path: Sequence[str | int]) -> str:
        """Compare the type, which is NULL for a path without a value."""
        return f"jsonb_typeof({_value(path, 'i.parsed')}) <> 'null'"

    def number(self, path: Sequence[str | int], column: str = "i.parsed") -> str:
        """Cast a value of the type number."""
        value = _value(path, column)
        return f"CASE WHEN jsonb_typeof({value}) = 'number' THEN ({value})::numeric END"

    def key_text(self, path: Sequence[str | int], column: str = "i.parsed") -> str:
        """Extract the beginning of a value of the type string. An entry of an index holds 2,704 bytes at most."""
        value = _value(path, column)
        extracted = f"left({value} #>> '{{}}', {LONGEST_KEY_CHARACTERS})"
        return f"(CASE WHEN jsonb_typeof({value}) = 'string' THEN {extracted} END) COLLATE \"C\""

    def whole_text(self, path: Sequence[str | int]) -> str:
        """Extract a value of the type string."""
        value = _value(path, "i.parsed")
        return f"(CASE WHEN jsonb_typeof({value}) = 'string' THEN {value} #>> '{{}}' END)"

    def is_bool(self, path: Sequence[str | int], value: bool) -> str:
        """Compare with the value in JSON."""
        return f"{_value(path, 'i.parsed')} = '{'true' if value else 'false'}'::jsonb"

    def elements(self, path: Sequence[str | int], inner: Sql) -> Sql:
        """Expand the list with ``jsonb_array_elements``."""
        value = _value(path, "i.parsed")
        array = f"CASE WHEN jsonb_typeof({value}) = 'array' THEN {value} ELSE '[]'::jsonb END"
        rows = (
            "SELECT CASE jsonb_typeof(element) WHEN 'string' THEN 'text' WHEN 'boolean' THEN element #>> '{}' "
            "ELSE jsonb_typeof(element) END AS kind, "
            "CASE WHEN jsonb_typeof(element) = 'number' THEN element::numeric END AS number, "
            "CASE WHEN jsonb_typeof(element) = 'string' THEN element #>> '{}' END AS string, "
            "CASE WHEN jsonb_typeof(element) = 'string' THEN lower(element #>> '{}') END AS lowered "
            f"FROM jsonb_array_elements({array}) AS element"
        )
        return inner.wrapped(f"EXISTS (SELECT 1 FROM ({rows}) AS elements WHERE ")

    def matches_pattern(self, expression: str, pattern: str, ignores_case: bool) -> Sql:
        """Compare with LIKE, or with ILIKE if the case is ignored."""
        return Sql(f"{expression} {'ILIKE' if ignores_case else 'LIKE'} {MARK}", (pattern,))

    def number_parameter(self, value: float) -> Any:
        """Return a Decimal. A comparison with a float would not use an index on numbers, and would round them."""
        return Decimal(str(value))

    def full_text(self, query: TextQuery) -> tuple[str, Sql, Sql]:
        """Compare the words with a tsquery, whose rank is greater for a better match."""
        written = (in_syntax(query, _phrase, " & ", " | ", " & !"),)
        rank = Sql(f"-ts_rank(i.words, CAST({MARK} AS tsquery))", written)
        return "", Sql(f"i.words @@ CAST({MARK} AS tsquery)", written), rank


def _phrase(phrase: Phrase) -> str:
    return "(" + " <-> ".join(f"'{word}'" for word in phrase.words) + (":*" if phrase.is_prefix else "") + ")"


def _value(path: Sequence[str | int], column: str) -> str:
    """Return the value at a path. The operator ``->`` would take a scalar for a list of one value."""
    steps = "".join(f"[{step}]" if isinstance(step, int) else f'."{step}"' for step in path)
    return f"jsonb_path_query_first({column}, {quoted(f'strict ${steps}')}, '{{}}', true)"

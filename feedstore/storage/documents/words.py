"""Full text: the words of documents, and the syntax of queries, which are the same on every store.

A word is a run of letters and digits. Case and accents are ignored. Each ideograph and kana is a word of its own,
because these scripts separate no words; a run of them in a query is a phrase.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.shown import shown

MOST_WORDS = 16_000
"""The number of words of a document that are indexed. PostgreSQL counts positions up to 16,383."""
LONGEST_WORD = 64
_MOST_CHARACTERS = 400_000
_MOST_BYTES = 500_000
_MOST_QUERY_CHARACTERS = 1000
_DEEPEST = 10
"""The number of levels of parentheses. SQLite's parser of queries has room for 100 open operators and parentheses."""
_ACCENTS = re.compile("[\u0300-\u036f]+")
_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_IDEOGRAPHS}]|[^\W_{_IDEOGRAPHS}]+")
_TOKEN = re.compile(
    r'\s+|(?P<bracket>[()])|(?P<minus>-(?=\S))?(?:"(?P<phrase>[^"]*)"|(?P<word>[^\s()"]+))(?P<star>\*)?'
)


class Phrase(NamedTuple):
    """Words that follow each other. With ``is_prefix``, the last one is only the beginning of a word."""

    words: tuple[str, ...]
    is_prefix: bool = False


class AllOf(NamedTuple):
    """All of ``parts`` and none of ``without``."""

    parts: tuple[TextQuery, ...]
    without: tuple[TextQuery, ...] = ()


class AnyOf(NamedTuple):
    """At least one of ``parts``."""

    parts: tuple[TextQuery, ...]


TextQuery = Phrase | AllOf | AnyOf


def words_of(text: str) -> tuple[str, ...]:
    """Return the normalised words of a str, in order: the first 16,000, each cut after 64 characters.

    >>> words_of("Déjà vu: <b>x_1</b>")
    ('deja', 'vu', 'b', 'x', '1', 'b')
    """
    found = _normalised_words(text[:_MOST_CHARACTERS])[:MOST_WORDS]
    size = 0
    for number, word in enumerate(found):
        size += len(word.encode())
        if size > _MOST_BYTES:
            return tuple(found[:number])
    return tuple(found)


def _normalised_words(text: str) -> list[str]:
    if not text.isascii():
        text = _ACCENTS.sub("", unicodedata.normalize("NFKD", text))
    return [word[:LONGEST_WORD] for word in _WORD.findall(text.casefold())]


def parse_text_query(text: str) -> TextQuery:
    """Return the parsed form of a full-text query (D7).

    Words that stand beside each other must all occur; ``AND`` between them changes nothing. ``"words in quotes"`` occur
    one after another, ``begin*`` is the beginning of a word, ``OR`` separates alternatives, ``-word`` and ``NOT word``
    must not occur, and parentheses group.

    Raises:
        InvalidTypeError: The query is not a str.
        InvalidValueError: The syntax is bad. The message names the mistake.

    >>> parse_text_query("rare OR wor*")
    AnyOf(parts=(Phrase(words=('rare',), is_prefix=False), Phrase(words=('wor',), is_prefix=True)))
    """
    if not isinstance(text, str):
        raise InvalidTypeError(f"the text of a query must be a str, not {shown(text)} of type {type(text).__name__}")
    if len(text) > _MOST_QUERY_CHARACTERS:
        raise InvalidValueError(
            f"the text of the query has {len(text)} characters; pass at most {_MOST_QUERY_CHARACTERS}"
        )
    return _Parser(text).parse()


class _Parser:
    """A parser by recursive descent: alternatives of sequences of terms."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split(text)
        self._place = 0

    def _split(self, text: str) -> list[re.Match[str]]:
        tokens, end = [], 0
        while end < len(text):
            match = _TOKEN.match(text, end)
            if match is None:
                raise self._error("a quotation mark is not closed")
            end = match.end()
            if not match[0].isspace():
                tokens.append(match)
        return tokens

    def parse(self) -> TextQuery:
        """Return the query. It raises for characters that do not belong to it."""
        query = self._any_of(_DEEPEST + 1)
        if self._place < len(self._tokens):
            raise self._error("a closing parenthesis has no opening one")
        return query

    def _any_of(self, levels: int) -> TextQuery:
        if not levels:
            raise self._error(f"parentheses are nested more than {_DEEPEST} levels deep")
        parts = [self._all_of(levels)]
        while self._is_word("OR"):
            self._place += 1
            parts.append(self._all_of(levels))
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _all_of(self, levels: int) -> TextQuery:
        parts: list[TextQuery] = []
        without: list[TextQuery] = []
        while self._place < len(self._tokens) and not self._is_word("OR"):
            token = self._tokens[self._place]
            if token["bracket"] == ")":
                break
            self._place += 1
            if token[0] == "AND":
                continue
            is_without = token["minus"] is not None
            if token[0] == "NOT":
                token, is_without = self._next(), True
            (without if is_without else parts).append(self._term(token, levels))
        if not parts:
            raise self._error("each alternative needs a word to find")
        return parts[0] if len(parts) == 1 and not without else AllOf(tuple(parts), tuple(without))

    def _next(self) -> re.Match[str]:
        if self._place == len(self._tokens):
            raise self._error("NOT has no word")
        self._place += 1
        return self._tokens[self._place - 1]

    def _term(self, token: re.Match[str], levels: int) -> TextQuery:
        if token["bracket"] == ")":
            raise self._error("a closing parenthesis has no opening one")
        if token["bracket"] is None:
            return self._phrase(token)
        query = self._any_of(levels - 1)
        if self._place == len(self._tokens):
            raise self._error("a parenthesis is not closed")
        self._place += 1
        return query

    def _phrase(self, token: re.Match[str]) -> Phrase:
        word = token["word"]
        is_prefix = token["star"] is not None or (word is not None and word.endswith("*"))
        words = tuple(_normalised_words(token["phrase"] if word is None else word))
        if not words:
            raise self._error(f"{shown(token[0])} holds no letter or digit")
        return Phrase(words, is_prefix)

    def _is_word(self, word: str) -> bool:
        return self._place < len(self._tokens) and self._tokens[self._place][0] == word

    def _error(self, problem: str) -> InvalidValueError:
        return InvalidValueError(
            f'the full-text query {shown(self._text)} has a bad syntax: {problem}; it takes words, "phrases", begin*, '
            "OR, -without and parentheses"
        )

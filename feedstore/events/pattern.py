"""Regular expressions whose matching takes linear time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from feedstore.errors import InvalidSearchError, MissingDriverError
from feedstore.shown import shown

_MOST_BYTES = 8 << 20
_UNSUPPORTED = {
    "(?=": "a lookahead, (?=…)",
    "(?!": "a negative lookahead, (?!…)",
    "(?<=": "a lookbehind, (?<=…)",
    "(?<!": "a negative lookbehind, (?<!…)",
    "(?>": "an atomic group, (?>…)",
    "(?P=": "a named backreference, (?P=name)",
    "(?(": "a conditional group, (?(…)…)",
    "(?#": "a comment, (?#…)",
}


_Text = TypeVar("_Text", str, bytes, contravariant=True)


class Pattern(Protocol[_Text]):
    """A compiled regular expression of strs, or of bytes in UTF-8."""

    def search(self, text: _Text) -> object | None:
        """Return a match anywhere in a value, or None."""

    def match(self, text: _Text) -> object | None:
        """Return a match at the start of a value, or None."""


def compile_pattern(pattern: str) -> Pattern[str]:
    """Return the compiled form of a regular expression in RE2's syntax, which matches in linear time.

    Raises:
        InvalidSearchError: It is not a str, or RE2 refuses it; the message names the construct.
        MissingDriverError: google-re2 is not installed.
    """
    compiled: Pattern[str] = _compiled(pattern, lambda text: text)
    return compiled


def compile_content_pattern(pattern: str) -> Pattern[bytes]:
    """Return the compiled form that matches contents in UTF-8, without encoding them; see :func:`compile_pattern`."""
    compiled: Pattern[bytes] = _compiled(pattern, str.encode)
    return compiled


def _compiled(pattern: str, form: Callable[[str], str | bytes]) -> Any:
    if not isinstance(pattern, str):
        raise InvalidSearchError(f"a pattern must be a str, not {shown(pattern)} of type {type(pattern).__name__}")
    try:
        import re2
    except ImportError:
        raise MissingDriverError("patterns need google-re2; install feedstore[events]") from None
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MOST_BYTES
    # Only whether a pattern matches counts, and the search for the groups of a match takes longer than that of a match.
    options.never_capture = True
    try:
        return re2.compile(form(pattern), options)
    except (re2.error, UnicodeEncodeError) as error:
        raise InvalidSearchError(f"the pattern {shown(pattern)} is refused: {_reason(pattern, error)}") from None


def _reason(pattern: str, error: Exception) -> str:
    """Return the reason why RE2 refuses a pattern; a construct that Python's ``re`` has and RE2 has not is named."""
    reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
    kind, _, fragment = reason.partition(": ")
    if kind == "invalid escape sequence" and fragment[1:2].isdigit():
        return f"it has a backreference, {fragment}, which RE2 does not support because it takes more than linear time"
    if kind == "invalid perl operator":
        for start, name in _UNSUPPORTED.items():
            if start.startswith(fragment[:3]) and start in pattern:
                return f"it has {name}, which RE2 does not support"
    if kind == "bad repetition operator":
        return f"it has a possessive or repeated quantifier, {fragment}, which RE2 does not support"
    return reason

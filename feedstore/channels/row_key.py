"""The keys of a repository's rows."""

from __future__ import annotations

from hashlib import sha256

_SEPARATOR = ":"
_TOGETHER = "{rows}"
_LONGEST_PART_BYTES = 300


def row_key(*parts: str) -> str:
    """Return the key that the parts make, with a separator behind each.

    Every key begins with the same text in braces, so one atomic batch holds them on a cluster too (T22). The key of
    some parts is a prefix of exactly the keys that have more parts behind these same ones (K1): a part never holds the
    separator, and ``~`` introduces what is escaped. A part that would be longer than 300 bytes is
    replaced by its SHA-256, so that keys of three parts end before 1,024 bytes.

    >>> row_key("connections", "news:today", "~ann")
    '{rows}connections:news~1today:~0ann:'
    """
    return _TOGETHER + "".join(_escaped(part) + _SEPARATOR for part in parts)


def _escaped(part: str) -> str:
    escaped = part.replace("~", "~0").replace(_SEPARATOR, "~1")
    if len(escaped.encode()) <= _LONGEST_PART_BYTES:
        return escaped
    return f"~2{sha256(part.encode()).hexdigest()}"

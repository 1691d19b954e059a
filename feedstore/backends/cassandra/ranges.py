"""Ranges of clustering keys. Scans read them page by page in either direction."""

from __future__ import annotations

from typing import NamedTuple


class KeyRange(NamedTuple):
    """The keys from ``first`` to before ``end``, in the order of their bytes."""

    first: bytes
    end: bytes

    @property
    def is_empty(self) -> bool:
        """Whether the range contains no key."""
        return self.first >= self.end

    def after(self, key: bytes, descending: bool) -> KeyRange:
        """Return the part of the range that a scan in this direction reads after ``key``."""
        if descending:
            return self._replace(end=min(self.end, key))
        return self._replace(first=max(self.first, following(key)))


def following(key: bytes) -> bytes:
    """Return the first key after ``key``."""
    return key + b"\x00"

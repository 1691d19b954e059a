"""Who follows whom."""

from __future__ import annotations

from urllib.parse import quote

from feedstore.storage import Backend


class Follows:
    """Followers by whom they follow, in a key-value storage."""

    def __init__(self, backend: Backend) -> None:
        self._items = backend.kv_storage("follows")

    def add(self, follower: str, followee: str) -> None:
        """Let somebody follow somebody; again is no error."""
        self._items.upsert(f"{_part(followee)}:{_part(follower)}", follower)

    def followers(self, followee: str) -> list[str]:
        """Return who follows somebody."""
        return list(self._items.fetch_by_prefix(f"{_part(followee)}:"))


def _part(name: str) -> str:
    return quote(name, safe="")

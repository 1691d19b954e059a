"""The follow graph of the application."""

from __future__ import annotations

from urllib.parse import quote

from feedstore.storage import Backend


class Follows:
    """The followers of each user, in a key-value storage."""

    def __init__(self, backend: Backend) -> None:
        self._items = backend.kv_storage("follows")

    def add(self, follower: str, followee: str) -> None:
        """Let ``follower`` follow ``followee``. Repeating the call is not an error."""
        self._items.upsert(f"{_part(followee)}:{_part(follower)}", follower)

    def followers(self, followee: str) -> list[str]:
        """Return the names of a user's followers."""
        return list(self._items.fetch_by_prefix(f"{_part(followee)}:"))


def _part(name: str) -> str:
    return quote(name, safe="")

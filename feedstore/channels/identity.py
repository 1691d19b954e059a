"""The ids of channels, connections and listeners."""

from __future__ import annotations

from uuid import uuid4

from feedstore.storage.key import check_key


def given_or_new(identifier: str | None, what: str) -> str:
    """Return the id, or a random UUID's text for None. An id follows the rules of keys: 1 to 1,024 bytes in UTF-8."""
    return str(uuid4()) if identifier is None else check_key(identifier, what)

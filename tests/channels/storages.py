"""Third-party storages: objects with only the five methods that eric-sse's storages have."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from feedstore.channels import KvStorage


class SubclassStorage(KvStorage):
    """A subclass of the seed's abstract class, with its five methods alone."""

    def __init__(self) -> None:
        self.stored: dict[str, Any] = {}

    def fetch_by_prefix(self, prefix: str) -> list[Any]:
        return [value for key, value in self.stored.items() if key.startswith(prefix)]

    def fetch_all(self) -> list[Any]:
        return list(self.stored.values())

    def upsert(self, key: str, value: Any) -> None:
        self.stored[key] = value

    def fetch_one(self, key: str) -> Any:
        return self.stored[key]

    def delete(self, key: str) -> None:
        self.stored.pop(key, None)


class AbsentKey(Exception):
    """The error of a third-party storage for an absent key. It is no LookupError."""


class ForeignStorage:
    """Items in a dictionary. It returns the stored objects themselves, and refuses writes during a scan."""

    def __init__(self) -> None:
        self.items: dict[str, Any] = {}

    def fetch_by_prefix(self, prefix: str) -> Iterator[Any]:
        return (value for key, value in self.items.items() if key.startswith(prefix))

    def fetch_all(self) -> Iterator[Any]:
        return iter(self.items.values())

    def upsert(self, key: str, value: Any) -> None:
        self.items[key] = value

    def fetch_one(self, key: str) -> Any:
        if key not in self.items:
            raise AbsentKey(key)
        return self.items[key]

    def delete(self, key: str) -> None:
        self.items.pop(key, None)


class NoneForAbsent(ForeignStorage):
    """A storage that returns None for an absent key, and reads a prefix as a glob."""

    def fetch_by_prefix(self, prefix: str) -> Iterator[Any]:
        return (value for key, value in self.items.items() if key.startswith(prefix) or fnmatchcase(key, f"{prefix}*"))

    def fetch_one(self, key: str) -> Any:
        return self.items.get(key)

"""The names of the storages of a namespace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from feedstore.storage.checks import DEFAULT_NAME, collection_name


@dataclass(frozen=True)
class StorageNames:
    """The names under which a namespace has storages, for statistics, copies and erasure. Some may be empty.

    Attributes:
        collections: The collections of activities and timelines, ``default`` among them.
        kv: The key-value storages that hold an item.
        queues: The queues, or None if the store keeps only hashes of their names.
        is_complete: Whether the first two are complete. A store keeps only a hash of a collection's name if the name
            holds other characters than a namespace, or if both have more than 47 characters together. It finds the
            name if the caller passes it. A backend without this walk does not know whether its names are complete.
    """

    collections: tuple[str, ...] = (DEFAULT_NAME,)
    kv: tuple[str, ...] = (DEFAULT_NAME,)
    queues: tuple[str, ...] | None = None
    is_complete: bool = False

    @classmethod
    def found(
        cls,
        namespace: str,
        known: Mapping[str, str],
        collections: Iterable[str],
        kv: Iterable[str],
        queues: Iterable[str] | None,
    ) -> StorageNames:
        """Return the names of a walk.

        Args:
            namespace: The namespace.
            known: Names of collections by the namespaces that hold these collections.
            collections: The namespaces that hold collections, of this namespace or of others.
            kv: The names of key-value storages.
            queues: The names of queues, or None.
        """
        names = {known.get(one) or collection_name(namespace, one) for one in collections}
        readable = {name for name in names if name} | {DEFAULT_NAME}
        return cls(
            tuple(sorted(readable)),
            tuple(sorted(set(kv))),
            None if queues is None else tuple(sorted(set(queues))),
            None not in names,
        )

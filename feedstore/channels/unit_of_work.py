"""Writes of several repositories that are to happen together."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, NamedTuple, Protocol

from feedstore.storage import AtomicScope, KvStorage
from feedstore.storage.batch import Batch


class KeyValueStorage(Protocol):
    """What a repository needs of a storage: the methods that eric-sse's ``KvStorage`` has, and no others.

    One that has ``fetch_many(keys) -> {key: value}`` too, which leaves absent keys out, is asked for many at once.
    """

    def fetch_by_prefix(self, prefix: str) -> Any:
        """Return the values whose keys start with ``prefix``."""

    def fetch_all(self) -> Any:
        """Return every value."""

    def upsert(self, key: str, value: Any) -> Any:
        """Insert or replace a value."""

    def fetch_one(self, key: str) -> Any:
        """Return the value of a key, or raise."""

    def delete(self, key: str) -> Any:
        """Delete a key; one that is not there is no error."""


class _Write(NamedTuple):
    storage: KeyValueStorage
    method: str
    arguments: tuple[Any, ...]

    def run(self, batch: Batch | None) -> None:
        options = {} if batch is None else {"batch_interface": batch}
        getattr(self.storage, self.method)(*self.arguments, **options)


class UnitOfWork:
    """A context manager that collects writes, and sends them in their order when it ends without an exception.

    Where all go to key-value storages of one backend, they are one batch: one round trip or a few, and all or nothing
    as far as the backend's atomic scope reaches. Elsewhere they are carried out one after the other, and a crash may
    leave the first of them.
    """

    def __init__(self) -> None:
        self._writes: list[_Write] = []

    def upsert(self, storage: KeyValueStorage, key: str, value: Any) -> None:
        """Collect an insertion or replacement."""
        self._writes.append(_Write(storage, "upsert", (key, value)))

    def delete(self, storage: KeyValueStorage, key: str) -> None:
        """Collect a deletion."""
        self._writes.append(_Write(storage, "delete", (key,)))

    def __enter__(self) -> UnitOfWork:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        writes, self._writes = self._writes, []
        if error is None:
            _send(writes)


def _send(writes: Sequence[_Write]) -> None:
    storages = _of_one_backend(writes)
    if storages:
        with storages[0].backend.batch(atomic=_is_in_atomic_scope(storages)) as batch:
            for write in writes:
                write.run(batch)
    else:
        for write in writes:
            write.run(None)


def _of_one_backend(writes: Sequence[_Write]) -> list[KvStorage]:
    """Return the storages that are written to, or none at all if a batch cannot hold all of the writes."""
    storages = [write.storage for write in writes]
    own = [storage for storage in storages if isinstance(storage, KvStorage)]
    is_one = len(own) == len(storages) and all(own[0].backend.shares_batches_with(one.backend) for one in own)
    return own if is_one else []


def _is_in_atomic_scope(storages: Sequence[KvStorage]) -> bool:
    scope = storages[0].backend.abilities.atomic_scope
    # All items of one name lie together, wherever that is.
    return scope is AtomicScope.BACKEND or (
        scope in (AtomicScope.SLOT, AtomicScope.EVENTUAL) and len({one.name for one in storages}) == 1
    )

"""Writes of several repositories that are to happen together."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, NamedTuple, Protocol

from feedstore.errors import AtomicityError
from feedstore.storage import Backend, KvStorage
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
    backend = _common_backend(writes)
    if backend is None:
        for write in writes:
            write.run(None)
        return
    try:
        _send_batch(backend, writes, atomic=True)
    except AtomicityError:
        # Nothing was sent. The order of the writes is one that may be interrupted.
        _send_batch(backend, writes, atomic=False)


def _send_batch(backend: Backend, writes: Sequence[_Write], atomic: bool) -> None:
    with backend.batch(atomic=atomic) as batch:
        for write in writes:
            write.run(batch)


def _common_backend(writes: Sequence[_Write]) -> Backend | None:
    """Return the backend whose batch can hold all of the writes, or None."""
    backends = [write.storage.backend for write in writes if isinstance(write.storage, KvStorage)]
    if not backends or len(backends) < len(writes):
        return None
    return backends[0] if all(backends[0].shares_batches_with(one) for one in backends) else None

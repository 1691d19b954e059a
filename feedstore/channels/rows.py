"""Rows of repositories in key-value storages: their keys, their values, and the batches that write them together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from hashlib import sha256
from typing import Any, Protocol, cast

from feedstore.errors import AtomicityError, InvalidTypeError, ItemNotFound, StoredDataError
from feedstore.shown import shown
from feedstore.storage import Batch, KvStorage
from feedstore.storage.batch import WriteBatch
from feedstore.storage.checks import check_key
from feedstore.storage.session import AUTOCOMMIT, Operation, Pending, Session, Transaction

_METHODS = ("fetch_by_prefix", "fetch_all", "upsert", "fetch_one", "delete")
_SEPARATOR = ":"
_TOGETHER = "{rows}"
_LONGEST_PART_BYTES = 300


class KeyValueStorage(Protocol):
    """The methods that a repository calls on its storage, which are those of eric-sse's ``KvStorage``.

    If a storage also has ``fetch_many(keys) -> {key: value}``, which leaves absent keys out, a repository reads many
    rows with one call.
    """

    def fetch_by_prefix(self, prefix: str) -> Any:
        """Return the values whose keys start with ``prefix``."""

    def fetch_all(self) -> Any:
        """Return every value."""

    def upsert(self, key: str, value: Any) -> Any:
        """Insert or replace a value."""

    def fetch_one(self, key: str) -> Any:
        """Return the value of a key. Raise any exception if the key is absent."""

    def delete(self, key: str) -> Any:
        """Delete a key; an absent key is no error."""


class RowBatch:
    """The collected writes of repositories, which :func:`write_together` commits in their order.

    It refuses conditional writes, because the commit may not be atomic.
    """

    atomic = False

    def __init__(self) -> None:
        self._writes: list[Operation | Callable[[], object]] = []

    def add(self, write: Callable[[], object]) -> None:
        """Collect a write to a foreign storage."""
        self._writes.append(write)

    def enqueue(
        self,
        session: Session[Any],
        write: Callable[[Transaction], Pending[Any]],
        report: Callable[[], None] | None = None,
        keys: Sequence[str] = (),
    ) -> None:
        """Collect a write of a backend's storage, as :meth:`feedstore.storage.batch.WriteBatch.enqueue` does."""
        self._writes.append(Operation(session, write, report, keys))

    def commit_in_batch(self, session: Session[Any], atomic: bool) -> None:
        """Commit the writes as one batch of their backend."""
        with WriteBatch(session, atomic=atomic) as batch:
            for write in self._writes:
                batch.enqueue(*cast(Operation, write))

    def commit_one_by_one(self) -> None:
        """Carry out the writes one after the other. A crash may leave only the first of them."""
        for write in self._writes:
            if isinstance(write, Operation):
                write.write(AUTOCOMMIT)
                if write.report is not None:
                    write.report()
            else:
                write()


def write_together(storages: Iterable[KeyValueStorage], collect: Callable[[RowBatch], None]) -> None:
    """Call ``collect`` once with a batch that its writes join, and commit the writes.

    If all storages are key-value storages of one backend, the writes are one atomic batch. If the backend cannot commit
    that batch atomically, the writes are sent as a batch without atomicity, in the same order. Otherwise they are
    carried out one after the other. If ``collect`` raises, nothing is written.
    """
    writes = RowBatch()
    collect(writes)
    session = _common_session(list(storages))
    if session is None:
        writes.commit_one_by_one()
        return
    try:
        writes.commit_in_batch(session, atomic=True)
    except AtomicityError:
        writes.commit_in_batch(session, atomic=False)


def _common_session(storages: Sequence[KeyValueStorage]) -> Session[Any] | None:
    """Return the session whose batch can hold the writes of all storages, or None."""
    sessions = [storage.session for storage in storages if isinstance(storage, KvStorage)]
    if not sessions or len(sessions) < len(storages):
        return None
    return sessions[0] if all(sessions[0].shares_batches_with(other) for other in sessions) else None


class RepositoryRows:
    """Plain values by one or more ids, under a ``name`` that separates them from other rows of the same storage.

    A row holds its ids beside its value, so the rows of two names are never confused, however a storage compares
    prefixes. The storage is a backend's, or any object with the five methods of eric-sse's.
    """

    def __init__(self, storage: KeyValueStorage, name: str) -> None:
        missing = [method for method in _METHODS if not callable(getattr(storage, method, None))]
        if missing:
            raise InvalidTypeError(
                f"storage must be a key-value storage; {shown(storage)} has no method {missing[0]}; pass "
                "backend.kv_storage(name), or an object with that method"
            )
        self.storage = storage
        self.name = check_key(name, "name")

    def get(self, *ids: str) -> Any:
        """Return the value of a row, or raise :class:`ItemNotFound`. One round trip."""
        row = self._fetch(self._key(ids))
        if row is None:
            raise ItemNotFound(f"nothing is stored in {shown(self.name)} for {' and '.join(map(shown, ids))}")
        return self._opened(row)[1]

    def get_many(self, ids: Iterable[str]) -> dict[str, Any]:
        """Return ``{id: value}`` of the rows that exist.

        A bounded number of round trips if the storage has ``fetch_many``, as a backend's has; else one for each row.
        """
        keys = {self._key((row_id,)): row_id for row_id in ids}
        fetch_many = getattr(self.storage, "fetch_many", None)
        if callable(fetch_many):
            rows = fetch_many(keys)
        else:
            found = ((key, self._fetch(key)) for key in keys)
            rows = {key: row for key, row in found if row is not None}
        return {keys[key]: self._opened(row)[1] for key, row in rows.items()}

    def scan(self, *ids: str) -> Iterator[tuple[list[str], Any]]:
        """Yield ``(ids, value)`` of the rows whose first ids are these, in undefined order.

        With a backend's storage the costs are proportional to the yielded rows. Rows may be written and deleted during
        the scan.
        """
        rows = self.storage.fetch_by_prefix(self._key(ids))
        # A foreign storage may not allow writes during a scan.
        for row in rows if isinstance(self.storage, KvStorage) else list(rows):
            found, value = self._opened(row)
            if found[: len(ids)] == list(ids):
                yield found, value

    def put(self, value: Any, *ids: str, batch: Batch | RowBatch | None = None) -> None:
        """Insert or replace a row. One round trip, or none in a batch."""
        self._write("upsert", batch, self._key(ids), {"ids": list(ids), "value": value})

    def drop(self, *ids: str, batch: Batch | RowBatch | None = None) -> None:
        """Delete a row; an absent row is no error. One round trip, or none in a batch."""
        self._write("delete", batch, self._key(ids))

    def _write(self, method: str, batch: Batch | RowBatch | None, *arguments: Any) -> None:
        write = getattr(self.storage, method)
        if batch is None:
            write(*arguments)
        elif isinstance(self.storage, KvStorage):
            write(*arguments, batch_interface=batch)
        elif isinstance(batch, RowBatch):
            batch.add(partial(write, *arguments))
        else:
            raise InvalidTypeError(
                f"batch_interface is the batch of a backend, and the writes of {shown(self.storage)} cannot join it; "
                "call the method without a batch"
            )

    def _key(self, ids: tuple[str, ...]) -> str:
        return row_key(self.name, *(check_key(row_id, "id") for row_id in ids))

    def _opened(self, row: Any) -> tuple[list[str], Any]:
        if not isinstance(row, dict) or row.keys() != {"ids", "value"}:
            raise StoredDataError(
                f"{shown(self.name)} holds {shown(row)}, which no repository wrote; another program writes there"
            )
        return row["ids"], row["value"]

    def _fetch(self, key: str) -> Any:
        """Return the row of a key, or None."""
        try:
            return self.storage.fetch_one(key)
        except ItemNotFound:
            return None
        # Foreign storages signal an absent key with exceptions of their own. A scan by prefix confirms that the key is
        # absent, because no other key of these rows begins with it.
        except Exception:
            if isinstance(self.storage, KvStorage) or any(True for _ in self.storage.fetch_by_prefix(key)):
                raise
            return None


def row_key(*parts: str) -> str:
    """Return the key of the given parts, with a separator after each.

    Every key begins with the same braces, so a cluster keeps all keys in one bucket and one atomic batch can hold them
    (T22: keys with equal text in braces lie together). A key is a prefix of exactly the keys that continue its parts
    (K1: prefixes are compared literally): a part never contains the separator, and ``~`` begins an escape. A part that
    would be longer than 300 bytes is replaced by its SHA-256, so keys of three parts are shorter than 1,024 bytes.

    >>> row_key("connections", "news:today", "~ann")
    '{rows}connections:news~1today:~0ann:'
    """
    return _TOGETHER + "".join(_escaped(part) + _SEPARATOR for part in parts)


def _escaped(part: str) -> str:
    escaped = part.replace("~", "~0").replace(_SEPARATOR, "~1")
    if len(escaped.encode()) <= _LONGEST_PART_BYTES:
        return escaped
    return f"~2{sha256(part.encode()).hexdigest()}"

"""The key-value storage's contract."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from feedstore.errors import (
    AtomicityError,
    ConditionFailedError,
    InvalidTypeError,
    InvalidValueError,
    ItemNotFound,
    StoredDataError,
)
from feedstore.serializers.values import naming, pack_value, unpack_value
from feedstore.shown import WHOLE_KEY, shown
from feedstore.storage.base import Writer
from feedstore.storage.batch import WriteBatch
from feedstore.storage.checks import check_key, check_position, check_prefix, distinct_keys
from feedstore.storage.session import AUTOCOMMIT, Pending, Transaction, checked_session

FORMAT = 0x01
_PREFIX = bytes([FORMAT])
_KEYS_PER_DELETION = 256
_Item = TypeVar("_Item")


class KvStorage(Writer):
    """A storage of plain values by key, with scans by prefix in the order of the keys.

    A key is a str of 1 to 1,024 bytes in UTF-8, of any characters. Glob characters, separators, quotes and NUL have no
    meaning (K2). Keys are ordered by code point, which is the order of their UTF-8 bytes. A value is None, bool, int,
    float, str, bytes, list, dict, aware datetime, date, Decimal or UUID, and is returned with the same type. A tuple is
    returned as a list, and a member of a str or int enumeration as its value. Any other type raises an
    :class:`InvalidTypeError` that names the key (K6). Each ``name`` is a separate key space.

    - K1 A prefix matches longer sibling keys too, because it is compared character by character: separate and escape
      the parts of a key.
    - K3 A scan may run during writes and deletions. It returns a key that is written or deleted during the scan once or
      not at all.
    """

    def __init__(self, *, backend: Any, name: str = "default") -> None:
        self.session = checked_session(backend)
        self.name = check_key(name, "name")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(backend={self.session!r}, name={shown(self.name)})"

    def upsert(self, key: str, value: Any, *, batch_interface: WriteBatch | None = None) -> None:
        """Insert or replace the value of ``key``. One round trip."""
        check_key(key)
        data = encode_value(key, value)
        self._write(batch_interface, self._upsert, key, data)

    def insert(self, key: str, value: Any, *, batch_interface: WriteBatch | None = None) -> bool | None:
        """Store the value of ``key`` unless the key exists. Return whether the value was stored (K7).

        If several processes insert one key, exactly one gets True. In an atomic batch the insert is a precondition: if
        the key exists, the batch raises :class:`ConditionFailedError` and writes nothing. It costs one round trip.
        """
        check_key(key)
        return self._write_conditionally(key, None, encode_value(key, value), batch_interface)

    def replace(self, key: str, old: Any, new: Any, *, batch_interface: WriteBatch | None = None) -> bool | None:
        """Store ``new`` as the value of ``key`` if the value is ``old``. Return whether it was stored (K7).

        The stored bytes are compared, so the order of a dict's keys matters: pass the result of :meth:`get`. In an
        atomic batch it is a precondition like :meth:`insert`. It costs one round trip.
        """
        check_key(key)
        return self._write_conditionally(key, encode_value(key, old), encode_value(key, new), batch_interface)

    def require(self, key: str, value: Any, *, batch_interface: WriteBatch | None = None) -> None:
        """Add the precondition to an atomic batch that ``key`` has ``value``, without changing it (K7)."""
        check_key(key)
        expected = encode_value(key, value)
        self._write_conditionally(key, expected, expected, self._checked_atomic(batch_interface))

    def require_absent(self, key: str, *, batch_interface: WriteBatch | None = None) -> None:
        """Add the precondition to an atomic batch that ``key`` has no value (K7)."""
        self._write_conditionally(check_key(key), None, None, self._checked_atomic(batch_interface))

    def _checked_atomic(self, batch_interface: WriteBatch | None) -> WriteBatch:
        batch = self._batch_to_join(batch_interface)
        if batch is None:
            raise InvalidTypeError("a precondition needs an atomic batch; pass batch_interface=batch")
        return batch

    def _write_conditionally(
        self, key: str, expected: bytes | None, data: bytes | None, batch_interface: WriteBatch | None
    ) -> bool | None:
        abilities = self.session.abilities
        batch = self._batch_to_join(batch_interface)
        if batch is None:
            if not abilities.conditional_writes:
                raise AtomicityError(f"{self.session.backend_class.__name__} has no conditional writes; use upsert")
            return self._write(None, self._compare_and_set, key, expected, data)
        if not abilities.conditional_batches:
            raise AtomicityError(
                f"{self.session.backend_class.__name__} has no conditional writes in batches; call them without a batch"
            )
        if not batch.atomic:
            raise InvalidValueError("a conditional write joins only atomic batches; use backend.batch(atomic=True)")

        def required(transaction: Transaction) -> Pending[bool]:
            pending = self._compare_and_set(key, expected, data, transaction)
            if pending.is_settled and not pending.result:
                raise self._condition_error(key)
            return pending

        return self._write(batch, required)

    def _condition_error(self, key: str) -> ConditionFailedError:
        """Return the error for a precondition of a batch that does not hold."""
        return ConditionFailedError(
            f"the key {shown(key, WHOLE_KEY)} of the key-value storage {shown(self.name)} does not have the required "
            "value; read it again. The batch wrote nothing"
        )

    def fetch_one(self, key: str) -> Any:
        """Return the value of ``key``, or raise :class:`ItemNotFound` (K5). One round trip."""
        data = self._fetch_one(check_key(key))
        if data is None:
            raise ItemNotFound(f"the key-value storage {shown(self.name)} has no key {shown(key, WHOLE_KEY)}")
        return decode_value(key, data)

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of ``key``, or ``default`` if the key is absent (K5). One round trip."""
        data = self._fetch_one(check_key(key))
        return default if data is None else decode_value(key, data)

    def exists(self, key: str) -> bool:
        """Return whether ``key`` exists, also with the value None (K5). One round trip."""
        return self._exists(check_key(key))

    def fetch_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return ``{key: value}`` of the existing keys, in the order of the argument.

        The shipped backends need a bounded number of round trips. A backend without its own ``_fetch_many`` needs one
        for each key.
        """
        distinct = distinct_keys(keys)
        if not distinct:
            self.session.check_open()
            return {}
        found = self._fetch_many(distinct)
        return {key: decode_value(key, found[key]) for key in distinct if key in found}

    def fetch_by_prefix(self, prefix: str) -> Iterator[Any]:
        """Yield the values whose keys start with ``prefix``, in the order of the keys. ``""`` matches all (K6).

        It reads in bounded chunks. Its cost is proportional to its result, not to the size of the store.
        """
        return self._values(check_prefix(prefix))

    def fetch_all(self) -> Iterator[Any]:
        """Yield every value, in the order of the keys."""
        return self._values("")

    def items(
        self, prefix: str = "", *, after: str | None = None, reverse: bool = False, limit: int | None = None
    ) -> Iterator[tuple[str, Any]]:
        """Yield the ``(key, value)`` pairs whose keys start with ``prefix``, in the order of the keys.

        It reads in bounded chunks. Its cost is proportional to its result.

        Args:
            prefix: The prefix. ``""`` matches all keys.
            after: The key after which the scan begins, in its direction (K8).
            reverse: Yield the last key first.
            limit: The most pairs to yield.
        """
        found = self._items(check_prefix(prefix), _checked_after(after), bool(reverse))
        return self._decoded_items(_limited(found, limit))

    def keys(
        self, prefix: str = "", *, after: str | None = None, reverse: bool = False, limit: int | None = None
    ) -> Iterator[str]:
        """Yield the keys that start with ``prefix``, in their order. The arguments are those of :meth:`items` (K8)."""
        return _limited(self._keys(check_prefix(prefix), _checked_after(after), bool(reverse)), limit)

    def delete(self, key: str, *, batch_interface: WriteBatch | None = None) -> None:
        """Delete ``key`` and its value. An absent key is no error (K4). One round trip."""
        self._write(batch_interface, self._delete, check_key(key))

    def delete_by_prefix(self, prefix: str, *, batch_interface: WriteBatch | None = None) -> None:
        """Delete every key that starts with ``prefix``, and its value. ``""`` matches all (K1, K4).

        A key that another process adds during the call may stay. In a batch, the keys are those that exist at the call.
        It costs one scan, and one round trip for each 256 keys. If the server fails during the call, some keys may
        stay: call it again.
        """
        check_prefix(prefix)
        batch = self._batch_to_join(batch_interface)
        keys = (key for key, _ in self._items(prefix))
        while chunk := list(islice(keys, _KEYS_PER_DELETION)):
            if batch is not None:
                self._delete_in(batch, chunk)
                continue
            with WriteBatch(self.session) as own:
                self._delete_in(own, chunk)

    def _delete_in(self, batch: WriteBatch, keys: list[str]) -> None:
        for key in keys:
            self._write(batch, self._delete, key)

    def _values(self, prefix: str) -> Iterator[Any]:
        for key, data in self._items(prefix):
            yield decode_value(key, data)

    def _decoded_items(self, found: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, Any]]:
        for key, data in found:
            yield key, decode_value(key, data)

    @abstractmethod
    def _upsert(self, key: str, data: bytes, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        """Insert or replace the bytes of a checked key."""

    @abstractmethod
    def _fetch_one(self, key: str) -> bytes | None:
        """Return the bytes of a checked key, or None."""

    def _exists(self, key: str) -> bool:
        """Return whether a checked key exists. Override it if that costs less than reading the value."""
        return self._fetch_one(key) is not None

    def _fetch_many(self, keys: list[str]) -> dict[str, bytes]:
        """Return ``{key: bytes}`` of the existing ones of distinct, checked keys, in any order.

        There is at least one key. The default reads one key after the other.
        """
        found = ((key, self._fetch_one(key)) for key in keys)
        return {key: data for key, data in found if data is not None}

    def _compare_and_set(
        self, key: str, expected: bytes | None, data: bytes | None, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[bool]:
        """Set the bytes of a checked key to ``data`` if they are ``expected``. Return whether they were.

        Implement it, or set the ability ``conditional_writes`` to False. A transaction that settles its results at its
        commit must raise ``self._condition_error(key)`` itself, before its first write.

        Args:
            key: The key.
            expected: The expected bytes, or None for a key that must be absent.
            data: The new bytes. If it is None or equals ``expected``, the call only checks.
            transaction: The transaction of the write.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement _compare_and_set")

    @abstractmethod
    def _items(self, prefix: str, after: str | None = None, reverse: bool = False, /) -> Iterator[tuple[str, bytes]]:
        """Yield ``(key, bytes)`` in the order of the keys, in bounded memory, without a lock or cursor between items.

        The scan begins after the key ``after`` if there is one. With ``reverse`` the last key is the first.
        """

    def _keys(self, prefix: str, after: str | None, reverse: bool) -> Iterator[str]:
        """Yield the keys of :meth:`_items`. Override it if that costs less than reading the values."""
        return (key for key, _ in self._items(prefix, after, reverse))

    @abstractmethod
    def _delete(self, key: str, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        """Delete a checked key. An absent key is no error."""


def in_range(found: Iterable[tuple[str, bytes]], after: str | None, reverse: bool) -> Iterator[tuple[str, bytes]]:
    """Return the items of a forward scan that come after ``after``, in either direction.

    It serves a store that only scans forward. In reverse it keeps all items in memory.
    """
    if not reverse:
        return (item for item in found if after is None or item[0] > after)
    return reversed([item for item in found if after is None or item[0] < after])


def _checked_after(after: str | None) -> str | None:
    return None if after is None else check_prefix(after, "key to begin after")


def _limited(found: Iterator[_Item], limit: int | None) -> Iterator[_Item]:
    return found if limit is None else islice(found, check_position("limit", limit))


def encode_value(key: str, value: Any) -> bytes:
    """Return the bytes to store for a value. An error names the key (K6)."""
    return _encoded(value, _value_of, key)


def decode_value(key: str, data: bytes) -> Any:
    """Return the value of stored bytes. It raises :class:`StoredDataError`, which names the key (T14)."""
    return _decoded(data, _value_of, key)


def encode_named(what: str, value: Any) -> bytes:
    """Return the bytes to store for a value. An error begins with ``what``, the name of the stored object."""
    return _encoded(value, str, what)


def decode_named(what: str, data: bytes) -> Any:
    """Return the value of stored bytes. It raises :class:`StoredDataError`, whose message begins with ``what``."""
    return _decoded(data, str, what)


def _value_of(key: str) -> str:
    return f"the value of key {shown(key, WHOLE_KEY)}"


def _encoded(value: Any, name: Callable[[str], str], subject: str) -> bytes:
    try:
        return _PREFIX + pack_value(value)
    except (InvalidTypeError, InvalidValueError) as error:
        raise naming(error, name(subject)) from None


def _decoded(data: bytes, name: Callable[[str], str], subject: str) -> Any:
    if data[:1] != _PREFIX:
        raise StoredDataError(f"{name(subject)} has the format 0x{data[:1].hex()}, not 0x{FORMAT:02x}")
    try:
        return unpack_value(data[1:])
    except (ValueError, TypeError, OverflowError) as error:
        raise StoredDataError(f"{name(subject)} cannot be decoded: {error}") from error

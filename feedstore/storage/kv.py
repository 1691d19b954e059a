"""The key-value storage's contract."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from feedstore.errors import InvalidTypeError, InvalidValueError, ItemNotFound, StoredDataError
from feedstore.serializers.values import naming, pack_value, unpack_value
from feedstore.shown import WHOLE_KEY, shown
from feedstore.storage.backend import Backend, checked_backend
from feedstore.storage.batch import Batch
from feedstore.storage.key import check_key, check_prefix
from feedstore.storage.storage import checked_iterable
from feedstore.storage.transaction import AUTOCOMMIT, Pending, Transaction
from feedstore.storage.writer import Writer

FORMAT = 0x01
_PREFIX = bytes([FORMAT])
_DELETED_AT_ONCE = 256


class KvStorage(Writer):
    """A storage of plain values by key: key → value, with scans by prefix in key order.

    Keys are text of 1 to 1,024 bytes in UTF-8, any character: glob characters, separators, quotes and NUL mean nothing
    (K2). They are ordered by code point, which is the order of their UTF-8 bytes. Values are None, bool, int, float,
    str, bytes, list, dict, aware datetime, date, Decimal and UUID; each comes back as the type it went in. A tuple
    comes back as a list, a member of a str- or int-enumeration as its value, and anything else is an
    :class:`InvalidTypeError` that names the key (K6). Each ``name`` is a key space of its own.

    - K1 A prefix is compared character by character and matches longer siblings too: separate and escape the parts of
      a key.
    - K3 Deleting while iterating works: a scan may or may not return what is written or deleted during it, never twice.
    """

    def __init__(self, *, backend: Backend, name: str = "default") -> None:
        self.backend = checked_backend(backend)
        self.name = check_key(name, "name")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(backend={self.backend!r}, name={shown(self.name)})"

    def upsert(self, key: str, value: Any, *, batch_interface: Batch | None = None) -> None:
        """Insert or replace the value of ``key``. One round trip."""
        check_key(key)
        data = encode_value(key, value)
        self._write(batch_interface, lambda transaction: self._upsert(key, data, transaction))

    def fetch_one(self, key: str) -> Any:
        """Return the value of ``key``, or raise :class:`ItemNotFound` (K5). One round trip."""
        data = self._fetch_one(check_key(key))
        if data is None:
            raise ItemNotFound(f"no item {shown(key, WHOLE_KEY)} in the key-value storage {shown(self.name)}")
        return decode_value(key, data)

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of ``key``, or ``default`` if the key is absent (K5). One round trip."""
        data = self._fetch_one(check_key(key))
        return default if data is None else decode_value(key, data)

    def exists(self, key: str) -> bool:
        """Return whether ``key`` has a value, also one of None (K5). One round trip."""
        return self._exists(check_key(key))

    def fetch_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return ``{key: value}`` of the keys that are there, in the order asked for; absent ones are left out.

        A key that is asked for twice comes once; none at all is no error. A bounded number of round trips on the
        shipped backends; on one that has not written ``_fetch_many``, one for each key.
        """
        distinct = list(dict.fromkeys(check_key(key) for key in checked_iterable(keys)))
        if not distinct:
            self.backend.check_open()
            return {}
        found = self._fetch_many(distinct)
        return {key: decode_value(key, found[key]) for key in distinct if key in found}

    def fetch_by_prefix(self, prefix: str) -> Iterator[Any]:
        """Yield the values whose keys start with ``prefix``, in key order; ``""`` matches all (K6).

        Costs what it returns, in bounded chunks, not what the store holds.
        """
        return self._values(check_prefix(prefix))

    def fetch_all(self) -> Iterator[Any]:
        """Yield every value, in key order."""
        return self._values("")

    def items(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        """Yield the ``(key, value)`` pairs whose keys start with ``prefix``, in key order. Costs what it returns."""
        return self._decoded_items(check_prefix(prefix))

    def delete(self, key: str, *, batch_interface: Batch | None = None) -> None:
        """Delete ``key`` and its value; deleting what is not there is no error (K4). One round trip."""
        self._delete_now(check_key(key), batch_interface)

    def delete_by_prefix(self, prefix: str, *, batch_interface: Batch | None = None) -> None:
        """Delete every key that starts with ``prefix``, and its value; ``""`` matches all (K1, K4).

        A key that another process adds meanwhile may stay. In a batch the keys are those that are there at the call.
        One scan, and one round trip for each 256 keys. A server that fails midway may leave a part; delete again.
        """
        check_prefix(prefix)
        batch = self._batch_to_join(batch_interface)
        keys = (key for key, _ in self._items(prefix))
        while chunk := list(islice(keys, _DELETED_AT_ONCE)):
            if batch is not None:
                self._delete_in(batch, chunk)
                continue
            with self.backend.batch() as own:
                self._delete_in(own, chunk)

    def _delete_in(self, batch: Batch, keys: list[str]) -> None:
        for key in keys:
            self._delete_now(key, batch)

    def _delete_now(self, key: str, batch_interface: Batch | None) -> None:
        self._write(batch_interface, lambda transaction: self._delete(key, transaction))

    def _values(self, prefix: str) -> Iterator[Any]:
        for key, data in self._items(prefix):
            yield decode_value(key, data)

    def _decoded_items(self, prefix: str) -> Iterator[tuple[str, Any]]:
        for key, data in self._items(prefix):
            yield key, decode_value(key, data)

    @abstractmethod
    def _upsert(self, key: str, data: bytes, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        """Insert or replace the bytes of a checked key."""

    @abstractmethod
    def _fetch_one(self, key: str) -> bytes | None:
        """Return the bytes of a checked key, or None."""

    def _exists(self, key: str) -> bool:
        """Return whether a checked key is there; override it where that costs less than its value."""
        return self._fetch_one(key) is not None

    def _fetch_many(self, keys: list[str]) -> dict[str, bytes]:
        """Return ``{key: bytes}`` of those of distinct, checked keys that are there, in any order; never of none.

        This default asks for one after the other.
        """
        found = ((key, self._fetch_one(key)) for key in keys)
        return {key: data for key, data in found if data is not None}

    @abstractmethod
    def _items(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """Yield ``(key, bytes)`` in key order, in bounded memory, holding no lock or cursor between two of them."""

    @abstractmethod
    def _delete(self, key: str, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        """Delete a checked key; one that is not there is no error."""


def encode_value(key: str, value: Any) -> bytes:
    """Return the bytes to store for a value. An error names the key (K6)."""
    try:
        return _PREFIX + pack_value(value)
    except (InvalidTypeError, InvalidValueError) as error:
        raise naming(error, _named(key)) from None


def decode_value(key: str, data: bytes) -> Any:
    """Return the value of stored bytes. Raises :class:`StoredDataError`, naming the key (T14)."""
    if data[:1] != _PREFIX:
        raise _other_format(_named(key), data)
    try:
        return unpack_value(data[1:])
    except (ValueError, TypeError, OverflowError) as error:
        raise _undecodable(_named(key), error) from error


def encode_named(what: str, value: Any) -> bytes:
    """Return the bytes to store for a value. An error begins with ``what``, the name of the thing that is stored."""
    try:
        return _PREFIX + pack_value(value)
    except (InvalidTypeError, InvalidValueError) as error:
        raise naming(error, what) from None


def decode_named(what: str, data: bytes) -> Any:
    """Return the value of stored bytes. Raises :class:`StoredDataError`, which begins with ``what``."""
    if data[:1] != _PREFIX:
        raise _other_format(what, data)
    try:
        return unpack_value(data[1:])
    except (ValueError, TypeError, OverflowError) as error:
        raise _undecodable(what, error) from error


def _named(key: str) -> str:
    return f"the value of key {shown(key, WHOLE_KEY)}"


def _other_format(what: str, data: bytes) -> StoredDataError:
    return StoredDataError(f"{what} has the format 0x{data[:1].hex()}, not 0x{FORMAT:02x}")


def _undecodable(what: str, error: Exception) -> StoredDataError:
    return StoredDataError(f"{what} cannot be decoded: {error}")

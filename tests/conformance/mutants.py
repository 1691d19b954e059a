"""Storages and backends that are broken in one way each; those of timelines stand in ``timeline_mutants``."""

from __future__ import annotations

import fnmatch
import select
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Self

from feedstore.backends.memory import InMemoryActivityStorage, InMemoryKvStorage, MemoryBackend
from feedstore.backends.memory.session import MemorySession
from feedstore.backends.memory.store import Space
from feedstore.errors import StoredDataError
from feedstore.ids import MAX_ID
from feedstore.serializers import MsgpackSerializer, Serializer
from feedstore.storage import Batch, Bounds
from feedstore.storage.base import Writer
from feedstore.storage.batch import WriteBatch
from feedstore.storage.session import AUTOCOMMIT, Operation, Pending, Transaction


class AddsOneByOne(InMemoryActivityStorage):
    """Stores the items before a bad one."""

    def add_many(self, activities: Iterable[Any], *, batch_interface: WriteBatch | None = None) -> int | None:
        counts = [super(AddsOneByOne, self).add_many([one], batch_interface=batch_interface) for one in activities]
        return None if batch_interface else sum(count or 0 for count in counts)


class SortsItsArgument(InMemoryActivityStorage):
    """Changes the list that it is given."""

    def add_many(self, activities: Iterable[Any], *, batch_interface: WriteBatch | None = None) -> int | None:
        if isinstance(activities, list):
            activities.sort(key=str)
        return super().add_many(activities, batch_interface=batch_interface)


class UnknownIdsRaise(InMemoryActivityStorage):
    """Raises for an id that is not there."""

    def get_from_storage(self, activity_ids: list[int]) -> dict[int, bytes]:
        with self.session.lock:
            return {one: self.session.space.activities[one] for one in activity_ids}


class EachIsAskedForOnce(InMemoryActivityStorage):
    """Returns activities in the order of their ids."""

    def get_many(self, activity_ids: Iterable[Any]) -> list[Any]:
        return super().get_many(sorted(set(self.activities_to_ids(activity_ids))))


class IteratesInclusively(InMemoryActivityStorage):
    """Begins with the id after which it should begin."""

    def _iterate(self, bounds: Bounds, descending: bool) -> Iterator[tuple[int, bytes]]:
        return super()._iterate(Bounds(bounds.lowest - 1, bounds.highest), descending)


class IteratesToTheEnd(InMemoryActivityStorage):
    """Ignores the id that it should end before."""

    def _iterate(self, bounds: Bounds, descending: bool) -> Iterator[tuple[int, bytes]]:
        return super()._iterate(Bounds(bounds.lowest, MAX_ID), descending)


class IteratesOverTheLiveDictionary(InMemoryActivityStorage):
    """Breaks on an add or a removal during an iteration."""

    def _iterate(self, bounds: Bounds, descending: bool) -> Iterator[tuple[int, bytes]]:
        activities = self.session.space.activities
        yield from ((one, data) for one, data in activities.items() if bounds.lowest <= one <= bounds.highest)


class IteratesUpwardsOnly(InMemoryActivityStorage):
    """Ignores the direction."""

    def _iterate(self, bounds: Bounds, descending: bool) -> Iterator[tuple[int, bytes]]:
        return super()._iterate(bounds, False)


class _LenientSerializer(MsgpackSerializer):
    def loads_many(self, entries: Iterable[tuple[int, bytes]]) -> list[Any]:
        found = []
        for activity_id, data in entries:
            with suppress(StoredDataError):
                found.append(self.loads(data, activity_id))
        return found


class DamageReadsAsAbsent(InMemoryActivityStorage):
    """Leaves out activities that it cannot decode."""

    default_serializer_class = _LenientSerializer


class _SharingSerializer(MsgpackSerializer):
    # Those of MsgpackSerializer do not call the two methods below.
    dumps_many, loads_many = Serializer.dumps_many, Serializer.loads_many

    def dumps(self, activity: Any) -> Any:
        super().dumps(activity)
        return activity

    def loads(self, data: Any, activity_id: int) -> Any:
        return super().loads(data, activity_id) if isinstance(data, bytes) else data


class HandsOutWhatItStores(InMemoryActivityStorage):
    """Keeps the very object that was put in."""

    def _make_serializer(self) -> Serializer[Any]:
        made: Serializer[Any] = super()._make_serializer()
        return _SharingSerializer(self.activity_class) if type(made) is MsgpackSerializer else made


class CountsReadsTwice(InMemoryActivityStorage):
    """Reports a single get to the metrics twice."""

    def get(self, activity_id: Any) -> Any | None:
        found = super().get(activity_id)
        self.metrics.on_storage_read(type(self), 1)
        return found


class PrefixIsAGlob(InMemoryKvStorage):
    """Hands the prefix to a pattern matcher."""

    def _items(self, prefix: str, *part: Any) -> Iterator[tuple[str, bytes]]:
        return (item for item in super()._items("", *part) if fnmatch.fnmatchcase(item[0], f"{prefix}*"))


class PrefixEndsAtFfff(InMemoryKvStorage):
    """Takes U+FFFF for the last character there is."""

    def _items(self, prefix: str, *part: Any) -> Iterator[tuple[str, bytes]]:
        return (item for item in super()._items(prefix, *part) if item[0] <= f"{prefix}\uffff")


class PrefixIgnoresCase(InMemoryKvStorage):
    """Compares as LIKE does in SQLite."""

    def _items(self, prefix: str, *part: Any) -> Iterator[tuple[str, bytes]]:
        return (item for item in super()._items("", *part) if item[0].lower().startswith(prefix.lower()))


class ScansInUtf16Order(InMemoryKvStorage):
    """Orders keys by their UTF-16 units, as some databases do."""

    def _items(self, prefix: str, *part: Any) -> Iterator[tuple[str, bytes]]:
        yield from sorted(super()._items(prefix, *part), key=lambda item: item[0].encode("utf-16-be"))


class ScansTheLiveDictionary(InMemoryKvStorage):
    """Breaks on a deletion during a scan."""

    def _items(self, prefix: str, *part: Any) -> Iterator[tuple[str, bytes]]:
        yield from ((key, data) for key, data in self._items_here().values.items() if key.startswith(prefix))


class NamesShareTheirKeys(InMemoryKvStorage):
    """Takes every name for the same key space."""

    def _items_here(self) -> Any:
        self.name = "default"
        return super()._items_here()


class DeletingTwiceRaises(InMemoryKvStorage):
    """Wants a key to be there."""

    def _delete(self, key: str, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        del self._items_here().values[key]
        return Pending(None)


class ScansForwardOnly(InMemoryKvStorage):
    """Ignores the direction of a scan."""

    def _items(self, prefix: str, *part: Any) -> Iterator[tuple[str, bytes]]:
        return super()._items(prefix, part[0] if part else None, False)


class BeginsWithTheKey(InMemoryKvStorage):
    """Begins a scan with the key after which it should begin."""

    def _items(self, prefix: str, *part: Any) -> Iterator[tuple[str, bytes]]:
        after = part[0] if part else None
        if after is not None and after.startswith(prefix) and (found := self._fetch_one(after)) is not None:
            yield after, found
        yield from super()._items(prefix, *part)


class InsertsAlways(InMemoryKvStorage):
    """Stores a value and ignores the condition."""

    def _compare_and_set(
        self, key: str, expected: bytes | None, data: bytes | None, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[bool]:
        if data is not None:
            self._upsert(key, data, transaction)
        return Pending(True)


class ReplacesAnything(InMemoryKvStorage):
    """Replaces a value that is another than the expected one."""

    def _compare_and_set(
        self, key: str, expected: bytes | None, data: bytes | None, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[bool]:
        found = self._fetch_one(key)
        return super()._compare_and_set(key, found if expected is not None and found else expected, data, transaction)


class RequiresNothing(InMemoryKvStorage):
    """Takes every precondition that changes nothing for kept."""

    def _compare_and_set(
        self, key: str, expected: bytes | None, data: bytes | None, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[bool]:
        return Pending(True) if expected == data else super()._compare_and_set(key, expected, data, transaction)


class KeysFromTheStart(InMemoryKvStorage):
    """Lists keys from the first, wherever it should begin."""

    def _keys(self, prefix: str, after: str | None, reverse: bool) -> Iterator[str]:
        return super()._keys(prefix, None, reverse)


class SaysThatItInserted(InMemoryKvStorage):
    """Returns True for a value that it has not stored."""

    def _compare_and_set(
        self, key: str, expected: bytes | None, data: bytes | None, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[bool]:
        super()._compare_and_set(key, expected, data, transaction)
        return Pending(True)


class LosesConcurrentInserts(InMemoryKvStorage):
    """Looks, and stores later, without a lock."""

    def _compare_and_set(
        self, key: str, expected: bytes | None, data: bytes | None, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[bool]:
        found = self._fetch_one(key)
        self.session.yield_to_other_threads()  # type: ignore[attr-defined]
        if found == expected and data is not None:
            self._upsert(key, data, transaction)
        return Pending(found == expected)


class _BreakableSession(MemorySession):
    def yield_to_other_threads(self) -> None:
        """Let another thread run."""
        # It lets go of the interpreter for longer than a read takes, so that a reader does come in between.
        select.select([], [], [], 0.002)


class Broken(MemoryBackend):
    """A memory backend whose parts can be exchanged for broken ones."""

    session_class: type[MemorySession] = _BreakableSession


class _IgnoringCase(_BreakableSession):
    def _with_namespace(self, namespace: str) -> Self:
        other = super()._with_namespace(namespace)
        other._space = self._store.space(namespace.lower())
        return other


class NamespacesIgnoreCase(Broken):
    """Takes two namespaces for one."""

    session_class = _IgnoringCase


class _OneCollection(_BreakableSession):
    def collection(self, name: str) -> Self:
        return self


class CollectionsShareTheirData(Broken):
    """Takes every name for the same collection."""

    session_class = _OneCollection


class _AnsweringWhenClosed(_BreakableSession):
    @property
    def space(self) -> Space:
        return self._space


class AnswersWhenClosed(Broken):
    """Goes on after it was closed."""

    session_class = _AnsweringWhenClosed


class _EagerBatch(Batch):
    def enqueue(self, session: Any, *operation: Any, **options: Any) -> None:
        super().enqueue(session, *operation, **options)
        self.results.append(self._operations.pop().write(AUTOCOMMIT).result)


class SendsAtOnce(Broken):
    """Carries out each write of a batch at its call."""

    batch_class = _EagerBatch


class _FinalBatch(Batch):
    def __exit__(self, *exception: Any) -> None:
        super().__exit__(None, None, None)


class SendsAfterAnException(Broken):
    """Sends a batch whose block has failed."""

    batch_class = _FinalBatch


class _SendingByStorage(_BreakableSession):
    def _transact(self, operations: Sequence[Operation], atomic: bool) -> list[Pending[Any]]:
        return super()._transact(operations[::-1], atomic)[::-1]


class SendsByStorage(Broken):
    """Sends the writes of a batch in another order."""

    session_class = _SendingByStorage


class _SendingWithoutTheLock(_BreakableSession):
    def _transact(self, operations: Sequence[Operation], atomic: bool) -> list[Pending[Any]]:
        results = []
        for operation in operations:
            results.append(operation.write(AUTOCOMMIT))
            self.yield_to_other_threads()
        return results


class SendsWithoutTheLock(Broken):
    """Lets readers in between the writes of an atomic batch."""

    session_class = _SendingWithoutTheLock


class _KeepingWhatAFailedBatchWrote(_BreakableSession):
    def _transact(self, operations: Sequence[Operation], atomic: bool) -> list[Pending[Any]]:
        with self.lock:
            return [operation.write(AUTOCOMMIT) for operation in operations]


class KeepsWhatAFailedBatchWrote(Broken):
    """Commits each write of an atomic batch, so that those before a failed precondition stay."""

    session_class = _KeepingWhatAFailedBatchWrote


class _TakingAnyBatch(_BreakableSession):
    def shares_batches_with(self, other: Any) -> bool:
        return True


class TakesAnyBatch(Broken):
    """Lets writes of another namespace join."""

    session_class = _TakingAnyBatch


class ClosesOnce(Broken):
    """Takes a second close for an error."""

    def close(self) -> None:
        self.check_open()
        super().close()


_PLACES = tuple(f"{kind}_storage_class" for kind in ("activity", "timeline", "kv", "queue"))


def backend_with(storage: type[Any]) -> type[Broken]:
    """Return a backend with a broken storage in the place of its kind."""
    (place,) = (name for name in _PLACES if issubclass(storage, getattr(MemoryBackend, name)))
    return type(storage.__name__, (Broken,), {place: storage})


STORAGES: tuple[type[Any], ...] = tuple(
    kind
    for kind in list(globals().values())
    if isinstance(kind, type) and issubclass(kind, Writer) and kind.__module__ == __name__
)
BACKENDS: tuple[type[Broken], ...] = tuple(Broken.__subclasses__())

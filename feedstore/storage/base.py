"""The base classes of storages: writes that are committed immediately or join a batch, and serialized activities."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from operator import attrgetter, itemgetter
from typing import Any, Generic, Self, TypeVar

from feedstore.activity import Activity
from feedstore.aggregated import AggregatedActivity
from feedstore.errors import InvalidTypeError
from feedstore.ids import MAX_ID, ActivityLike, parse_id
from feedstore.metrics import Metrics
from feedstore.serializers import DummySerializer, Serializer, TimelineReferenceSerializer
from feedstore.serializers.base import Item
from feedstore.shown import shown
from feedstore.storage.batch import WriteBatch
from feedstore.storage.checks import checked_iterable
from feedstore.storage.session import AUTOCOMMIT, Pending, Session, Transaction, checked_session

_Result = TypeVar("_Result")
_MANY = 8
_ONLY_INTS = frozenset({int})
_ONLY_BYTES = frozenset({bytes})
_serialization_id = attrgetter("serialization_id")


class Writer(ABC):
    """A storage of one backend, whose checked writes are committed immediately or join a batch."""

    session: Session[Any]
    _batch: WriteBatch | None = None

    def bound_to(self, batch: WriteBatch) -> Self:
        """Return a storage of the same data whose writes all join ``batch``."""
        bound = copy.copy(self)
        bound._batch = batch
        return bound

    def __repr__(self) -> str:
        return f"{type(self).__name__}(backend={self.session!r})"

    def _batch_to_join(self, batch_interface: WriteBatch | None) -> WriteBatch | None:
        """Return the batch in a call's argument, else the batch that the storage is bound to, or None."""
        if batch_interface is None:
            return self._batch
        if not hasattr(batch_interface, "enqueue"):
            raise InvalidTypeError(
                "batch_interface must be the result of backend.batch() or get_batch_interface(), not "
                f"{shown(batch_interface)}"
            )
        return batch_interface

    def flush(self, *, batch_interface: WriteBatch | None = None) -> None:
        """Remove all data of this kind of storage in its namespace, and nothing else (rule T15).

        An empty storage is no error. The cost is proportional to the size of that data, not of the whole store. If the
        server fails during the call, a part may stay: call it again.
        """
        self._write(batch_interface, self._flush)

    @abstractmethod
    def _flush(self, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        """Remove all data of this kind of storage in its namespace."""

    def _write(
        self,
        batch_interface: WriteBatch | None,
        hook: Callable[..., Pending[_Result]],
        *arguments: Any,
        keys: Sequence[str] = (),
    ) -> _Result | None:
        """Call a hook that writes and return its result, or add the call to the batch and return None.

        Args:
            batch_interface: The batch to join, or None to commit the write immediately.
            hook: A hook, whose last argument is the transaction.
            arguments: The other arguments of the hook, which are checked.
            keys: The timelines that the write changes. A store may lock them before the first write of a batch.
        """
        batch = self._batch if batch_interface is None else self._batch_to_join(batch_interface)
        if batch is None:
            return hook(*arguments, AUTOCOMMIT).result
        batch.enqueue(self.session, lambda transaction: hook(*arguments, transaction), None, keys)
        return None

    def _write_nothing(self, *arguments: Any) -> Pending[int | None]:
        """Return the result of a write without items, for which no hook is called."""
        self.session.check_open()
        return Pending(0)


class Storage(Writer, Generic[Item]):
    """A storage of activities with a serializer.

    Storages are safe to share between threads. They never change an argument (T4), and each call returns its own copy
    of every mutable object (T11).

    Args:
        serializer_class: The serializer's class. None is :attr:`default_serializer_class`.
        activity_class: The class of the activities that the serializer returns.
        backend: The backend, or its session.
        aggregated_activity_class: An argument of the serializer.
        metrics: The :class:`~feedstore.metrics.Metrics`. None is those of the backend.

    Raises:
        InvalidTypeError: An option is unknown, or has a wrong type.
    """

    default_serializer_class: type[Serializer] = DummySerializer
    activity_class: type[Activity] = Activity
    aggregated_activity_class: type[Any] = AggregatedActivity
    option_names: tuple[str, ...] = ("backend", "aggregated_activity_class", "metrics")
    metrics: Metrics = Metrics()

    def __init__(
        self,
        serializer_class: type[Serializer] | None = None,
        activity_class: type[Activity] | None = None,
        **options: Any,
    ) -> None:
        for name in options:
            if name not in self.option_names:
                known = ", ".join(("serializer_class", "activity_class", *self.option_names[1:]))
                raise InvalidTypeError(f"{type(self).__name__} has no option {shown(name)}; the options are {known}")
        self.options = options
        backend, metrics = options.get("backend"), options.get("metrics")
        self.session = self._private_session() if backend is None else checked_session(backend)
        self.metrics = self.session.metrics if metrics is None else metrics
        if activity_class is not None:
            self.activity_class = activity_class
        if not (isinstance(self.activity_class, type) and issubclass(self.activity_class, Activity)):
            raise InvalidTypeError(
                f"activity_class must be feedstore.Activity or a subclass of it, not {shown(self.activity_class)}"
            )
        if options.get("aggregated_activity_class") is not None:
            self.aggregated_activity_class = options["aggregated_activity_class"]
        self.serializer_class = serializer_class or self.default_serializer_class
        self._serializer = self._make_serializer()

    def _private_session(self) -> Session[Any]:
        raise InvalidTypeError(f"{type(self).__name__} needs a store; pass backend=connect(url)")

    def _make_serializer(self) -> Serializer[Item]:
        chosen: Any = self.serializer_class
        if not (isinstance(chosen, type) and issubclass(chosen, Serializer)):
            raise InvalidTypeError(
                f"serializer_class must be a subclass of feedstore.serializers.Serializer, not {shown(chosen)}"
            )
        serializer: Serializer[Item] = chosen(
            activity_class=self.activity_class, aggregated_activity_class=self.aggregated_activity_class
        )
        return serializer

    def _write_measured(
        self,
        batch_interface: WriteBatch | None,
        operation: str,
        activities_count: int,
        hook: Callable[..., Pending[int | None]],
        arguments: tuple[Any, ...],
        keys: Sequence[str] = (),
    ) -> int | None:
        """Write as :meth:`_write` does, and report the operation and its number of activities to the metrics.

        Without activities nothing is written.

        Args:
            batch_interface: The batch to join, or None to commit the write immediately.
            operation: The name of the operation for the metrics.
            activities_count: The number of activities for the metrics.
            hook: A hook, whose last argument is the transaction.
            arguments: The other arguments of the hook, which are checked.
            keys: The timelines that the write changes.
        """
        if not activities_count:
            hook, keys = self._write_nothing, ()
        batch = self._batch if batch_interface is None else self._batch_to_join(batch_interface)
        if batch is not None:
            report = partial(self._report, operation, activities_count)
            batch.enqueue(self.session, lambda transaction: hook(*arguments, transaction), report, keys)
            return None
        # Metrics of the base class count nothing, and their calls take time in every single write.
        if self.metrics.__class__ is Metrics:
            return hook(*arguments, AUTOCOMMIT).result
        with self.metrics.storage_timer(self.__class__, operation) or nullcontext():
            result = hook(*arguments, AUTOCOMMIT).result
        self._report(operation, activities_count)
        return result

    def _read(self, hook: Callable[..., _Result], *arguments: Any) -> _Result:
        """Call a hook that reads, inside the metrics' timer of reads."""
        if self.metrics.__class__ is Metrics:
            return hook(*arguments)
        with self.metrics.storage_timer(self.__class__, "read") or nullcontext():
            return hook(*arguments)

    def _report(self, operation: str, activities_count: int) -> None:
        if operation == "write":
            self.metrics.on_storage_write(self.__class__, activities_count)
        elif operation == "remove":
            self.metrics.on_storage_remove(self.__class__, activities_count)
        else:
            self.metrics.on_storage_fanout(self.__class__, operation, activities_count)

    @property
    def serializer(self) -> Serializer[Item]:
        """The serializer of this storage: one instance for all calls."""
        return self._serializer

    def activity_to_id(self, activity: Any) -> int:
        """Return the id of an activity, an ActivityRef, an int, a UUID or the str of a UUID, as an int (T2).

        Raises:
            InvalidValueError: The int or str is no id.
            InvalidTypeError: The value has another type.
        """
        activity_id = getattr(activity, "serialization_id", activity)
        if activity_id.__class__ is int and 0 <= activity_id <= MAX_ID:
            return activity_id
        return parse_id(activity_id)

    def activities_to_ids(self, activities_or_ids: Iterable[ActivityLike]) -> list[int]:
        """Return the ids of activities and ids, in their order and with duplicates."""
        items = list(checked_iterable(activities_or_ids))
        return self._ids_of(items) if len(items) >= _MANY else list(map(self.activity_to_id, items))

    def serialize_activity(self, activity: Any) -> bytes:
        """Return the bytes that this storage stores for an activity."""
        return self._serializer.dumps(activity)

    def serialize_activities(self, activities: Iterable[ActivityLike]) -> dict[int, bytes]:
        """Return ``{id: bytes}``. Of a duplicate id the last activity wins (T1). One invalid item raises (T13)."""
        if self._serializer.__class__ is TimelineReferenceSerializer:
            # It serializes nothing, and most entries are references.
            return dict.fromkeys(self.activities_to_ids(activities), b"")
        return dict(self._serialized_entries(list(checked_iterable(activities))))

    def serialize_each(self, lists: Iterable[Iterable[ActivityLike]]) -> list[dict[int, bytes]]:
        """Return :meth:`serialize_activities` of each list.

        An object in many lists is serialized once, and the same list twice has one result.
        """
        given = list(lists)
        if self._serializer.__class__ is TimelineReferenceSerializer:
            distinct = {id(each): each for each in given}
            references = {number: self.serialize_activities(each) for number, each in distinct.items()}
            return [references[id(each)] for each in given]
        items = {id(each): list(checked_iterable(each)) for each in given}
        every = {id(item): item for each in items.values() for item in each}
        entries = dict(zip(every, self._serialized_entries(list(every.values())), strict=True))
        serialized = {number: dict(map(entries.__getitem__, map(id, each))) for number, each in items.items()}
        return [serialized[id(each)] for each in given]

    def _serialized_entries(self, items: list[ActivityLike]) -> list[tuple[int, bytes]]:
        payloads = self._serializer.dumps_many(items)
        ids = self._ids_of(items) if len(items) >= _MANY else map(self.activity_to_id, items)
        entries = list(zip(ids, payloads, strict=True))
        self._check_payloads(entries)
        return entries

    def _ids_of(self, items: list[ActivityLike]) -> list[int]:
        """Return the ids of activities and ids, all checked together if all items are ids, or none is."""
        try:
            ids: Any = items if items[0].__class__ is int else list(map(_serialization_id, items))
        except AttributeError:
            return list(map(self.activity_to_id, items))
        if _ONLY_INTS.issuperset(map(type, ids)) and min(ids) >= 0 and max(ids) <= MAX_ID:
            checked: list[int] = ids
            return checked
        return list(map(self.activity_to_id, items))

    def deserialize_activities(
        self, serialized_activities: Mapping[int, bytes] | Iterable[tuple[int, bytes]] | None
    ) -> list[Item]:
        """Return the objects of ``{id: bytes}``, or of a list of ``(id, bytes)`` pairs, in their order. None is ``[]``.

        Raises:
            InvalidTypeError: An item is not a pair. The bytes of an activity do not repeat its id.
            StoredDataError: Bytes cannot be decoded. The error names the id (T14).
        """
        if serialized_activities is None:
            return []
        if isinstance(serialized_activities, Mapping):
            serialized_activities = serialized_activities.items()
        entries: list[Any] = list(checked_iterable(serialized_activities))
        for entry in entries:
            if entry.__class__ is not tuple or len(entry) != 2 or not _is_id(entry[0]):
                entries = [self._checked_entry(entry) for entry in entries]
                break
        return self._serializer.loads_many(entries)

    def _checked_entry(self, entry: Any) -> tuple[int, Any]:
        if not isinstance(entry, Sequence) or isinstance(entry, (str, bytes, bytearray, memoryview)) or len(entry) != 2:
            raise InvalidTypeError(
                "deserialize_activities takes {id: bytes} or (id, bytes) pairs, because the bytes do not repeat the id "
                f"of their activity; {shown(entry)} of type {type(entry).__name__} is neither"
            )
        return self.activity_to_id(entry[0]), entry[1]

    def _check_payloads(self, entries: Iterable[tuple[int, Any]]) -> None:
        """Raise unless the store can keep these payloads. A store keeps only bytes."""
        if _ONLY_BYTES.issuperset(map(type, map(itemgetter(1), entries))):
            return
        for activity_id, data in entries:
            if data.__class__ is not bytes:
                raise InvalidTypeError(
                    f"{type(self._serializer).__name__} returned {type(data).__name__} for activity {activity_id}, but "
                    "this store keeps bytes; choose another serializer_class, such as MsgpackSerializer"
                )


def _is_id(value: Any) -> bool:
    return value.__class__ is int and 0 <= value <= MAX_ID

"""What activity and timeline storages share: a serializer, ids, metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, Generic, TypeVar

from feedstore.activity import Activity
from feedstore.errors import InvalidTypeError
from feedstore.ids import MAX_ID, ActivityLike, parse_id
from feedstore.metrics import Metrics
from feedstore.serializers import DummySerializer, Serializer
from feedstore.serializers.base import Item
from feedstore.shown import shown
from feedstore.storage.backend import Backend, checked_backend
from feedstore.storage.batch import Batch
from feedstore.storage.key import checked_iterable
from feedstore.storage.transaction import Pending, Transaction
from feedstore.storage.writer import Writer

_Result = TypeVar("_Result")


class Storage(Writer, Generic[Item]):
    """A storage of activities behind a serializer.

    ``serializer_class`` decides what is stored for an activity (:attr:`default_serializer_class` if None),
    ``activity_class`` what it makes again. Options, by name: ``backend`` (the backend whose store it uses),
    ``aggregated_activity_class`` (handed to the serializer), ``metrics`` (a :class:`~feedstore.metrics.Metrics`; the
    backend's own if None). Any other is an :class:`InvalidTypeError`.

    Storages are safe to share between threads. Arguments are never changed (T4), and what is returned is never aliased
    with what is stored (T11).
    """

    default_serializer_class: type[Serializer] = DummySerializer
    activity_class: type[Activity] = Activity
    aggregated_activity_class: type[Any] | None = None
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
        self.backend = self._private_backend() if backend is None else checked_backend(backend)
        self.metrics = self.backend.metrics if metrics is None else metrics
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

    def _private_backend(self) -> Backend:
        raise InvalidTypeError(f"{type(self).__name__} needs its store; pass backend=connect(url)")

    def _make_serializer(self) -> Serializer[Item]:
        chosen: Any = self.serializer_class
        if not (isinstance(chosen, type) and issubclass(chosen, Serializer)):
            raise InvalidTypeError(
                f"serializer_class is a subclass of feedstore.serializers.Serializer, not {shown(chosen)}"
            )
        serializer: Serializer[Item] = chosen(
            activity_class=self.activity_class, aggregated_activity_class=self.aggregated_activity_class
        )
        return serializer

    def _write_measured(
        self,
        batch_interface: Batch | None,
        operation: str,
        activities_count: int,
        write: Callable[[Transaction], Pending[_Result]],
        keys: Sequence[str] = (),
        creates: bool = False,
    ) -> _Result | None:
        """Call :meth:`_write`, and report the operation and how many activities it holds to the metrics."""
        return self._write(
            batch_interface,
            write,
            partial(self._report, operation, activities_count),
            keys,
            creates,
            partial(self.metrics.storage_timer, self.__class__, operation),
        )

    def _read(self, hook: Callable[..., _Result], *arguments: Any) -> _Result:
        """Call a hook that reads, within the metrics' timer of reads."""
        timer = self.metrics.storage_timer(self.__class__, "read")
        if timer is None:
            return hook(*arguments)
        with timer:
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
        """The serializer of this storage: one instance, shared by all calls."""
        return self._serializer

    def activity_to_id(self, activity: Any) -> int:
        """Return the id of an activity, an ActivityRef, an int, a UUID or its text, as an int (T2).

        Raises :class:`InvalidValueError` or :class:`InvalidTypeError` for what is none of them.
        """
        activity_id = getattr(activity, "serialization_id", activity)
        if activity_id.__class__ is int and 0 <= activity_id <= MAX_ID:
            return activity_id
        return parse_id(activity_id)

    def activities_to_ids(self, activities_or_ids: Iterable[ActivityLike]) -> list[int]:
        """Return the ids of activities and ids, in their order, duplicates kept."""
        to_id = self.activity_to_id
        return [to_id(activity) for activity in checked_iterable(activities_or_ids)]

    def serialize_activity(self, activity: Any) -> bytes:
        """Return the bytes that this storage keeps for an activity."""
        return self._serializer.dumps(activity)

    def serialize_activities(self, activities: Iterable[ActivityLike]) -> dict[int, bytes]:
        """Return ``{id: bytes}``; of a duplicate id the last activity wins (T1). One bad item raises (T13)."""
        return dict(self._serialized_entries(list(checked_iterable(activities))))

    def serialize_each(self, lists: Iterable[Iterable[ActivityLike]]) -> list[dict[int, bytes]]:
        """Return :meth:`serialize_activities` of each list. An object that stands in many lists is serialized once."""
        items = [list(checked_iterable(each)) for each in lists]
        every = list(chain.from_iterable(items))
        distinct = dict(zip(map(id, every), every, strict=True))
        entries = dict(zip(distinct, self._serialized_entries(list(distinct.values())), strict=True))
        return [dict(map(entries.__getitem__, map(id, each))) for each in items]

    def _serialized_entries(self, items: list[ActivityLike]) -> list[tuple[int, bytes]]:
        entries = list(zip(map(self.activity_to_id, items), self._serializer.dumps_many(items), strict=True))
        self._check_payloads(entries)
        return entries

    def deserialize_activities(
        self, serialized_activities: Mapping[int, bytes] | Iterable[tuple[int, bytes]] | None
    ) -> list[Item]:
        """Return the objects of ``{id: bytes}``, or of a list of ``(id, bytes)`` pairs, in their order; None is ``[]``.

        Raises:
            InvalidTypeError: For a list of bytes alone. The bytes of an activity do not repeat its id.
            StoredDataError: For bytes that cannot be decoded; it names the id (T14).
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
                f"of their activity; it was given {shown(entry)} of type {type(entry).__name__}"
            )
        return self.activity_to_id(entry[0]), entry[1]

    def _check_payloads(self, entries: Iterable[tuple[int, Any]]) -> None:
        """Raise unless the store can keep these payloads. Stores keep bytes alone."""
        for activity_id, data in entries:
            if data.__class__ is not bytes:
                raise InvalidTypeError(
                    f"{type(self._serializer).__name__} made {type(data).__name__} of activity {activity_id}, and this "
                    "store keeps bytes; choose another serializer_class, such as MsgpackSerializer"
                )


def _is_id(value: Any) -> bool:
    return value.__class__ is int and 0 <= value <= MAX_ID

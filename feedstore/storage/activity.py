"""The activity storage's contract."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, ClassVar

from typing_extensions import TypeVar

from feedstore.activity import Activity
from feedstore.errors import AtomicityError, ConditionFailedError, InvalidTypeError, InvalidValueError
from feedstore.ids import MAX_ID, ActivityLike, Identified
from feedstore.metrics import Metrics
from feedstore.serializers import MsgpackSerializer, Serializer
from feedstore.shown import shown
from feedstore.storage.base import Storage
from feedstore.storage.batch import WriteBatch
from feedstore.storage.bounds import Bounds
from feedstore.storage.session import AUTOCOMMIT, Pending, Transaction

Stored = TypeVar("Stored", covariant=True, default=Activity)


class ActivityStorage(Storage[Stored]):
    """A storage of whole activities by id.

    An argument that names an activity may be an activity, an :class:`~feedstore.activity.ActivityRef`, an int, a UUID
    or the str of a UUID. Counts are None without the ability of exact counts, and may be a lower bound after a retried
    write.

    - T13 A call checks and serializes all items before it sends the first. If the server fails during a call that is
      not atomic, some chunks of the call may be stored.
    - T14 A stored activity that cannot be decoded raises :class:`StoredDataError`, which names its id.

    >>> from feedstore import Activity, connect
    >>> activities = connect("memory://").activity_storage()
    >>> like = Activity("ann", "like", "photo:7")
    >>> activities.add(like)
    1
    >>> activities.get(like.serialization_id) == like
    True
    """

    default_serializer_class: type[Serializer] = MsgpackSerializer
    is_ordered: ClassVar[bool] = False
    """Whether the store keeps activities in the order of their ids, so that :meth:`get_bodies` costs O(result)."""
    can_require_new: ClassVar[bool] = False
    """Whether :meth:`add_bodies` takes ``only_new``: an atomic batch knows the number of new ids before it commits."""

    def add(self, activity: Identified, *, batch_interface: WriteBatch | None = None) -> int | None:
        """Store one activity; see :meth:`add_many`. One round trip."""
        return self.add_many([activity], batch_interface=batch_interface)

    def add_many(self, activities: Iterable[Identified], *, batch_interface: WriteBatch | None = None) -> int | None:
        """Store activities, and return the number of new ids (T1), or None inside a batch.

        The activity of an existing id is replaced and counts 0, which is the way to edit an activity. If the call holds
        an id twice, the last activity wins. It costs one round trip for about 500 activities.
        """
        serialized = self.serialize_activities(activities)
        return self._write_measured(
            batch_interface,
            "write",
            len(serialized),
            self.add_to_storage,
            (serialized,),
        )

    def add_bodies(
        self, bodies: Mapping[int, bytes], *, only_new: bool = False, batch_interface: WriteBatch | None = None
    ) -> int | None:
        """Store activities that are serialized already, ``{id: bytes}``, as :meth:`add_many` does, without checks.

        Args:
            bodies: The ids, which are ints, with the bytes of this storage's serializer.
            only_new: Whether all ids must be new. It needs an atomic batch, and :attr:`can_require_new`.
            batch_interface: The batch to join.

        Raises:
            AtomicityError: The storage cannot require new ids.
            ConditionFailedError: At the end of the batch, if ``only_new`` is True and an id exists. The batch writes
                nothing.
        """
        hook: Callable[..., Pending[int | None]] = self.add_to_storage
        if only_new:
            self._check_can_require_new(batch_interface)
            hook = self._add_only_new
        return self._write_measured(batch_interface, "write", len(bodies), hook, (bodies,))

    def _check_can_require_new(self, batch_interface: WriteBatch | None) -> None:
        batch = self._batch_to_join(batch_interface)
        if not self.can_require_new:
            raise AtomicityError(f"{type(self).__name__} cannot require that ids are new; pass only_new=False")
        if batch is None:
            raise InvalidTypeError("only_new needs an atomic batch; pass batch_interface=batch")
        if not batch.atomic:
            raise InvalidValueError("only_new joins only atomic batches; use backend.batch(atomic=True)")

    def _add_only_new(self, bodies: Mapping[int, bytes], transaction: Transaction) -> Pending[int | None]:
        pending = self.add_to_storage(bodies, transaction)
        if pending.result != len(bodies):
            raise ConditionFailedError(
                "some of the activities that must be new are stored already; read them again. The batch wrote nothing"
            )
        return pending

    def get(self, activity_id: ActivityLike) -> Stored | None:
        """Return one activity, or None if the id is unknown (T12). One round trip."""
        found = self.get_many([activity_id])
        return found[0] if found else None

    def get_many(self, activity_ids: Iterable[ActivityLike]) -> list[Stored]:
        """Return the activities of the ids in the order of the argument, without unknown ids (T12).

        An id that is passed twice is returned twice. It costs one round trip for about 500 ids.
        """
        ids = self.activities_to_ids(activity_ids)
        found = self._read(self.get_from_storage, ids) if ids else self._read_nothing()
        if self.metrics.__class__ is not Metrics:
            self.metrics.on_storage_read(self.__class__, len(found))
        return self._serializer.loads_many([(one, found[one]) for one in ids if one in found])

    def get_bodies(self, count: int, bounds: Bounds, descending: bool) -> list[tuple[int, bytes]]:
        """Return the first ``count`` activities within bounds as ids and bytes, in the order of the ids.

        One round trip where :attr:`is_ordered` is True. Other stores read all of their activities.
        """
        entries = self._read(self._get_range, count, bounds, descending)
        if self.metrics.__class__ is not Metrics:
            self.metrics.on_storage_read(self.__class__, len(entries))
        return entries

    def _hydrated(self, slices: Mapping[str, list[tuple[int, bytes]]]) -> dict[str, list[tuple[int, bytes]]]:
        """Return timelines' entries with the bytes of their activities, without those of deleted activities.

        For :class:`~feedstore.storage.TimelineStorage`. One round trip for each 500 ids or so.
        """
        ids = list({activity_id: None for entries in slices.values() for activity_id, _ in entries})
        found = self._read(self.get_from_storage, ids) if ids else {}
        return {
            key: [(activity_id, found[activity_id]) for activity_id, _ in entries if activity_id in found]
            for key, entries in slices.items()
        }

    def _read_nothing(self) -> dict[int, bytes]:
        self.session.check_open()
        return {}

    def remove(self, activity: ActivityLike, *, batch_interface: WriteBatch | None = None) -> int | None:
        """Remove one activity; see :meth:`remove_many`. One round trip."""
        return self.remove_many([activity], batch_interface=batch_interface)

    def remove_many(
        self, activities: Iterable[ActivityLike], *, batch_interface: WriteBatch | None = None
    ) -> int | None:
        """Remove activities, and return the number that existed (T1), or None inside a batch.

        Unknown ids are no error. Timelines keep their references, and hydrated reads leave out removed activities. It
        costs one round trip for about 500 ids.
        """
        ids = list(dict.fromkeys(self.activities_to_ids(activities)))
        return self._write_measured(
            batch_interface,
            "remove",
            len(ids),
            self.remove_from_storage,
            (ids,),
        )

    def iterate(
        self, after: ActivityLike | None = None, before: ActivityLike | None = None, *, reverse: bool = False
    ) -> Iterator[Stored]:
        """Yield every activity between the ids ``after`` and ``before``, both exclusive, for statistics and export.

        The oldest id is the first, with ``reverse`` the newest. An activity that is added or removed during the
        iteration may be yielded or not. The method reads in chunks. Its cost is proportional to the whole namespace.
        """
        lowest = 0 if after is None else self.activity_to_id(after) + 1
        highest = MAX_ID if before is None else self.activity_to_id(before) - 1
        return self._decoded(self._iterate(Bounds(lowest, highest), bool(reverse)))

    def _decoded(self, entries: Iterator[tuple[int, bytes]]) -> Iterator[Stored]:
        for entry in entries:
            yield from self.deserialize_activities((entry,))

    @abstractmethod
    def add_to_storage(
        self, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """Store ``{id: data}``, and replace the data of existing ids.

        Returns:
            The number of new ids, or None without exact counts.
        """

    @abstractmethod
    def get_from_storage(self, activity_ids: list[int]) -> dict[int, bytes]:
        """Return ``{id: data}`` for the stored ids."""

    @abstractmethod
    def remove_from_storage(
        self, activity_ids: list[int], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """Remove distinct ids. Return the number that existed, or None without exact counts."""

    def _get_range(self, count: int, bounds: Bounds, descending: bool) -> list[tuple[int, bytes]]:
        """Return the first ``count`` pairs of :meth:`_iterate`."""
        return list(islice(self._iterate(bounds, descending), count))

    @abstractmethod
    def _iterate(self, bounds: Bounds, descending: bool) -> Iterator[tuple[int, bytes]]:
        """Yield ``(id, data)`` within bounds in the order of the ids, in bounded memory."""


def checked_activity_storage(hydrate_from: Any) -> ActivityStorage[Any]:
    """Return the option ``hydrate_from``, or raise :class:`InvalidTypeError` unless it is an activity storage."""
    if not isinstance(hydrate_from, ActivityStorage):
        raise InvalidTypeError(f"hydrate_from must be an activity storage, not {shown(hydrate_from)}")
    return hydrate_from

"""The writing methods of a timeline storage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from feedstore.activity import Activity
from feedstore.errors import InvalidTypeError
from feedstore.ids import ActivityLike
from feedstore.serializers import Serializer
from feedstore.shown import shown
from feedstore.storage.batch import WriteBatch
from feedstore.storage.checks import check_key, check_keys, check_position, distinct_keys
from feedstore.storage.notify.subscription import Notifier, checked_notifier
from feedstore.storage.session import Pending
from feedstore.storage.timeline_hooks import Limits, TimelineHooks, TimelineItem


class TimelineWrites(TimelineHooks[TimelineItem]):
    """The part of :class:`~feedstore.storage.TimelineStorage` that adds, removes and trims."""

    notifier: Notifier | None = None
    option_names = (*TimelineHooks.option_names, "notifier")

    def __init__(
        self,
        serializer_class: type[Serializer] | None = None,
        activity_class: type[Activity] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(serializer_class, activity_class, **options)
        self.notifier = checked_notifier(options.get("notifier"), self.session)

    def add(self, key: str, activity: ActivityLike, *, batch_interface: WriteBatch | None = None) -> int | None:
        """Add one activity to one timeline; see :meth:`add_many`. One round trip."""
        return self.add_many(key, [activity], batch_interface=batch_interface)

    def add_many(
        self, key: str, activities: Iterable[ActivityLike], *, batch_interface: WriteBatch | None = None
    ) -> int | None:
        """Add activities to one timeline, and return the number of new entries (T1).

        An existing id gets the new payload and counts 0. If the call holds an id twice, the last activity wins. The
        first entry creates the timeline. With the default serializer, the items may be ids instead of activities. It
        costs one round trip for about 500 entries, and O(log n) for each entry in a timeline of n.
        """
        check_key(key)
        serialized = self.serialize_activities(activities)
        return self._change(
            batch_interface,
            "write",
            len(serialized),
            [key],
            self.add_to_storage,
            (key, serialized),
            creates=True,
        )

    def add_to_many(
        self,
        keys: Iterable[str],
        activities: Iterable[ActivityLike],
        *,
        max_length: int | None = None,
        max_per_payload: int | None = None,
        companions: Iterable[str] = (),
        slack: int = 0,
        batch_interface: WriteBatch | None = None,
    ) -> int | None:
        """Add the same activities to many timelines and return the number of new deliveries before trimming (T1).

        A duplicate key counts once; no keys or no activities is 0. A bounded number of round trips for any number of
        keys.

        Args:
            max_length: trims each timeline to this number of newest entries, which are all there (T17). Without the
                ability of exact length up to ``backend.abilities.fan_out_excess`` older ones may stay until the next
                trim.
            max_per_payload: keeps this number of newest entries of each payload in a timeline (T20). The others count
                as removed, so the floor stays.
            companions: suffixes of keys, such as ``[":unseen"]``. An entry that is new in ``feed:bob`` is added to
                ``feed:bob:unseen`` in the same step. An entry that ``feed:bob`` holds already is not added, also if it
                was removed from the companion (T21). An entry that this call drops from a timeline is also dropped
                from its companions.
            slack: with ``max_length`` and without companions, the number of entries that a timeline may hold beyond
                ``max_length`` before a delivery applies the limits (T20). A reader then applies them itself.
        """
        serialized = self.serialize_activities(activities)
        distinct = distinct_keys(keys)
        limits = Limits.checked(max_length, max_per_payload, companions, distinct, slack)
        hook: Callable[..., Pending[int | None]] = self._add_to_many
        arguments: tuple[Any, ...] = (distinct, serialized, max_length)
        if limits.max_per_payload is not None or limits.companions or limits.slack:
            hook, arguments = self._add_to_each, (dict.fromkeys(distinct, serialized), limits)
        changed = limits.changed_keys(distinct)
        return self._change(batch_interface, "add_to_many", len(serialized), changed, hook, arguments, creates=True)

    def add_to_each(
        self,
        deliveries: Mapping[str, Iterable[ActivityLike]],
        *,
        max_length: int | None = None,
        max_per_payload: int | None = None,
        companions: Iterable[str] = (),
        slack: int = 0,
        batch_interface: WriteBatch | None = None,
    ) -> int | None:
        """Add to each timeline activities of its own, ``{key: activities}``; return the number of new deliveries.

        The options are those of :meth:`add_to_many` (T19). If one item is invalid, nothing is written (T13). A bounded
        number of round trips for any number of keys.
        """
        if not isinstance(deliveries, Mapping):
            raise InvalidTypeError(f"deliveries must be a mapping such as {{key: activities}}, not {shown(deliveries)}")
        keys = check_keys(deliveries)
        serialized = dict(zip(keys, self.serialize_each(deliveries.values()), strict=True))
        filled = {key: each for key, each in serialized.items() if each}
        limits = Limits.checked(max_length, max_per_payload, companions, filled, slack)
        return self._change(
            batch_interface,
            "add_to_each",
            sum(map(len, filled.values())),
            limits.changed_keys(filled),
            self._add_to_each,
            (filled, limits),
            creates=True,
        )

    def _change(
        self,
        batch_interface: WriteBatch | None,
        operation: str,
        activities_count: int,
        keys: list[str],
        hook: Callable[..., Pending[int | None]],
        arguments: tuple[Any, ...],
        creates: bool = False,
    ) -> int | None:
        """Call the hook if there are keys and activities, report it to the metrics, and publish the keys unless the
        write is known to have removed nothing.
        """
        chosen = hook if keys else self._write_nothing
        result = self._write_measured(batch_interface, operation, activities_count, chosen, arguments, keys)
        if self.notifier is not None and activities_count and (creates or result != 0):
            self._publish(keys, batch_interface)
        return result

    def _publish(self, keys: list[str], batch_interface: WriteBatch | None) -> None:
        """Publish changed timelines by the notifier option: now, or after the batch has been committed."""
        if self.notifier is None:
            return
        batch = self._batch_to_join(batch_interface)
        if batch is None:
            self.notifier.publish_stored(keys)
        else:
            batch.publish_later(self.notifier, keys)

    def remove(self, key: str, activity: ActivityLike, *, batch_interface: WriteBatch | None = None) -> int | None:
        """Remove one entry from one timeline; see :meth:`remove_many`. One round trip."""
        return self.remove_many(key, [activity], batch_interface=batch_interface)

    def remove_many(
        self, key: str, activities: Iterable[ActivityLike], *, batch_interface: WriteBatch | None = None
    ) -> int | None:
        """Remove entries, by activity or id, from one timeline. Return the number of entries that existed (T1).

        Absent ids and an absent key are no error. The floor stays. One round trip for each 500 or so.
        """
        check_key(key)
        serialized = dict.fromkeys(self.activities_to_ids(activities), b"")
        return self._change(
            batch_interface,
            "remove",
            len(serialized),
            [key],
            self.remove_from_storage,
            (key, serialized),
        )

    def remove_from_many(
        self, keys: Iterable[str], activities: Iterable[ActivityLike], *, batch_interface: WriteBatch | None = None
    ) -> int | None:
        """Remove the same entries from many timelines and return how many were there.

        A bounded number of round trips for any number of keys.
        """
        serialized = dict.fromkeys(self.activities_to_ids(activities), b"")
        distinct = distinct_keys(keys)
        return self._change(
            batch_interface,
            "remove_from_many",
            len(serialized),
            distinct,
            self._remove_from_many,
            (distinct, serialized),
        )

    def trim(self, key: str, length: int, *, batch_interface: WriteBatch | None = None) -> int | None:
        """Keep exactly the newest ``length`` entries and return how many were dropped (T8); 0 for an absent key.

        Dropping raises the timeline's floor (see :class:`~feedstore.storage.Page`). One round trip.
        """
        check_position("length", length)
        check_key(key)
        result = self._write(batch_interface, self._trim, key, length, keys=[key])
        if result != 0:
            self._publish([key], batch_interface)
        return result

    def delete(self, key: str, *, batch_interface: WriteBatch | None = None) -> None:
        """Remove a timeline with its floor; an absent one is no error. One round trip."""
        check_key(key)
        self._write(batch_interface, self._delete, key, keys=[key])
        self._publish([key], batch_interface)

    def get_batch_interface(self) -> WriteBatch:
        """Return ``backend.batch()``: a context manager that sends its writes together when it ends."""
        batch: WriteBatch = self.session.backend_class.batch_class(self.session.root())
        return batch

"""The writing half of the timeline storage's contract."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from feedstore.activity import Activity
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.ids import ActivityLike
from feedstore.serializers import Serializer
from feedstore.shown import shown
from feedstore.storage.batch import Batch
from feedstore.storage.bounds import check_limit, check_position
from feedstore.storage.deliveries import Limits
from feedstore.storage.key import check_key, checked_iterable
from feedstore.storage.notify import Notifier, checked_notifier
from feedstore.storage.timeline_hooks import TimelineHooks, TimelineItem
from feedstore.storage.transaction import Pending, Transaction


class TimelineWrites(TimelineHooks[TimelineItem]):
    """Adding, removing, trimming. Every write takes ``batch_interface=`` and then returns None; counts are None
    without the ability of exact counts, and a lower bound after a retried write. With the option ``notifier`` each add,
    removal and trim publishes the changed timelines once it is stored, which costs one more round trip. A removal that
    is known to have removed nothing publishes nothing, and neither does a ``flush``."""

    notifier: Notifier | None = None
    option_names = (*TimelineHooks.option_names, "notifier")

    def __init__(
        self,
        serializer_class: type[Serializer] | None = None,
        activity_class: type[Activity] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(serializer_class, activity_class, **options)
        self.notifier = checked_notifier(options.get("notifier"), self.backend)

    def add(self, key: str, activity: ActivityLike, *, batch_interface: Batch | None = None) -> int | None:
        """Add one activity to one timeline; see :meth:`add_many`. One round trip."""
        return self.add_many(key, [activity], batch_interface=batch_interface)

    def add_many(
        self, key: str, activities: Iterable[ActivityLike], *, batch_interface: Batch | None = None
    ) -> int | None:
        """Add activities to one timeline and return how many entries were new (T1).

        An id that is there keeps its place and gets the new payload, and counts 0; of a duplicate in the call the last
        wins. A timeline begins with its first entry. Under the default serializer ids may be given instead of
        activities. One round trip for each 500 or so; O(log n) for each entry in a timeline of n.
        """
        check_key(key)
        serialized = self.serialize_activities(activities)
        result = self._write_measured(
            batch_interface,
            "write",
            len(serialized),
            (lambda transaction: self.add_to_storage(key, serialized, transaction))
            if serialized
            else self._write_nothing,
            [key],
            creates=True,
        )
        if serialized:
            self._publish([key], batch_interface)
        return result

    def add_to_many(
        self,
        keys: Iterable[str],
        activities: Iterable[ActivityLike],
        *,
        max_length: int | None = None,
        max_per_payload: int | None = None,
        companions: Iterable[str] = (),
        batch_interface: Batch | None = None,
    ) -> int | None:
        """Add the same activities to many timelines and return how many deliveries were new, counted before trimming
        (T1).

        With ``max_length`` each timeline is then trimmed to its newest ``max_length`` entries, which are all there
        (T17). Without the ability of exact length up to ``backend.abilities.fan_out_excess`` older ones may stay until
        the next trim. A key that comes twice counts once; no keys or no activities is 0. A bounded number of round
        trips, however many the keys.

        Args:
            max_per_payload: keeps, of the entries of a timeline that share a payload, the newest so many (T20). What
                goes counts as removed, so the floor stays.
            companions: suffixes of keys, such as ``[":unseen"]``. An entry that is new in ``feed:bob`` is added to
                ``feed:bob:unseen`` in the same step; one that is there already is not, also if it was removed from the
                companion since (T21). What this call drops from a timeline it drops from the companions too.
        """
        serialized = self.serialize_activities(activities)
        distinct = _distinct_keys(keys)
        limits = _checked_limits(max_length, max_per_payload, companions, distinct)
        if limits.max_per_payload is None and not limits.companions:

            def write(transaction: Transaction) -> Pending[int | None]:
                return self._add_to_many(distinct, serialized, max_length, transaction)
        else:

            def write(transaction: Transaction) -> Pending[int | None]:
                return self._add_to_each(dict.fromkeys(distinct, serialized), limits, transaction)

        return self._fan_out("add_to_many", distinct, limits, write, len(serialized), batch_interface)

    def add_to_each(
        self,
        deliveries: Mapping[str, Iterable[ActivityLike]],
        *,
        max_length: int | None = None,
        max_per_payload: int | None = None,
        companions: Iterable[str] = (),
        batch_interface: Batch | None = None,
    ) -> int | None:
        """Add to each timeline activities of its own, ``{key: activities}``; return how many deliveries were new.

        The options are those of :meth:`add_to_many` (T19). One bad item, and nothing is written (T13). A bounded number
        of round trips, however many the keys.
        """
        if not isinstance(deliveries, Mapping):
            raise InvalidTypeError(f"deliveries must be a mapping such as {{key: activities}}, not {shown(deliveries)}")
        keys = list(map(check_key, deliveries))
        serialized = dict(zip(keys, self.serialize_each(deliveries.values()), strict=True))
        filled = {key: each for key, each in serialized.items() if each}
        limits = _checked_limits(max_length, max_per_payload, companions, filled)
        return self._fan_out(
            "add_to_each",
            list(filled),
            limits,
            lambda transaction: self._add_to_each(filled, limits, transaction),
            sum(map(len, filled.values())),
            batch_interface,
        )

    def _fan_out(
        self,
        operation: str,
        keys: list[str],
        limits: Limits,
        write: Callable[[Transaction], Pending[int | None]],
        activities: int,
        batch_interface: Batch | None,
    ) -> int | None:
        """Write to the timelines and their companions, then publish and report the write."""
        changed = keys
        if limits.companions:
            changed = [key + suffix for key in keys for suffix in ("", *limits.companions)]
        result = self._write_measured(
            batch_interface,
            operation,
            activities,
            write if keys and activities else self._write_nothing,
            changed,
            creates=True,
        )
        if activities:
            self._publish(changed, batch_interface)
        return result

    def _publish(self, keys: list[str], batch_interface: Batch | None) -> None:
        """Publish changed timelines by the notifier option: now, or once the batch has been committed."""
        if self.notifier is None:
            return
        batch = self._batch_to_join(batch_interface)
        if batch is None:
            self.notifier.publish_stored(keys)
        else:
            batch.publish_later(self.notifier, keys)

    def remove(self, key: str, activity: ActivityLike, *, batch_interface: Batch | None = None) -> int | None:
        """Remove one entry from one timeline; see :meth:`remove_many`. One round trip."""
        return self.remove_many(key, [activity], batch_interface=batch_interface)

    def remove_many(
        self, key: str, activities: Iterable[ActivityLike], *, batch_interface: Batch | None = None
    ) -> int | None:
        """Remove entries, by activity or id, from one timeline and return how many were there (T1).

        Ids that are not there and a key that is not there are no error. The floor stays. One round trip for each 500
        or so.
        """
        check_key(key)
        serialized = dict.fromkeys(self.activities_to_ids(activities), b"")
        result = self._write_measured(
            batch_interface,
            "remove",
            len(serialized),
            (lambda transaction: self.remove_from_storage(key, serialized, transaction))
            if serialized
            else self._write_nothing,
            [key],
        )
        if serialized and result != 0:
            self._publish([key], batch_interface)
        return result

    def remove_from_many(
        self, keys: Iterable[str], activities: Iterable[ActivityLike], *, batch_interface: Batch | None = None
    ) -> int | None:
        """Remove the same entries from many timelines and return how many were there. A bounded number of round
        trips.
        """
        serialized = dict.fromkeys(self.activities_to_ids(activities), b"")
        distinct = _distinct_keys(keys)
        result = self._write_measured(
            batch_interface,
            "remove_from_many",
            len(serialized),
            (lambda transaction: self._remove_from_many(distinct, serialized, transaction))
            if distinct and serialized
            else self._write_nothing,
            distinct,
        )
        if serialized and result != 0:
            self._publish(distinct, batch_interface)
        return result

    def trim(self, key: str, length: int, *, batch_interface: Batch | None = None) -> int | None:
        """Keep exactly the newest ``length`` entries and return how many went (T8); 0 for a key that is not there.

        What goes raises the timeline's floor (see :class:`~feedstore.storage.Page`). One round trip.
        """
        check_position("length", length)
        check_key(key)
        result = self._write(batch_interface, lambda transaction: self._trim(key, length, transaction), keys=[key])
        if result != 0:
            self._publish([key], batch_interface)
        return result

    def delete(self, key: str, *, batch_interface: Batch | None = None) -> None:
        """Remove a timeline, its floor included; one that is not there is no error. One round trip."""
        check_key(key)
        self._write(batch_interface, lambda transaction: self._delete(key, transaction), keys=[key])
        self._publish([key], batch_interface)

    def get_batch_interface(self) -> Batch:
        """Return ``backend.batch()``: a context manager whose writes are sent together when it ends."""
        return self.backend.batch()


def _distinct_keys(keys: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(map(check_key, checked_iterable(keys))))


def _checked_limits(
    max_length: int | None, max_per_payload: int | None, companions: Iterable[str], keys: Iterable[str]
) -> Limits:
    if max_length is not None:
        check_limit("max_length", max_length, "; trim(key, 0) and delete(key) empty a timeline")
    if max_per_payload is not None:
        check_limit("max_per_payload", max_per_payload, "; None sets no limit")
    suffixes = tuple(dict.fromkeys(check_key(one, "companion") for one in checked_iterable(companions)))
    if suffixes:
        known = set(keys)
        for companion in (check_key(key + suffix, "companion") for key in known for suffix in suffixes):
            if companion in known:
                raise InvalidValueError(f"{shown(companion)} is both a timeline of this call and a companion of one")
    return Limits(max_length, max_per_payload, suffixes)

"""The hooks of a timeline storage, and the defaults that work over the abstract ones."""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from typing_extensions import TypeVar

from feedstore.activity import ActivityRef
from feedstore.errors import AtomicityError, InvalidValueError
from feedstore.forks import unlocked_property
from feedstore.serializers import TimelineReferenceSerializer
from feedstore.serializers.reference import IdSerializer
from feedstore.shown import shown
from feedstore.storage.abilities import AtomicScope
from feedstore.storage.activity import ActivityStorage
from feedstore.storage.base import Storage
from feedstore.storage.bounds import EVERYTHING, Bounds, Filter, is_descending, parse_filter
from feedstore.storage.checks import check_key, check_limit, check_position, checked_iterable
from feedstore.storage.page import EntryColumns
from feedstore.storage.session import AUTOCOMMIT, Operation, Pending, Transaction

_IDS_ALONE = {(one.loads, one.loads_many) for one in (TimelineReferenceSerializer, IdSerializer)}

Entry = tuple[int, bytes]
"""One entry of a timeline: its id, and its payload or ``b""``."""

TimelineItem = TypeVar("TimelineItem", covariant=True, default=ActivityRef)


class Limits(NamedTuple):
    """The limits and the companions of a delivery.

    - ``max_length``: the number of newest entries that stay in a timeline.
    - ``max_per_payload``: the number of newest entries with the same payload that stay. All entries without a payload
      stay.
    - ``companions``: suffixes of keys. An entry that is new in a timeline is also added to each companion, and an entry
      that the delivery drops from the timeline is also dropped from each companion.
    - ``slack``: the number of entries that a timeline may hold beyond ``max_length`` before a delivery applies the
      limits, that by payload to all its payloads. A backend may apply them to each delivery instead.
    """

    max_length: int | None = None
    max_per_payload: int | None = None
    companions: tuple[str, ...] = ()
    slack: int = 0

    @classmethod
    def checked(
        cls,
        max_length: int | None,
        max_per_payload: int | None,
        companions: Iterable[str],
        keys: Iterable[str],
        slack: int = 0,
    ) -> Limits:
        """Return the limits of a delivery to ``keys``, or raise if one is invalid.

        The result has slack only if a backend may use it.
        """
        check_position("slack", slack)
        if max_length is not None:
            check_limit("max_length", max_length, "; trim(key, 0) and delete(key) empty a timeline")
        if max_per_payload is not None:
            check_limit("max_per_payload", max_per_payload, "; None sets no limit")
        suffixes = tuple(dict.fromkeys(check_key(one, "companion") for one in checked_iterable(companions)))
        known = set(keys) if suffixes else set()
        for companion in (check_key(key + suffix, "companion") for key in known for suffix in suffixes):
            if companion in known:
                raise InvalidValueError(
                    f"{shown(companion)} is both a timeline of this call and a companion of one; pass other companions"
                )
        may_wait = max_length is not None and not suffixes
        return cls(max_length, max_per_payload, suffixes, slack if may_wait else 0)

    def changed_keys(self, keys: Iterable[str]) -> list[str]:
        """Return ``keys``, and the keys of their companions."""
        if not self.companions:
            return list(keys)
        return [key + suffix for key in keys for suffix in ("", *self.companions)]


class TimelineHooks(Storage[TimelineItem]):
    """The hooks of a timeline storage.

    Hooks receive checked arguments: keys, ids and positions are valid, keys and ids are distinct, payloads are
    serialized. They do not check, count for metrics or decode.

    A backend must write the abstract hooks. Each other hook has a default over those, which makes more round trips;
    override those that the store can do better.
    """

    @unlocked_property
    def _reads_payloads(self) -> bool:
        """Whether the serializer reads payloads. If it does not, a hook need not fetch them."""
        chosen = type(self._serializer)
        return (chosen.loads, chosen.loads_many) not in _IDS_ALONE

    @abstractmethod
    def add_to_storage(
        self, key: str, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """Add ``{id: payload}`` to a timeline, replace the payload of ids that are there, and return the number of new
        ids.
        """

    @abstractmethod
    def remove_from_storage(
        self, key: str, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """Remove the ids (with empty payloads) from a timeline, and return how many were there. The floor stays."""

    @abstractmethod
    def _get_slice(self, key: str, start: int, stop: int | None, bounds: Bounds, descending: bool) -> list[Entry]:
        """Return the entries within ``bounds`` at the positions from ``start`` to before ``stop``, newest first if
        ``descending``.
        """

    @abstractmethod
    def _trim(self, key: str, length: int, transaction: Transaction = AUTOCOMMIT) -> Pending[int | None]:
        """Keep the newest ``length`` entries and return the number of dropped ones. If any was dropped, the floor rises
        above the newest of them.
        """

    @abstractmethod
    def _delete(self, key: str, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        """Remove a timeline with its floor."""

    @abstractmethod
    def _floor(self, key: str) -> int | None:
        """Return the floor: None if nothing was ever trimmed, else one more than the newest trimmed id. Without the
        ability of an exact floor it may be higher.
        """

    @abstractmethod
    def _keys(self) -> Iterator[str]:
        """Yield the key of every timeline that holds an entry, once each, in bounded memory."""

    def get_index_of(self, key: str, activity_id: int) -> int | None:
        """Return the number of entries that are newer than the id, or None if it is not there.

        This default makes two reads, between which other processes may write.
        """
        return self._count_within(key, Bounds(activity_id + 1)) if self._contains(key, activity_id) else None

    def _contains(self, key: str, activity_id: int) -> bool:
        """Return whether a timeline holds the id. This default reads a slice of one entry."""
        return bool(self._get_slice(key, 0, 1, Bounds(activity_id, activity_id), True))

    def _contains_many(self, key: str, activity_ids: list[int]) -> set[int]:
        """Return those of one or more distinct ids that a timeline holds. This default reads them one by one."""
        return {activity_id for activity_id in activity_ids if self._contains(key, activity_id)}

    def _count(self, key: str) -> int:
        """Return the number of entries of a timeline; 0 if the key is absent. This default reads all of them."""
        return self._count_within(key, EVERYTHING)

    def _count_within(self, key: str, bounds: Bounds) -> int:
        """Return the number of entries of a timeline within bounds. This default reads them."""
        return len(self._get_slice(key, 0, None, bounds, True))

    def _get_many_slices(
        self, keys: list[str], start: int, stop: int | None, bounds: Bounds, descending: bool
    ) -> dict[str, list[Entry]]:
        """Return the same slice of every timeline; an absent key has an empty list, or none. This default reads one
        timeline after another.
        """
        return {key: self._get_slice(key, start, stop, bounds, descending) for key in keys}

    def _get_page(self, key: str, limit: int, bounds: Bounds, descending: bool) -> tuple[list[Entry], int | None]:
        """Return the first ``limit`` entries within the bounds, and the floor at the time of that read or later."""
        return self._get_slice(key, 0, limit, bounds, descending), self._floor(key)

    def _get_columns(self, key: str, limit: int, bounds: Bounds) -> EntryColumns:
        """Return the newest ``limit`` entries within the bounds in columns, with the floor of :meth:`_get_page`.

        Override it if the store can return ids and payloads without an object for each entry.
        """
        entries, floor = self._get_page(key, limit, bounds, True)
        return EntryColumns([one for one, _ in entries], [payload for _, payload in entries], floor)

    def _get_many_pages(
        self, keys: list[str], limit: int, bounds: Bounds, descending: bool
    ) -> dict[str, tuple[list[Entry], int | None]]:
        """Return :meth:`_get_page` of every timeline. This default reads one after another."""
        return {key: self._get_page(key, limit, bounds, descending) for key in keys}

    def _get_hydrated_slice(
        self,
        activities: ActivityStorage[Any],
        key: str,
        start: int,
        stop: int | None,
        bounds: Bounds,
        descending: bool,
    ) -> list[tuple[int, bytes | None]]:
        """Return the ids of a slice, each with the bytes that ``activities`` holds, or None for a deleted activity."""
        entries = self._get_slice(key, start, stop, bounds, descending)
        found = activities.get_from_storage([activity_id for activity_id, _ in entries]) if entries else {}
        return [(activity_id, found.get(activity_id)) for activity_id, _ in entries]

    def get_slice_from_storage(
        self,
        key: str,
        start: int,
        stop: int | None,
        filter_kwargs: Filter | None = None,
        ordering_args: Sequence[str] | None = None,
    ) -> list[Entry]:
        """Return the entries of :meth:`_get_slice` for a filter and an ordering: the reading hook of stream_framework,
        for code that calls it. No backend overrides it.
        """
        bounds = parse_filter(filter_kwargs, self.activity_to_id)
        return self._get_slice(key, start, stop, bounds, is_descending(ordering_args))

    def _add_to_many(
        self,
        keys: list[str],
        serialized: Mapping[int, bytes],
        max_length: int | None,
        transaction: Transaction = AUTOCOMMIT,
    ) -> Pending[int | None]:
        """Add to every timeline, then trim each to ``max_length``; return the number of new entries before trimming."""
        added = []
        for key in keys:
            added.append(self.add_to_storage(key, serialized, transaction))
            if max_length is not None:
                self._trim(key, max_length, transaction)
        return total(added)

    def _remove_from_many(
        self, keys: list[str], serialized: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """Remove from every timeline; return the number of entries that were there."""
        return total([self.remove_from_storage(key, serialized, transaction) for key in keys])

    def _add_to_each(
        self, deliveries: Mapping[str, Mapping[int, bytes]], limits: Limits, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """Add ``{key: {id: payload}}`` within limits; return the number of new entries before anything was dropped.

        This default is atomic on a backend with the ability of atomic deliveries whose atomic scope is the backend:
        there the reads of a transaction see its writes. Any other backend overrides it, or lacks the ability.
        """

        def deliver_each(own: Transaction) -> Pending[int | None]:
            return total([deliver(self, key, entries, limits, own) for key, entries in deliveries.items()])

        abilities, is_alone = self.session.abilities, transaction is AUTOCOMMIT
        if not is_alone and not abilities.atomic_deliveries and (limits.max_per_payload or limits.companions):
            raise AtomicityError(
                "deliveries with max_per_payload or companions cannot join batches on this backend; call them without "
                "a batch"
            )
        if not (is_alone and abilities.atomic_deliveries and abilities.atomic_scope == AtomicScope.BACKEND):
            return deliver_each(transaction)
        operation = Operation(self.session, deliver_each, None, limits.changed_keys(deliveries))
        return Pending(self.session.transact([operation], True)[0].result)

    def _add_if_absent(self, key: str, activity_id: int, data: bytes) -> bool:
        """Add one entry unless its id is there; return whether it was added. If callers race, exactly one gets True.

        The claims of queues depend on it. If the store has no exact counts, override it with a compare-and-set, or
        declare ``exclusive_claims=False``.
        """
        if self._contains(key, activity_id):
            return False
        added = self.add_to_storage(key, {activity_id: data}).result
        return added is None or added > 0


def deliver(
    timelines: TimelineHooks[Any], key: str, serialized: Mapping[int, bytes], limits: Limits, transaction: Transaction
) -> Pending[int | None]:
    """Add entries to one timeline within limits, and return the number of new ones before anything was dropped.

    The function reads its own writes. So it is atomic only in a transaction whose reads see its writes.
    """
    companions = [f"{key}{suffix}" for suffix in limits.companions]
    new = dict(serialized)
    if companions:
        for activity_id in timelines._contains_many(key, list(serialized)):
            del new[activity_id]
    added = timelines.add_to_storage(key, serialized, transaction)
    for companion in companions if new else ():
        timelines.add_to_storage(companion, new, transaction)
    surplus = _beyond_payload_limit(timelines, key, serialized, limits.max_per_payload)
    if surplus:
        timelines.remove_from_storage(key, surplus, transaction)
    dropped = {**surplus, **_trimmed(timelines, key, limits, transaction)}
    for companion in companions if dropped else ():
        timelines.remove_from_storage(companion, dropped, transaction)
    return added


def _beyond_payload_limit(
    timelines: TimelineHooks[Any], key: str, serialized: Mapping[int, bytes], limit: int | None
) -> dict[int, bytes]:
    """Return the entries beyond the newest ``limit`` of those that share a delivered payload, with empty payloads."""
    if limit is None:
        return {}
    delivered = {payload for payload in serialized.values() if payload}
    same: dict[bytes, list[int]] = defaultdict(list)
    if delivered:
        for activity_id, payload in timelines._get_slice(key, 0, None, EVERYTHING, True):
            if payload in delivered:
                same[payload].append(activity_id)
    return {activity_id: b"" for ids in same.values() for activity_id in ids[limit:]}


def _trimmed(timelines: TimelineHooks[Any], key: str, limits: Limits, transaction: Transaction) -> dict[int, bytes]:
    """Trim a timeline. If it has companions, return the dropped entries with empty payloads."""
    if limits.max_length is None:
        return {}
    dropped = {}
    if limits.companions:
        entries = timelines._get_slice(key, limits.max_length, None, EVERYTHING, True)
        dropped = {activity_id: b"" for activity_id, _ in entries}
    timelines._trim(key, limits.max_length, transaction)
    return dropped


def total(parts: Sequence[Pending[int | None]]) -> Pending[int | None]:
    """Return the sum of the counts of several writes, None if any is unknown; pending as long as one of them is."""
    return _Total(parts)


class _Total(Pending["int | None"]):
    """A sum of results that is computed when it is read."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Sequence[Pending[int | None]]) -> None:
        self._parts = parts

    def __getattr__(self, name: str) -> Any:
        if name != "result":
            raise AttributeError(name)
        counts = [part.result for part in self._parts]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

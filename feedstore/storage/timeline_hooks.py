"""What a backend writes to get timelines: the hooks, and the slower forms that it may leave as they are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from typing_extensions import TypeVar

from feedstore.activity import ActivityRef
from feedstore.errors import AtomicityError
from feedstore.serializers import TimelineReferenceSerializer
from feedstore.storage.abilities import AtomicScope
from feedstore.storage.batch import Operation
from feedstore.storage.bounds import NEWEST_FIRST, OLDEST_FIRST, Bounds, Filter
from feedstore.storage.deliveries import Limits, deliver
from feedstore.storage.storage import Storage
from feedstore.storage.transaction import AUTOCOMMIT, Pending, Transaction

if TYPE_CHECKING:
    from feedstore.storage.activity import ActivityStorage

_REFERENCES_ALONE = (TimelineReferenceSerializer.loads, TimelineReferenceSerializer.loads_many)

Entry = tuple[int, bytes]
"""One entry of a timeline: its id, and the payload beside it or ``b""``."""


TimelineItem = TypeVar("TimelineItem", covariant=True, default=ActivityRef)


class TimelineHooks(Storage[TimelineItem]):
    """The hooks of a timeline storage. They get checked arguments: keys, ids and positions are valid, keys and ids
    distinct, payloads serialized. They do no checking, counting of metrics or decoding.

    The abstract ones are all that a backend must write. The concrete ones at the end work over those, in more round
    trips; a backend overrides what it can do better.
    """

    @cached_property
    def _reads_payloads(self) -> bool:
        """Whether the serializer looks at payloads when it reads; where it does not, they need not be fetched."""
        chosen = type(self._serializer)
        return (chosen.loads, chosen.loads_many) != _REFERENCES_ALONE

    @abstractmethod
    def add_to_storage(
        self, key: str, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """Add ``{id: payload}`` to a timeline, replacing the payload of ids that are there; return how many ids were
        new.
        """

    @abstractmethod
    def remove_from_storage(
        self, key: str, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """Remove the ids (payloads are empty) from a timeline; return how many were there. The floor stays."""

    @abstractmethod
    def get_slice_from_storage(
        self,
        key: str,
        start: int,
        stop: int | None,
        filter_kwargs: Filter | Bounds | None = None,
        ordering_args: Sequence[str] | None = None,
    ) -> list[Entry]:
        """Return the entries at the positions from ``start`` to before ``stop`` of those within the filter, in the
        ordering.

        Public methods hand in :class:`Bounds`; :func:`~feedstore.storage.bounds.parse_filter` and
        :func:`~feedstore.storage.bounds.is_descending` read either form.
        """

    @abstractmethod
    def get_index_of(self, key: str, activity_id: int) -> int | None:
        """Return how many entries are newer than the id, or None if it is not there."""

    @abstractmethod
    def _contains(self, key: str, activity_id: int) -> bool:
        """Return whether a timeline holds the id."""

    @abstractmethod
    def _count(self, key: str) -> int:
        """Return how many entries a timeline holds; 0 if there is none of that key."""

    @abstractmethod
    def _trim(self, key: str, length: int, transaction: Transaction = AUTOCOMMIT) -> Pending[int | None]:
        """Keep the newest ``length`` entries and return how many went. If any went, the floor rises above the newest
        of them.
        """

    @abstractmethod
    def _delete(self, key: str, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        """Remove a timeline, its floor included."""

    @abstractmethod
    def _floor(self, key: str) -> int | None:
        """Return the floor: None if nothing was ever trimmed, else one more than the newest id that was, or more
        without the ability of an exact floor.
        """

    @abstractmethod
    def _keys(self) -> Iterator[str]:
        """Yield the key of every timeline that holds an entry, once each, in bounded memory."""

    def _add_to_many(
        self,
        keys: list[str],
        serialized: Mapping[int, bytes],
        max_length: int | None,
        transaction: Transaction = AUTOCOMMIT,
    ) -> Pending[int | None]:
        """Add to every timeline, then trim each to ``max_length``; return how many entries were new before trimming."""
        added = []
        for key in keys:
            added.append(self.add_to_storage(key, serialized, transaction))
            if max_length is not None:
                self._trim(key, max_length, transaction)
        return total(added)

    def _add_if_absent(self, key: str, activity_id: int, data: bytes) -> bool:
        """Add one entry unless its id is there; return whether it was added. Of several callers at once, one is told
        so. It is what the claims of queues rest on; without exact counts, a store that can compare and set overrides
        it, or else lacks the ability of exclusive claims.
        """
        if self._contains(key, activity_id):
            return False
        added = self.add_to_storage(key, {activity_id: data}).result
        return added is None or added > 0

    def _remove_from_many(
        self, keys: list[str], serialized: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """Remove from every timeline; return how many entries were there."""
        return total([self.remove_from_storage(key, serialized, transaction) for key in keys])

    def _add_to_each(
        self, deliveries: Mapping[str, Mapping[int, bytes]], limits: Limits, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """Add ``{key: {id: payload}}`` within limits; return how many entries were new before anything was dropped.

        This default is one step on a backend with the ability of atomic deliveries whose atomic scope is the backend:
        there the reads of a transaction see its writes. Any other backend overrides it, or lacks the ability.
        """

        def deliver_each(own: Transaction) -> Pending[int | None]:
            return total([deliver(self, key, entries, limits, own) for key, entries in deliveries.items()])

        abilities, is_alone = self.backend.abilities, transaction is AUTOCOMMIT
        if not is_alone and not abilities.atomic_deliveries and (limits.max_per_payload or limits.companions):
            raise AtomicityError("deliveries with max_per_payload or companions join no batch on this backend")
        if not (is_alone and abilities.atomic_deliveries and abilities.atomic_scope == AtomicScope.BACKEND):
            return deliver_each(transaction)
        keys = [key + suffix for key in deliveries for suffix in ("", *limits.companions)]
        operation = Operation(self, deliver_each, None, keys, True)
        return Pending(self.backend.transact([operation], True)[0].result)

    def _contains_many(self, key: str, activity_ids: list[int]) -> set[int]:
        """Return those of distinct ids that a timeline holds; never asked for none. This default asks one by one."""
        return {activity_id for activity_id in activity_ids if self._contains(key, activity_id)}

    def _count_within(self, key: str, bounds: Bounds) -> int:
        """Return how many entries of a timeline lie within bounds. This default reads them."""
        return len(self.get_slice_from_storage(key, 0, None, bounds, NEWEST_FIRST))

    def _get_many_pages(
        self, keys: list[str], limit: int, bounds: Bounds, descending: bool
    ) -> dict[str, tuple[list[Entry], int | None]]:
        """Return :meth:`_get_page` of every timeline. This default reads one after the other."""
        return {key: self._get_page(key, limit, bounds, descending) for key in keys}

    def _get_many_slices(
        self, keys: list[str], start: int, stop: int | None, bounds: Bounds, descending: bool
    ) -> dict[str, list[Entry]]:
        """Return the same slice of every timeline; an empty list for a key that is not there."""
        ordering = ordering_of(descending)
        return {key: self.get_slice_from_storage(key, start, stop, bounds, ordering) for key in keys}

    def _get_page(self, key: str, limit: int, bounds: Bounds, descending: bool) -> tuple[list[Entry], int | None]:
        """Return the first ``limit`` entries within the bounds, and the floor as it was when or after they were
        read.
        """
        entries = self.get_slice_from_storage(key, 0, limit, bounds, ordering_of(descending))
        return entries, self._floor(key)

    def _get_hydrated_slice(
        self,
        activities: ActivityStorage[Any],
        key: str,
        start: int,
        stop: int | None,
        bounds: Bounds,
        descending: bool,
    ) -> list[tuple[int, bytes | None]]:
        """Return a slice's ids with the bytes that ``activities`` holds for each, None for an activity that is gone."""
        entries = self.get_slice_from_storage(key, start, stop, bounds, ordering_of(descending))
        found = activities.get_from_storage([activity_id for activity_id, _ in entries]) if entries else {}
        return [(activity_id, found.get(activity_id)) for activity_id, _ in entries]


def ordering_of(descending: bool) -> tuple[str]:
    """Return the ``ordering_args`` of a direction."""
    return NEWEST_FIRST if descending else OLDEST_FIRST


def total(parts: Sequence[Pending[int | None]]) -> Pending[int | None]:
    """Return the sum of several writes' counts, None if any is unknown; pending as long as one of them is."""
    return _Total(parts)


class _Total(Pending["int | None"]):
    """The sum of results, added up when it is read."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Sequence[Pending[int | None]]) -> None:
        self._parts = parts

    @property
    def result(self) -> int | None:
        counts = [part.result for part in self._parts]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

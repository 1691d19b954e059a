"""Timeline storages whose deliveries, or whose reads for merging and counting, are broken in one way each."""

from __future__ import annotations

from collections.abc import Mapping

from feedstore.backends.memory import InMemoryTimelineStorage
from feedstore.storage import Bounds
from feedstore.storage.bounds import EVERYTHING
from feedstore.storage.session import AUTOCOMMIT, Pending, Transaction
from feedstore.storage.timeline_hooks import Limits

Entry = tuple[int, bytes]


class EachGetsTheFirst(InMemoryTimelineStorage):
    """Delivers the entries of one timeline to all."""

    def _add_to_each(
        self, deliveries: Mapping[str, Mapping[int, bytes]], limits: Limits, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        first = next(iter(deliveries.values()))
        return super()._add_to_each(dict.fromkeys(deliveries, first), limits, transaction)


class PayloadsAreNotLimited(InMemoryTimelineStorage):
    """Ignores the limit by payload."""

    def _add_to_each(
        self, deliveries: Mapping[str, Mapping[int, bytes]], limits: Limits, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        return super()._add_to_each(deliveries, limits._replace(max_per_payload=None), transaction)


class SlackTrimsAlone(InMemoryTimelineStorage):
    """Trims a timeline whose slack is used up before the limit by payload has made room."""

    def _add_to_each(
        self, deliveries: Mapping[str, Mapping[int, bytes]], limits: Limits, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        if limits.slack:
            limits = limits._replace(max_per_payload=None)
        return super()._add_to_each(deliveries, limits, transaction)


class CompanionsGetEverything(InMemoryTimelineStorage):
    """Adds entries to companions that their timelines held already."""

    def _add_to_each(
        self, deliveries: Mapping[str, Mapping[int, bytes]], limits: Limits, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        for suffix in limits.companions:
            for key, entries in deliveries.items():
                self.add_to_storage(key + suffix, entries, transaction)
        return super()._add_to_each(deliveries, limits, transaction)


class EmptyPayloadsAreLimited(InMemoryTimelineStorage):
    """Takes having no payload for a payload that entries share."""

    def _add_to_each(
        self, deliveries: Mapping[str, Mapping[int, bytes]], limits: Limits, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        pending = super()._add_to_each(deliveries, limits, transaction)
        for key in deliveries if limits.max_per_payload is not None else ():
            without = [entry for entry in self._get_slice(key, 0, None, EVERYTHING, True) if not entry[1]]
            self.remove_from_storage(key, dict(without[limits.max_per_payload :]), transaction)
        return pending


class TheOldestOfAPayloadStay(InMemoryTimelineStorage):
    """Drops the newest entries that share a payload."""

    def _add_to_each(
        self, deliveries: Mapping[str, Mapping[int, bytes]], limits: Limits, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        pending = super()._add_to_each(deliveries, limits._replace(max_per_payload=None), transaction)
        for key, entries in deliveries.items() if limits.max_per_payload is not None else ():
            oldest_first = self._get_slice(key, 0, None, EVERYTHING, False)
            for payload in set(entries.values()) - {b""}:
                same = [entry for entry in oldest_first if entry[1] == payload]
                self.remove_from_storage(key, dict(same[limits.max_per_payload :]), transaction)
        return pending


class LimitsByPayloadRaiseTheFloor(InMemoryTimelineStorage):
    """Takes a limit by payload for a trim."""

    def _add_to_each(
        self, deliveries: Mapping[str, Mapping[int, bytes]], limits: Limits, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        before = {key: dict(self._get_slice(key, 0, None, EVERYTHING, True)) for key in deliveries}
        pending = super()._add_to_each(deliveries, limits, transaction)
        for key, entries in deliveries.items():
            gone = {*before[key], *entries}.difference(dict(self._get_slice(key, 0, None, EVERYTHING, True)))
            if gone:
                self._entries_to_write(key).newest_dropped = max(gone)
        return pending


class CompanionsKeepWhatGoes(InMemoryTimelineStorage):
    """Drops the surplus of a limit from the timeline alone."""

    def _add_to_each(
        self, deliveries: Mapping[str, Mapping[int, bytes]], limits: Limits, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        pending = super()._add_to_each(deliveries, Limits(companions=limits.companions), transaction)
        super()._add_to_each(deliveries, limits._replace(companions=()), transaction)
        return pending


class FiltersAreNotCounted(InMemoryTimelineStorage):
    """Counts everything and ignores the filter."""

    def _count_within(self, key: str, bounds: Bounds) -> int:
        return self._count(key)


class ContainsAnyOfMany(InMemoryTimelineStorage):
    """Says that a timeline holds all ids that it was asked for if it holds one."""

    def _contains_many(self, key: str, activity_ids: list[int]) -> set[int]:
        return set(activity_ids) if super()._contains_many(key, activity_ids) else set()


class PagesWithoutFloors(InMemoryTimelineStorage):
    """Leaves the floors out of the pages of many timelines."""

    def _get_many_pages(
        self, keys: list[str], limit: int, bounds: Bounds, descending: bool
    ) -> dict[str, tuple[list[Entry], int | None]]:
        return {key: (page[0], None) for key, page in super()._get_many_pages(keys, limit, bounds, descending).items()}


DELIVERIES: tuple[type[InMemoryTimelineStorage], ...] = tuple(
    mutant for mutant in list(globals().values()) if isinstance(mutant, type) and mutant.__module__ == __name__
)

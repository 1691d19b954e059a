"""Timelines in Redis."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any

from feedstore.backends.redis.activity import RedisActivityStorage
from feedstore.backends.redis.command import Command, call_script
from feedstore.backends.redis.enumeration import fields_of
from feedstore.backends.redis.floor import check_ids, floor_of
from feedstore.backends.redis.keys import Keys
from feedstore.backends.redis.scripts import CONTAINS, HYDRATE, PAGE, SLICE
from feedstore.backends.redis.timeline_writes import RedisTimelineWrites
from feedstore.ids import id_from_bytes, id_to_bytes
from feedstore.storage import ActivityStorage, Bounds, TimelineStorage
from feedstore.storage.bounds import EVERYTHING
from feedstore.storage.timeline_hooks import Entry

_MOST_POSITION = 2**53
_MOST_KEYS_A_TRIP = 1000
_MOST_A_SCRIPT = 1000


class RedisTimelineStorage(RedisTimelineWrites, TimelineStorage):
    """Timelines as sorted sets of 16-byte ids with the score 0, payloads in a hash beside each.

    Adds, removes, ``index_of``, ``contains`` and ``count`` cost O(log n) or less in a timeline of n and one round trip.
    A slice costs O(log n) and what it returns, with a filter also the ``start`` that it skips. Hydrated from activities
    on the same server, a slice is one round trip, on a Cluster two. A fan-out is one round trip, however many the
    timelines, and a second one if some of them hold payloads or had late arrivals. :meth:`keys` is one, and two for
    each 10,000 timelines, or three where some of them expired.
    """

    def _get_slice(self, key: str, start: int, stop: int | None, bounds: Bounds, descending: bool) -> list[Entry]:
        """One round trip, with payloads one for each 1,000 entries; O(log n) and what it returns, with a filter also
        ``start``.
        """
        if self._reads_payloads:
            return list(chain.from_iterable(self._parts(key, start, stop, bounds, descending)))
        words = range_words(start, stop, bounds, descending)
        store = self.session.store
        return [] if words is None else references_of(key, store.ask(_slice(self.session.keys(), key, words)))

    def _parts(self, key: str, start: int, stop: int | None, bounds: Bounds, descending: bool) -> Iterator[list[Entry]]:
        """Yield a slice with payloads in parts of 1,000 entries, each of one round trip and one script."""
        left = _MOST_POSITION if stop is None else stop - start
        while True:
            words = range_words(start, start + min(left, _MOST_A_SCRIPT), bounds, descending)
            if words is None:
                return
            command = _slice_with_payloads(self.session.keys(), key, words)
            part = entries_of(key, *self.session.store.ask(command))
            yield part
            if len(part) < _MOST_A_SCRIPT:
                return
            start, left = 0, left - len(part)
            bounds = bounds.after(part[-1][0], descending)

    def _get_many_slices(
        self, keys: list[str], start: int, stop: int | None, bounds: Bounds, descending: bool
    ) -> dict[str, list[Entry]]:
        """One round trip for each 1,000 keys; of slices of more than 1,000 payloads one for each 1,000 entries."""
        if self._reads_payloads and (stop is None or stop - start > _MOST_A_SCRIPT):
            return {key: list(chain.from_iterable(self._parts(key, start, stop, bounds, descending))) for key in keys}
        words = range_words(start, stop, bounds, descending)
        store = self.session.store
        if words is None:
            return {key: [] for key in keys}
        slices: dict[str, list[Entry]] = {}
        names = self.session.keys()
        for first in range(0, len(keys), _MOST_KEYS_A_TRIP):
            part = keys[first : first + _MOST_KEYS_A_TRIP]
            if self._reads_payloads:
                answers = store.send([_slice_with_payloads(names, key, words) for key in part])
                slices.update((key, entries_of(key, *answer)) for key, answer in zip(part, answers, strict=True))
            else:
                answers = store.send([_slice(names, key, words) for key in part])
                slices.update((key, references_of(key, answer)) for key, answer in zip(part, answers, strict=True))
        return slices

    def _get_page(self, key: str, limit: int, bounds: Bounds, descending: bool) -> tuple[list[Entry], int | None]:
        """One round trip: the entries and the floor as they were at one moment. With payloads, one for each 1,000
        entries: the floor is that of the last one.
        """
        most = _MOST_A_SCRIPT if self._reads_payloads else _MOST_POSITION
        found: list[Entry] = []
        while True:
            wanted = min(limit - len(found), most)
            words = range_words(0, wanted, bounds, descending)
            if words is None:
                return found, self._floor(key)
            ids, payloads, state, oldest = self._page(key, words, self._reads_payloads)
            found += entries_of(key, ids, payloads) if payloads else references_of(key, ids)
            if len(ids) < wanted or len(found) == limit:
                return found, floor_of(key, state, oldest)
            bounds = bounds.after(found[-1][0], descending)

    def _floor(self, key: str) -> int | None:
        """One round trip."""
        _, _, state, oldest = self._page(key, ("ZRANGE", 0, 0), False)
        return floor_of(key, state, oldest)

    def _page(
        self, key: str, words: tuple[Any, ...], with_payloads: bool
    ) -> tuple[list[bytes], list[bytes | None], bytes | None, list[bytes]]:
        ids, payloads, state, oldest = self.session.store.ask(_page(self.session.keys(), key, words, with_payloads))
        return ids, payloads, state, oldest

    def _get_many_pages(
        self, keys: list[str], limit: int, bounds: Bounds, descending: bool
    ) -> dict[str, tuple[list[Entry], int | None]]:
        """One round trip for each 1,000 keys; of pages of more than 1,000 payloads one for each 1,000 entries."""
        words = range_words(0, limit, bounds, descending) or ("ZREVRANGEBYLEX", b"-", b"+", "LIMIT", 0, 0)
        if self._reads_payloads and limit > _MOST_A_SCRIPT:
            return super()._get_many_pages(keys, limit, bounds, descending)
        names = self.session.keys()
        pages: dict[str, tuple[list[Entry], int | None]] = {}
        for first in range(0, len(keys), _MOST_KEYS_A_TRIP):
            part = keys[first : first + _MOST_KEYS_A_TRIP]
            answers = self.session.store.send([_page(names, key, words, self._reads_payloads) for key in part])
            for key, (ids, payloads, state, oldest) in zip(part, answers, strict=True):
                entries = entries_of(key, ids, payloads) if payloads else references_of(key, ids)
                pages[key] = entries, floor_of(key, state, oldest)
        return pages

    def _get_hydrated_slice(
        self,
        activities: ActivityStorage,
        key: str,
        start: int,
        stop: int | None,
        bounds: Bounds,
        descending: bool,
    ) -> list[tuple[int, bytes | None]]:
        """One round trip where the activities lie on the same server, or in the same bucket; else two. Of more than
        1,000 entries, one more for each 500.
        """
        is_short = stop is not None and stop - start <= _MOST_A_SCRIPT
        if not (isinstance(activities, RedisActivityStorage) and is_short and self._shares_slots_with(activities)):
            return super()._get_hydrated_slice(activities, key, start, stop, bounds, descending)
        words = range_words(start, stop, bounds, descending)
        if words is None:
            return []
        names, hashes = self.session.keys(), activities.session.keys().activities
        bucket = names.bucket_of(key)
        command = call_script(names.tag(bucket), HYDRATE, (names.timeline(bucket, key), *hashes), words)
        ids, found = self.session.store.ask(command)
        return list(zip(map(id_from_bytes, check_ids(key, ids)), found, strict=True))

    def _shares_slots_with(self, activities: RedisActivityStorage) -> bool:
        ours, theirs = self.session, activities.session
        if ours.store is not theirs.store:
            return False
        if not ours.store.is_cluster:
            return True
        return ours.root_namespace == theirs.root_namespace and ours.keys().buckets == 1

    def get_index_of(self, key: str, activity_id: int) -> int | None:
        """One round trip; O(log n)."""
        position: int | None = self._ask_about("ZREVRANK", key, id_to_bytes(activity_id))
        return position

    def _contains(self, key: str, activity_id: int) -> bool:
        return self._ask_about("ZSCORE", key, id_to_bytes(activity_id)) is not None

    def _count(self, key: str) -> int:
        count: int = self._ask_about("ZCARD", key)
        return count

    def _ask_about(self, command: str, key: str, *arguments: bytes) -> Any:
        names = self.session.keys()
        bucket = names.bucket_of(key)
        return self.session.store.ask(Command(names.tag(bucket), (command, names.timeline(bucket, key), *arguments)))

    def _contains_many(self, key: str, activity_ids: list[int]) -> set[int]:
        """One round trip; O(log n) for each."""
        names = self.session.keys()
        bucket = names.bucket_of(key)
        parts = [activity_ids[first : first + _MOST_A_SCRIPT] for first in range(0, len(activity_ids), _MOST_A_SCRIPT)]
        touched = (names.timeline(bucket, key),)
        answers = self.session.store.send(
            [call_script(names.tag(bucket), CONTAINS, touched, list(map(id_to_bytes, part))) for part in parts]
        )
        found = chain.from_iterable(answers)
        return {activity_id for activity_id, is_there in zip(activity_ids, found, strict=True) if is_there}

    def _count_within(self, key: str, bounds: Bounds) -> int:
        """One round trip; O(log n)."""
        count: int = 0 if bounds.is_empty else self._ask_about("ZLEXCOUNT", key, *lexical_bounds(bounds))
        return count

    def _keys(self) -> Iterator[str]:
        """One round trip, and two for each 10,000 keys or so, which are held; a third where some of them expired."""
        names = self.session.keys()
        last, seen = -1, set[bytes]()
        for part in fields_of(self.session.store, names, names.directories):
            known = []
            for bucket, fields in part.items():
                if bucket != last:
                    last, seen = bucket, set()
                # A scan may return a field twice, in parts that come one after the other.
                timelines = [field for field in dict.fromkeys(fields) if field not in seen]
                seen.update(timelines)
                for field in timelines:
                    if not names.is_timeline(bucket, field):
                        raise names.damaged_field(bucket, field)
                known += [
                    (bucket, timelines[first : first + _MOST_KEYS_A_TRIP])
                    for first in range(0, len(timelines), _MOST_KEYS_A_TRIP)
                ]
            counts = self.session.store.send(
                [Command(names.tag(bucket), ("EXISTS", *timelines)) for bucket, timelines in known]
            )
            for (bucket, timelines), count in zip(known, counts, strict=True):
                present = timelines if count == len(timelines) else self._those_present(names.tag(bucket), timelines)
                yield from (names.key_of_field(bucket, timeline) for timeline in present)

    def _those_present(self, tag: str, timelines: list[bytes]) -> list[bytes]:
        answers = self.session.store.send([Command(tag, ("EXISTS", timeline)) for timeline in timelines])
        return [timeline for timeline, exists in zip(timelines, answers, strict=True) if exists]


def _slice(names: Keys, key: str, words: tuple[Any, ...]) -> Command:
    bucket = names.bucket_of(key)
    return Command(names.tag(bucket), (words[0], names.timeline(bucket, key), *words[1:]))


def _slice_with_payloads(names: Keys, key: str, words: tuple[Any, ...]) -> Command:
    bucket = names.bucket_of(key)
    return call_script(names.tag(bucket), SLICE, names.of_timeline(bucket, key)[1:], words)


def _page(names: Keys, key: str, words: tuple[Any, ...], with_payloads: bool) -> Command:
    bucket = names.bucket_of(key)
    touched = names.of_timeline(bucket, key)
    return call_script(names.tag(bucket), PAGE, touched if with_payloads else touched[:2], words)


def range_words(start: int, stop: int | None, bounds: Bounds, descending: bool) -> tuple[Any, ...] | None:
    """Return a slice as the command's name and what stands behind its key; None where nothing can be found.

    These forms are older than ZRANGE's own options, and every server has them.
    """
    start = min(start, _MOST_POSITION)
    count = -1 if stop is None else min(stop, _MOST_POSITION) - start
    if bounds.is_empty or count == 0:
        return None
    if bounds.is_everything:
        return ("ZREVRANGE" if descending else "ZRANGE", start, -1 if stop is None else start + count - 1)
    lowest, highest = lexical_bounds(bounds)
    if descending:
        return ("ZREVRANGEBYLEX", highest, lowest, "LIMIT", start, count)
    return ("ZRANGEBYLEX", lowest, highest, "LIMIT", start, count)


def lexical_bounds(bounds: Bounds) -> tuple[bytes, bytes]:
    """Return bounds that are not empty as a command's lowest and highest member."""
    lowest = b"-" if bounds.lowest <= EVERYTHING.lowest else b"[" + id_to_bytes(bounds.lowest)
    highest = b"+" if bounds.highest >= EVERYTHING.highest else b"[" + id_to_bytes(bounds.highest)
    return lowest, highest


def references_of(key: str, ids: list[bytes]) -> list[Entry]:
    """Return the entries of ids, without their payloads."""
    return [(int.from_bytes(one, "big"), b"") for one in check_ids(key, ids)]


def entries_of(key: str, ids: list[bytes], payloads: list[bytes | None]) -> list[Entry]:
    """Return the entries of ids and the payloads beside them, which those without one have at the end or not at all."""
    filled = (b"" if payload is None else payload for payload in chain(payloads, repeat(None)))
    return [(id_from_bytes(one), payload) for one, payload in zip(check_ids(key, ids), filled, strict=False)]

"""Timelines in Redis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from struct import iter_unpack
from typing import Any, TypeVar

from feedstore.backends.redis.activity import RedisActivityStorage
from feedstore.backends.redis.command import Command, call_script
from feedstore.backends.redis.enumeration import fields_of
from feedstore.backends.redis.records import (
    AGAIN,
    MOST_OF_A_STRING,
    MOST_POSITION,
    check_whole,
    columns_of,
    count_in,
    entries_of,
    first_known,
    ids_of,
    in_columns,
    newest_columns,
    newest_in,
    page_of,
    place_in,
    range_words,
)
from feedstore.backends.redis.scripts import READ
from feedstore.backends.redis.timeline_questions import MOST_KEYS_A_TRIP, RedisTimelineQuestions
from feedstore.backends.redis.timeline_writes import RedisTimelineWrites
from feedstore.forks import unlocked_property
from feedstore.ids import ID_BYTES, id_from_bytes, id_to_bytes
from feedstore.storage import ActivityStorage, Bounds, TimelineStorage
from feedstore.storage.bounds import EVERYTHING
from feedstore.storage.page import EntryColumns, PackedIds
from feedstore.storage.timeline_hooks import Entry

_MOST_A_SCRIPT = 8000
_MOST_PAYLOADS_A_SCRIPT = 1000
_MOST_IN_COLUMNS = 2000
_MOST_ASKED = 100
_MOST_SOUGHT = 30
_MOST_KNOWN = 1000
_MOST_IN_FRONT = 1000
_NOTHING = (0, 0, b"", b"", 0)
_EMPTIED = b"e"
_Known = TypeVar("_Known")


class RedisTimelineStorage(RedisTimelineWrites, RedisTimelineQuestions, TimelineStorage):
    """Timelines as strings of sorted 16-byte ids; of more than 2,048 entries, the older ones lie in chunks of 126.

    Payloads lie in a list beside each timeline. Chunks, and the payloads of a timeline that has chunks, lie in a hash.
    Adds at the top cost O(1). Late adds and removes are a binary search, and rewrite the newer records of a string, or
    one chunk. A plain command reads the newest entries, or the string for ``index_of`` and ``contains``. A slice costs
    O(log n) and the time for its entries; it reads the index of the chunks if it reaches them. ``count`` is O(1). Each
    call is one round trip; on a Cluster a read that reaches chunks is two. A write that changes more chunks than one
    script may is several.
    Hydrated from activities on the same server, a slice is one round trip, on a Cluster two. A fan-out is one round
    trip, however many the timelines, and a second one if some of them hold payloads or chunks. :meth:`keys` is one,
    and two for each 10,000 timelines, or three where some of them expired.
    """

    def _get_slice(self, key: str, start: int, stop: int | None, bounds: Bounds, descending: bool) -> list[Entry]:
        """One round trip for each 8,000 entries, with payloads one for each 1,000."""
        if self._are_newest(start, stop, bounds, descending):
            names = self.session.keys()
            found = self._newest_of(key, self.session.store.ask(self._end_of(names, key, stop or 0)), start, stop or 0)
            if found is not None:
                return found
        return list(chain.from_iterable(self._parts(key, start, stop, bounds, descending)))

    def _are_newest(self, start: int, stop: int | None, bounds: Bounds, descending: bool) -> bool:
        """Return whether a slice is read without a script."""
        return (
            descending
            and stop is not None
            and start <= _MOST_IN_FRONT
            and start < stop <= MOST_OF_A_STRING
            and bounds == EVERYTHING
            and not self._reads_payloads
        )

    def _newest_of(self, key: str, end: bytes, start: int, stop: int) -> list[Entry] | None:
        """Return the entries of a slice of the newest; None if some of them lie in chunks."""
        records = newest_in(key, end, stop)
        if records is None:
            return None
        ids = ids_of(key, records[: max(0, len(records) - ID_BYTES * start)])
        ids.reverse()
        return [(one, b"") for one in ids]

    @property
    def _most_a_script(self) -> int:
        return _MOST_PAYLOADS_A_SCRIPT if self._reads_payloads else _MOST_A_SCRIPT

    def _parts(self, key: str, start: int, stop: int | None, bounds: Bounds, descending: bool) -> Iterator[list[Entry]]:
        """Yield a slice in parts, each of one round trip and one script."""
        left = MOST_POSITION if stop is None else stop - start
        most = self._most_a_script
        while True:
            words = range_words(start, start + min(left, most), bounds, descending)
            if words is None:
                return
            part = entries_of(key, *self._records_of(key, words), descending)
            yield part
            if len(part) < most:
                return
            start, left = 0, left - len(part)
            bounds = bounds.after(part[-1][0], descending)

    def _records_of(self, key: str, words: tuple[Any, ...]) -> tuple[bytes, bytes]:
        return columns_of(self._ask_about(key, "payloads" if self._reads_payloads else "slice", *words))

    def _get_many_slices(
        self, keys: list[str], start: int, stop: int | None, bounds: Bounds, descending: bool
    ) -> dict[str, list[Entry]]:
        """One round trip for each 1,000 keys, two if more than 100 keys have payloads or long slices; and one for each
        further 8,000 entries of a timeline, with payloads for each further 1,000.
        """
        if self._are_newest(start, stop, bounds, descending):
            return self._newest_of_many(keys, start, stop or 0)
        most = self._most_a_script
        is_long = stop is None or stop - start > most
        words = range_words(start, start + most if is_long else stop, bounds, descending)
        if words is None:
            return {}
        if len(keys) > _MOST_ASKED and (is_long or self._reads_payloads):
            # A script for each absent key takes five times as long. The routes of most activities are absent.
            keys = self._present(keys)
        slices: dict[str, list[Entry]] = {}
        for key, answer in self._ask_about_many(keys, ("payloads" if self._reads_payloads else "slice", *words)):
            found = slices[key] = entries_of(key, *columns_of(answer), descending)
            if is_long and len(found) == most:
                rest = None if stop is None else stop - start - most
                after = bounds.after(found[-1][0], descending)
                found += chain.from_iterable(self._parts(key, 0, rest, after, descending))
        return slices

    def _newest_of_many(self, keys: list[str], start: int, stop: int) -> dict[str, list[Entry]]:
        names = self.session.keys()
        slices: dict[str, list[Entry]] = {}
        for first in range(0, len(keys), MOST_KEYS_A_TRIP):
            part = keys[first : first + MOST_KEYS_A_TRIP]
            ends = self.session.store.send([self._end_of(names, key, stop) for key in part])
            for key, end in zip(part, ends, strict=True):
                found = self._newest_of(key, end, start, stop)
                if found is None:
                    found = [entry for parts in self._parts(key, start, stop, EVERYTHING, True) for entry in parts]
                slices[key] = found
        return slices

    def _get_page(self, key: str, limit: int, bounds: Bounds, descending: bool) -> tuple[list[Entry], int | None]:
        """One round trip: the entries and the floor as they were at one moment. Of more than 8,000 entries, with
        payloads of more than 1,000, one for each part: the floor is that of the last one.
        """
        found: list[Entry] = []
        while True:
            wanted = min(limit - len(found), self._most_a_script)
            words = range_words(0, wanted, bounds, descending) or _NOTHING
            part, floor = page_of(key, self._ask_about(key, self._page_kind, *words), descending)
            found += part
            if len(part) < wanted or len(found) == limit:
                return found, floor
            bounds = bounds.after(found[-1][0], descending)

    def _get_columns(self, key: str, limit: int, bounds: Bounds) -> EntryColumns:
        """One round trip for 8,000 entries, with payloads for 2,000; :meth:`_get_page` reads those after them.

        With payloads, there is a second one the first time that a timeline has chunks or no payloads, or that the limit
        is less than the length of a timeline with a floor.
        """
        most = min(limit, _MOST_IN_COLUMNS if self._reads_payloads else _MOST_A_SCRIPT)
        words = range_words(0, most, bounds, True) or _NOTHING
        if self._reads_payloads and bounds == EVERYTHING and (key, most) not in self._scripted:
            records, filled, floor = self._newest_columns(key, words, most)
        else:
            records, filled, floor = in_columns(self._ask_about(key, self._page_kind, *words))
        ids = PackedIds(records, ID_BYTES)
        if len(ids) == most < limit:
            older = super()._get_columns(key, limit - most, bounds.after(ids[-1], True))
            return EntryColumns([*ids, *older.ids], [*filled, *older.payloads], older.floor)
        return EntryColumns(ids, filled, id_from_bytes(floor) + 1 if floor else None)

    def _newest_columns(self, key: str, words: tuple[Any, ...], most: int) -> tuple[bytes, list[bytes], bytes]:
        """Return the newest records, their payloads and the floor.

        Two commands in a transaction take half of the time of a script, in which Lua hashes every string.
        """
        names = self.session.keys()
        side, words = names.of_timeline(names.bucket_of(key), key)[2], (self._page_kind, *words)
        end = self._end_of(names, key, most + 1)
        both = (end, Command(end.tag, ("LRANGE", side, -most, -1)))
        found, answer = self.session.store.ask_together(both, self._question(names, key, words))
        if found is not None:
            columns = newest_columns(found[0], found[1], most)
            if columns is not None:
                return columns
            _remember(self._scripted, (key, most))
            answer = self.session.store.ask(self._question(names, key, words))
        return in_columns(self._answered(names, key, words, answer))

    @property
    def _page_kind(self) -> str:
        return "payloads" if self._reads_payloads else "page"

    def _floor(self, key: str) -> int | None:
        """One round trip."""
        return page_of(key, self._ask_about(key, "page", *_NOTHING), False)[1]

    def _get_many_pages(
        self, keys: list[str], limit: int, bounds: Bounds, descending: bool
    ) -> dict[str, tuple[list[Entry], int | None]]:
        """One round trip for each 1,000 keys; of longer pages one for each part of each."""
        words = range_words(0, limit, bounds, descending) or _NOTHING
        if limit > self._most_a_script:
            return super()._get_many_pages(keys, limit, bounds, descending)
        answers = self._ask_about_many(keys, (self._page_kind, *words))
        return {key: page_of(key, answer, descending) for key, answer in answers}

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
        is_short = stop is not None and stop - start <= _MOST_PAYLOADS_A_SCRIPT
        if not (isinstance(activities, RedisActivityStorage) and is_short and self._shares_slots_with(activities)):
            return super()._get_hydrated_slice(activities, key, start, stop, bounds, descending)
        words = range_words(start, stop, bounds, descending)
        if words is None:
            return []
        answer = self._hydrated(key, activities.session.keys().activities, words, not self.session.keys().is_spread)
        if answer == AGAIN:
            answer = self._hydrated(key, activities.session.keys().activities, words, True)
        check_whole(key, answer)
        hydrated = list(zip(ids_of(key, answer[0]), answer[1], strict=True))
        return hydrated[::-1] if descending else hydrated

    def _hydrated(self, key: str, hashes: Sequence[str], words: tuple[Any, ...], with_side: bool) -> Any:
        names = self.session.keys()
        bucket = names.bucket_of(key)
        touched = names.of_timeline(bucket, key)[1 : 3 if with_side else 2]
        arguments = (int(with_side), "hydrate", *words)
        return self.session.store.ask(call_script(names.tag(bucket), READ, (*touched, *hashes), arguments))

    def _shares_slots_with(self, activities: RedisActivityStorage) -> bool:
        ours, theirs = self.session, activities.session
        if ours.store is not theirs.store:
            return False
        if not ours.store.is_cluster:
            return True
        return ours.root_namespace == theirs.root_namespace and ours.keys().buckets == 1

    def get_index_of(self, key: str, activity_id: int) -> int | None:
        """One round trip, two for the first entry in chunks of a timeline; O(log n)."""
        wanted = id_to_bytes(activity_id)
        if key in self._long:
            return self._index_by_script(key, wanted)
        end, first, has_older = self._string_of(key)
        place = place_in(end, wanted, first)
        if place is not None or not has_older or wanted > end[first : first + ID_BYTES]:
            return place
        return self._index_by_script(key, wanted)

    def _index_by_script(self, key: str, wanted: bytes) -> int | None:
        position: int | None = self._ask_about(key, "index", wanted)[0]
        return position

    def _contains(self, key: str, activity_id: int) -> bool:
        """One round trip, two for the first id of a timeline that is older than those of its string; O(log n)."""
        wanted = id_to_bytes(activity_id)
        if key not in self._long:
            end, first, has_older = self._string_of(key)
            if place_in(end, wanted, first) is not None:
                return True
            if not has_older or wanted > end[first : first + ID_BYTES]:
                return False
        return bool(self._found_by_script(key, [wanted]))

    def _string_of(self, key: str) -> tuple[bytes, int, bool]:
        """Return the end of a timeline's string, where its records begin, and whether there are older ones."""
        end = self.session.store.ask(self._end_of(self.session.keys(), key, MOST_OF_A_STRING))
        first, has_older = first_known(key, end)
        if has_older:
            _remember(self._long, key)
        return end, first, has_older

    @unlocked_property
    def _long(self) -> set[str]:
        """Keys of timelines that had chunks: the script searches them in one round trip."""
        return set()

    @unlocked_property
    def _scripted(self) -> set[tuple[str, int]]:
        """Keys and limits of columns that a script had to read: it reads them in one round trip."""
        return set()

    def _count(self, key: str) -> int:
        return count_in(key, self.session.store.ask(self._end_of(self.session.keys(), key, 0)))

    def _contains_many(self, key: str, activity_ids: list[int]) -> set[int]:
        """One round trip, two the first time that ids are older than those of the string; O(log n) for each."""
        wanted = {id_to_bytes(one): one for one in activity_ids}
        if key in self._long:
            return {wanted[one] for one in self._found_by_script(key, list(wanted))}
        end, first, has_older = self._string_of(key)
        if len(wanted) <= _MOST_SOUGHT:
            found = {one for one in wanted if place_in(end, one, first) is not None}
        else:
            found = wanted.keys() & {one for (one,) in iter_unpack(f"{ID_BYTES}s", end[first:-ID_BYTES])}
        if has_older:
            oldest = end[first : first + ID_BYTES]
            found |= self._found_by_script(key, [one for one in wanted if one < oldest])
        return {wanted[one] for one in found}

    def _found_by_script(self, key: str, ids: list[bytes]) -> set[bytes]:
        """Return those of the ids that the script finds."""
        names = self.session.keys()
        parts = [ids[first : first + _MOST_ASKED] for first in range(0, len(ids), _MOST_ASKED)]
        answers = self.session.store.send([self._question(names, key, ("contains", *part)) for part in parts])
        found = chain.from_iterable(
            self._answered(names, key, ("contains", *part), answer) for part, answer in zip(parts, answers, strict=True)
        )
        return {one for one, is_there in zip(ids, found, strict=True) if is_there}

    def _count_within(self, key: str, bounds: Bounds) -> int:
        """One round trip; O(log n)."""
        words = range_words(0, None, bounds, False)
        count: int = 0 if words is None else self._ask_about(key, "within", *words)
        return count

    def _keys(self) -> Iterator[str]:
        """One round trip, and two for each 10,000 keys or so, which are held; a third where some of them expired."""
        names = self.session.keys()
        last, seen = -1, set[bytes]()
        for part in fields_of(self.session.store, names, names.directories, left_out=_EMPTIED):
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
                    (bucket, timelines[first : first + MOST_KEYS_A_TRIP])
                    for first in range(0, len(timelines), MOST_KEYS_A_TRIP)
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


def _remember(known: set[_Known], one: _Known) -> None:
    """Add one value to a set, which is emptied first if it holds many."""
    if len(known) >= _MOST_KNOWN:
        known.clear()
    known.add(one)

"""Activities in Redis."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from feedstore.backends.redis.batch import Write, nothing, total
from feedstore.backends.redis.command import Command, call_script
from feedstore.backends.redis.enumeration import fields_of, lengths_of
from feedstore.backends.redis.records import check_ids
from feedstore.backends.redis.scripts import FETCH
from feedstore.backends.redis.session import RedisSession
from feedstore.ids import MAX_ID, id_from_bytes, id_to_bytes
from feedstore.storage import ActivityStorage, Bounds
from feedstore.storage.session import AUTOCOMMIT, Pending, Transaction

_MOST_A_TRIP = 500
_LEAST_OF_A_SCRIPT, _MOST_OF_A_SCRIPT = 8, 128
_MOST_A_PASS = 2**17
_MOST_PASSES = 8


class RedisActivityStorage(ActivityStorage):
    """Activities in hashes by id, one hash for each bucket.

    Adds, reads and removes are one round trip for each 500, and O(1) for each activity. No index is kept, which would
    take as much memory as a short activity: :meth:`iterate` reads the namespace's ids once for each 131,072
    activities, eight times at most, sorts them, and reads 500 activities a trip.
    """

    session: RedisSession

    def add_to_storage(
        self, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """One round trip; O(1) for each."""
        data = {id_to_bytes(one): data for one, data in serialized_activities.items()}
        writes = [
            Write("set", bucket, (key,), (ids, [data[one] for one in ids])) for bucket, key, ids in self._parts(data)
        ]
        return self.session.write(transaction, writes, total)

    def get_from_storage(self, activity_ids: list[int]) -> dict[int, bytes]:
        """One round trip for each 500; O(1) for each."""
        found: dict[int, bytes] = {}
        for first in range(0, len(activity_ids), _MOST_A_TRIP):
            part = activity_ids[first : first + _MOST_A_TRIP]
            found.update((one, data) for one, data in self._fetch(part) if data is not None)
        return found

    def _fetch(self, activity_ids: list[int]) -> Iterable[tuple[int, bytes | None]]:
        keys, ids = self.session.keys(), list(map(id_to_bytes, activity_ids))
        if not keys.is_spread and _LEAST_OF_A_SCRIPT <= len(ids) <= _MOST_OF_A_SCRIPT and keys.buckets <= 2 * len(ids):
            # To send a command for each of some 40 buckets, and to read the answers, takes longer than the script does.
            answer = self.session.store.ask(call_script(keys.tag(0), FETCH, keys.activities, ids))
            return zip(activity_ids, answer, strict=True)
        groups = keys.grouped_ids(ids)
        commands = [
            Command(keys.tag(bucket), ("HMGET", keys.activities[bucket], *group)) for bucket, group in groups.items()
        ]
        answers = self.session.store.send(commands)
        return zip(map(id_from_bytes, chain.from_iterable(groups.values())), chain.from_iterable(answers), strict=True)

    def remove_from_storage(
        self, activity_ids: list[int], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """One round trip; O(1) for each."""
        parts = self._parts(map(id_to_bytes, activity_ids))
        writes = [Write("unset", bucket, (key,), (ids, None)) for bucket, key, ids in parts]
        return self.session.write(transaction, writes, total)

    def _parts(self, ids: Iterable[bytes]) -> Iterator[tuple[int, str, list[bytes]]]:
        """Yield the bucket, the key and the ids of one write each."""
        keys = self.session.keys_to_write()
        for bucket, group in keys.grouped_ids(ids).items():
            for first in range(0, len(group), _MOST_A_TRIP):
                yield bucket, keys.activities[bucket], group[first : first + _MOST_A_TRIP]

    def _iterate(self, bounds: Bounds, descending: bool) -> Iterator[tuple[int, bytes]]:
        names = self.session.keys()
        most = max(_MOST_A_PASS, sum(lengths_of(self.session.store, names, names.activities)) // _MOST_PASSES)
        first_of = heapq.nlargest if descending else heapq.nsmallest
        while not bounds.is_empty:
            found_ids = first_of(most, self._ids_within(bounds))
            # A scan may return a field twice.
            ids = list(dict.fromkeys(found_ids))
            for first in range(0, len(ids), _MOST_A_TRIP):
                part = [id_from_bytes(one) for one in ids[first : first + _MOST_A_TRIP]]
                found = self.get_from_storage(part)
                yield from ((one, found[one]) for one in part if one in found)
            if len(found_ids) < most:
                return
            bounds = bounds.after(id_from_bytes(ids[-1]), descending)

    def _ids_within(self, bounds: Bounds) -> Iterator[bytes]:
        lowest, highest = id_to_bytes(max(bounds.lowest, 0)), id_to_bytes(min(bounds.highest, MAX_ID))
        names = self.session.keys()
        for part in fields_of(self.session.store, names, names.activities):
            for bucket, fields in part.items():
                check_ids(names.activities[bucket], fields)
                yield from (field for field in fields if lowest <= field <= highest)

    def _flush(self, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        """One round trip."""
        keys = self.session.keys_to_write()
        writes = [Write("clear", bucket, (keys.activities[bucket],)) for bucket in keys.all_buckets]
        return self.session.write(transaction, writes, nothing)

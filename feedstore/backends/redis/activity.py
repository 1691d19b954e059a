"""Activities in Redis."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from feedstore.backends.redis.batch import Items, Write
from feedstore.backends.redis.command import Command
from feedstore.backends.redis.counts import nothing, total
from feedstore.backends.redis.enumeration import fields_of
from feedstore.ids import ID_BYTES, id_from_bytes, id_to_bytes
from feedstore.storage import ActivityStorage

if TYPE_CHECKING:
    from feedstore.backends.redis.backend import RedisBackend

_MOST_A_TRIP = 500
_MOST_A_PASS = 2**17


class RedisActivityStorage(ActivityStorage):
    """Activities in hashes by id, one hash for each bucket.

    Adds, reads and removes are one round trip for each 500, and O(1) for each activity. No index is kept, which would
    take as much memory as a short activity: :meth:`iterate` reads the namespace's ids once for each 131,072
    activities, sorts them, and reads 500 activities a trip.
    """

    backend: RedisBackend

    def add_to_storage(self, serialized_activities: Mapping[int, bytes]) -> int:
        """One round trip; O(1) for each."""
        writes = self._writes("set", [(id_to_bytes(one), data) for one, data in serialized_activities.items()])
        result: int = self.backend.write(writes, total)
        return result

    def get_from_storage(self, activity_ids: list[int]) -> dict[int, bytes]:
        """One round trip for each 500; O(1) for each."""
        found: dict[int, bytes] = {}
        for first in range(0, len(activity_ids), _MOST_A_TRIP):
            part = activity_ids[first : first + _MOST_A_TRIP]
            found.update((id_from_bytes(one), data) for one, data in self._fetch(map(id_to_bytes, part)))
        return found

    def _fetch(self, ids: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
        keys = self.backend.keys()
        groups: dict[int, list[bytes]] = {}
        for activity_id in ids:
            groups.setdefault(activity_id[ID_BYTES - 1] % keys.buckets, []).append(activity_id)
        commands = [
            Command(keys.tag(bucket), ("HMGET", keys.activities[bucket], *group)) for bucket, group in groups.items()
        ]
        return [
            (activity_id, data)
            for group, answer in zip(groups.values(), self.backend.store.send(commands), strict=True)
            for activity_id, data in zip(group, answer, strict=True)
            if data is not None
        ]

    def remove_from_storage(self, activity_ids: list[int]) -> int:
        """One round trip; O(1) for each."""
        writes = self._writes("unset", [(id_to_bytes(one), b"") for one in activity_ids])
        result: int = self.backend.write(writes, total)
        return result

    def _writes(self, kind: str, entries: list[tuple[bytes, bytes]]) -> list[Write]:
        keys = self.backend.keys_to_write()
        groups: dict[int, list[tuple[bytes, bytes]]] = {}
        for entry in entries:
            groups.setdefault(entry[0][ID_BYTES - 1] % keys.buckets, []).append(entry)
        writes = []
        for bucket, group in groups.items():
            for first in range(0, len(group), _MOST_A_TRIP):
                part = group[first : first + _MOST_A_TRIP]
                items: Items = ([entry[0] for entry in part], [entry[1] for entry in part] if kind == "set" else None)
                writes.append(Write(kind, bucket, (keys.activities[bucket],), items))
        return writes

    def _iterate(self, after: int | None) -> Iterator[tuple[int, bytes]]:
        last = None if after is None else id_to_bytes(after)
        while True:
            ids = heapq.nsmallest(_MOST_A_PASS, self._ids_behind(last))
            for first in range(0, len(ids), _MOST_A_TRIP):
                part = [id_from_bytes(one) for one in ids[first : first + _MOST_A_TRIP]]
                found = self.get_from_storage(part)
                yield from ((one, found[one]) for one in part if one in found)
            if len(ids) < _MOST_A_PASS:
                return
            last = ids[-1]

    def _ids_behind(self, last: bytes | None) -> Iterator[bytes]:
        keys = self.backend.keys()
        for part in fields_of(self.backend.store, keys, keys.activities):
            yield from (field for fields in part.values() for field in fields if last is None or field > last)

    def _flush(self) -> None:
        """One round trip."""
        keys = self.backend.keys_to_write()
        writes = [Write("clear", bucket, (keys.activities[bucket],)) for bucket in keys.all_buckets]
        self.backend.write(writes, nothing)

"""The writing half of timelines in Redis."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from feedstore.backends.redis.batch import FLUSH, Items, Write, nothing, total
from feedstore.backends.redis.enumeration import lengths_of
from feedstore.backends.redis.fan_out import (
    MOST_NUMBER,
    NO_LIMIT,
    add_plain,
    add_writes,
    deliver_writes,
    entry_of_all,
    fan_out_each,
    fan_out_writes,
    in_parts,
    is_plain,
    length_of,
    share_writes,
)
from feedstore.backends.redis.session import RedisSession
from feedstore.storage.session import AUTOCOMMIT, Pending, Transaction
from feedstore.storage.timeline_hooks import Limits, TimelineHooks


class RedisTimelineWrites(TimelineHooks):
    """Adding, removing, trimming."""

    session: RedisSession

    def add_to_storage(
        self, key: str, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """One round trip; O(log n) for each."""
        names, parts = self.session.keys_to_write(), in_parts(serialized_activities)
        if is_plain(parts) and not self._reads_payloads:
            writes = [add_plain(names, key, parts[0])]
        else:
            writes = add_writes(names, key, parts, NO_LIMIT, self._reads_payloads)
        return self.session.write(transaction, writes, total)

    def remove_from_storage(
        self, key: str, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """One round trip; O(log n) for each."""
        parts = in_parts(serialized_activities)
        return self.session.write(transaction, [self._write_of("remove", key, part) for part in parts], total)

    def _write_of(self, kind: str, key: str, items: Items | None, *arguments: int) -> Write:
        names = self.session.keys_to_write()
        bucket = names.bucket_of(key)
        touched = names.of_timeline(bucket, key)
        return Write(
            kind, bucket, touched if self._reads_payloads or not names.is_spread else touched[:2], items, arguments
        )

    def _add_to_many(
        self,
        keys: list[str],
        serialized: Mapping[int, bytes],
        max_length: int | None,
        transaction: Transaction = AUTOCOMMIT,
    ) -> Pending[int | None]:
        """One round trip; a second one where timelines hold payloads, or many more entries than ``max_length``, or if
        there are more than 2,000 entries and a ``max_length``.
        """
        names, parts, length = self.session.keys_to_write(), in_parts(serialized), length_of(max_length)
        if is_plain(parts):
            writes = fan_out_writes(names, keys, parts[0], length)
        else:
            # The last parts, which trim, wait for the others: together, so that they cost one more round trip.
            writes_of = [add_writes(names, key, parts, length, self._reads_payloads) for key in keys]
            writes = list(chain.from_iterable(zip(*writes_of, strict=True)))
        return self.session.write(transaction, writes, total)

    def _add_to_each(
        self, deliveries: Mapping[str, Mapping[int, bytes]], limits: Limits, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """One round trip, and one step for each timeline and its companions, of 2,000 entries at most; more where
        timelines hold payloads or many more entries than ``max_length``. A limit by payload reads the timeline's.
        """
        names, length = self.session.keys_to_write(), length_of(limits.max_length)
        entry = entry_of_all(deliveries) if limits.slack else None
        if entry is not None:
            return self.session.write(transaction, share_writes(names, deliveries, entry, limits), total)
        plain: dict[str, Items] = {}
        writes: list[Write] = []
        parts_of: dict[int, list[Items]] = {}
        shared: dict[int, list[str]] = {}
        for key, serialized in deliveries.items():
            # add_to_many hands in the same entries for all, which are sent once.
            parts = parts_of.get(id(serialized))
            if parts is None:
                parts = parts_of[id(serialized)] = in_parts(serialized)
            if limits.slack and len(serialized) == 1 and parts[0][1] is not None:
                shared.setdefault(id(parts), []).append(key)
            elif limits.companions or limits.slack or (limits.max_per_payload is not None and parts[0][1] is not None):
                writes += deliver_writes(names, key, parts, limits)
            elif is_plain(parts):
                plain[key] = parts[0]
            else:
                writes += add_writes(names, key, parts, length, self._reads_payloads)
        for parts in parts_of.values():
            if id(parts) in shared:
                writes += share_writes(names, shared[id(parts)], parts[0], limits)
        if plain:
            writes += fan_out_each(names, plain, length)
        return self.session.write(transaction, writes, total)

    def _remove_from_many(
        self, keys: list[str], serialized: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """One round trip; a second one where timelines hold payloads that this storage does not read."""
        parts = in_parts(serialized)
        writes = [self._write_of("remove", key, part) for key in keys for part in parts]
        return self.session.write(transaction, writes, total)

    def _trim(self, key: str, length: int, transaction: Transaction = AUTOCOMMIT) -> Pending[int | None]:
        write = self._write_of("trim", key, None, min(length, MOST_NUMBER))
        return self.session.write(transaction, [write], total)

    def _delete(self, key: str, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        return self.session.write(transaction, [self._write_of("delete", key, None)], nothing)

    def _flush(self, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        """One round trip, and two for each 250 timelines of a bucket; O(1) for each timeline of the namespace. The
        server can answer others after 250 timelines, an atomic batch excepted, which flushes 2,000 at most.
        """
        names = self.session.keys_to_write()
        # A script checks its own bucket: a foreign key must refuse the flush before the first of them.
        lengths_of(self.session.store, names, names.directories)
        # In a batch, an earlier write may add to a bucket that is empty now.
        writes = [Write(FLUSH, bucket, (names.directories[bucket],)) for bucket in names.all_buckets]
        return self.session.write(transaction, writes, nothing)

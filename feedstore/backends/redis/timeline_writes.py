"""The writing half of timelines in Redis."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING

from feedstore.backends.redis.batch import FLUSH, Items, Write
from feedstore.backends.redis.command import Command
from feedstore.backends.redis.counts import nothing, total
from feedstore.backends.redis.enumeration import lengths_of
from feedstore.backends.redis.keys import Keys
from feedstore.backends.redis.scripts import FAN_OUT
from feedstore.ids import id_to_bytes
from feedstore.storage.timeline_hooks import TimelineHooks
from feedstore.storage.timeline_hooks import total as all_of
from feedstore.storage.transaction import AUTOCOMMIT, Pending, Transaction

if TYPE_CHECKING:
    from feedstore.backends.redis.backend import RedisBackend

_NO_LENGTH = -1
_MOST_LENGTH = 2**53
_MOST_ITEMS = 2000
_MOST_BYTES = 1_000_000
# A script reaches so many timelines, and so many deliveries: a few milliseconds of the server's time. While the server
# runs the first script, the next one is on its way.
_MOST_TIMELINES = 250
_MOST_DELIVERIES = 10_000
_MOST_FAN_OUT_IDS = 1000


class RedisTimelineWrites(TimelineHooks):
    """Adding, removing, trimming."""

    backend: RedisBackend

    def add_to_storage(
        self, key: str, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """One round trip; O(log n) for each."""
        parts = in_parts(serialized_activities)
        return self.backend.write(transaction, [self._write_of("add", key, part, _NO_LENGTH) for part in parts], total)

    def remove_from_storage(
        self, key: str, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """One round trip; O(log n) for each."""
        parts = in_parts(serialized_activities)
        return self.backend.write(transaction, [self._write_of("remove", key, part) for part in parts], total)

    def _write_of(self, kind: str, key: str, items: Items | None, *arguments: int) -> Write:
        names = self.backend.keys_to_write()
        bucket = names.bucket_of(key)
        touched = names.of_timeline(bucket, key)
        has_payloads = self._reads_payloads or (items is not None and items[1] is not None)
        return Write(kind, bucket, touched if has_payloads else touched[:2], items, arguments)

    def _add_to_many(
        self,
        keys: list[str],
        serialized: Mapping[int, bytes],
        max_length: int | None,
        transaction: Transaction = AUTOCOMMIT,
    ) -> Pending[int | None]:
        """One round trip; a second one where timelines hold payloads, had late arrivals, or hold many more entries than
        ``max_length``.
        """
        length = _NO_LENGTH if max_length is None else min(max_length, _MOST_LENGTH)
        is_plain = length and len(serialized) <= _MOST_FAN_OUT_IDS and not any(serialized.values())
        if transaction is not AUTOCOMMIT or not is_plain:
            return self._add_one_by_one(keys, serialized, length, transaction)
        ids = sorted(map(id_to_bytes, serialized))
        added, left_alone = self._fan_out_ids(keys, ids, length)
        if not left_alone:
            return Pending(added)
        return all_of([Pending(added), self._add_one_by_one(left_alone, serialized, length, transaction)])

    def _add_one_by_one(
        self, keys: list[str], serialized: Mapping[int, bytes], length: int, transaction: Transaction
    ) -> Pending[int | None]:
        parts = in_parts(serialized)
        lengths = [*[_NO_LENGTH] * (len(parts) - 1), length]
        writes = [
            self._write_of("add", key, part, length)
            for key in keys
            for part, length in zip(parts, lengths, strict=True)
        ]
        return self.backend.write(transaction, writes, total)

    def _fan_out_ids(self, keys: list[str], ids: list[bytes], length: int) -> tuple[int, list[str]]:
        """Return how many entries were new, and the keys of the timelines that need more than this script does."""
        store, names = self.backend.store, self.backend.keys_to_write()
        most = max(1, min(_MOST_TIMELINES, _MOST_DELIVERIES // len(ids)))
        parts = grouped_parts(names, keys, most, store.is_cluster)
        commands = [fan_out_command(names, groups, ids, length, store.expiry) for groups in parts]
        answers = store.write(names, commands)
        left_alone: list[str] = []
        for groups, (_, positions) in zip(parts, answers, strict=True):
            if positions:
                reached = list(chain.from_iterable(groups.values()))
                left_alone += [names.key_of(reached[position]) for position in positions]
        return sum(count for count, _ in answers), left_alone

    def _remove_from_many(
        self, keys: list[str], serialized: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """One round trip; a second one where timelines hold payloads that this storage does not read."""
        parts = in_parts(serialized)
        writes = [self._write_of("remove", key, part) for key in keys for part in parts]
        return self.backend.write(transaction, writes, total)

    def _trim(self, key: str, length: int, transaction: Transaction = AUTOCOMMIT) -> Pending[int | None]:
        write = self._write_of("trim", key, None, min(length, _MOST_LENGTH))
        return self.backend.write(transaction, [write], total)

    def _delete(self, key: str, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        return self.backend.write(transaction, [self._write_of("delete", key, None)], nothing)

    def _flush(self, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        """One round trip, and two for each 250 timelines of a bucket; O(1) for each timeline of the namespace. The
        server can answer others after 250 timelines, an atomic batch excepted, which flushes 2,000 at most.
        """
        names = self.backend.keys_to_write()
        # A script checks its own bucket: a foreign key must refuse the flush before the first of them.
        lengths_of(self.backend.store, names, names.directories)
        # In a batch, an earlier write may add to a bucket that is empty now.
        writes = [Write(FLUSH, bucket, (names.directories[bucket],)) for bucket in names.all_buckets]
        return self.backend.write(transaction, writes, nothing)


def items_of(serialized: Mapping[int, bytes]) -> Items:
    """Return what a write carries of ``{id: payload}``."""
    payloads = list(serialized.values())
    return list(map(id_to_bytes, serialized)), payloads if any(payloads) else None


def in_parts(serialized: Mapping[int, bytes]) -> list[Items]:
    """Return what writes carry of ``{id: payload}``, each a part that keeps the server for a moment only."""
    ids, payloads = items_of(serialized)
    if payloads is None:
        return [(ids[first : first + _MOST_ITEMS], None) for first in range(0, len(ids), _MOST_ITEMS)]
    parts: list[tuple[list[bytes], list[bytes]]] = [([], [])]
    size = 0
    for activity_id, payload in zip(ids, payloads, strict=True):
        if parts[-1][0] and (len(parts[-1][0]) == _MOST_ITEMS or size + len(payload) > _MOST_BYTES):
            parts.append(([], []))
            size = 0
        parts[-1][0].append(activity_id)
        parts[-1][1].append(payload)
        size += len(payload)
    return list(parts)


def grouped_parts(names: Keys, keys: list[str], most: int, spread: bool) -> list[dict[int, list[str]]]:
    """Return the timelines of one script each, by bucket: of several buckets on one server, of one on a Cluster."""
    grouped = names.grouped(keys)
    if len(keys) <= most and not spread:
        return [grouped]
    parts: list[dict[int, list[str]]] = []
    room = 0
    for bucket, group in grouped.items():
        for first in range(0, len(group), most):
            piece = group[first : first + most]
            if spread or len(piece) > room:
                parts.append({})
                room = most
            parts[-1][bucket] = piece
            room -= len(piece)
    return parts


def fan_out_command(names: Keys, groups: dict[int, list[str]], ids: list[bytes], length: int, expiry: int) -> Command:
    """Return the command that adds ids to timelines and trims each."""
    touched = [names.directories[bucket] for bucket in groups]
    for group in groups.values():
        touched += group
    sizes = [len(group) for group in groups.values()]
    arguments = (length, expiry, len(sizes), *sizes, *ids)
    return names.write_script(names.tag(next(iter(groups))), FAN_OUT, touched, arguments)

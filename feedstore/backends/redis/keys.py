"""The names of the Redis keys of one namespace.

Every key begins with ``feedstore{namespace:bucket}``, whose braces are a hash tag: all keys of a bucket lie in one slot
of a Cluster. A timeline's bucket is a hash of its name, an activity's the last byte of its id, which is a hash too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from zlib import crc32

from feedstore.backends.redis.command import Command, call_script
from feedstore.backends.redis.scripts import Script
from feedstore.errors import StoredDataError
from feedstore.ids import ID_BYTES
from feedstore.shown import shown

FORMAT = 1
"""The format in which this release writes a namespace."""

MOST_BUCKETS = 256
"""An activity's bucket is taken from one byte."""

_TIMELINE = "}t:"
_PAYLOADS = "}p:"


def marker_key(namespace: str) -> str:
    """Return the key of the hash that holds a namespace's format and number of buckets.

    On a Cluster each bucket has a copy of it, which lies in the bucket's slot: the marker of its hash tag.
    """
    return f"feedstore{{{namespace}}}"


def channel_of(namespace: str) -> str:
    """Return the channel on which the changes of a namespace are published."""
    return f"feedstore{{{namespace}}}n"


class Keys:
    """The keys of one namespace, whose number of buckets is fixed. ``is_spread`` says that it lies on a Cluster."""

    def __init__(self, namespace: str, buckets: int, is_spread: bool) -> None:
        self.namespace = namespace
        self.buckets = buckets
        self.is_spread = is_spread
        self.all_buckets = range(buckets)
        self._prefixes = [f"feedstore{{{namespace}:{bucket}}}" for bucket in self.all_buckets]
        self.directories = [f"{prefix}d" for prefix in self._prefixes]
        self.activities = [f"{prefix}a" for prefix in self._prefixes]
        self._timelines = [f"feedstore{{{namespace}:{bucket}{_TIMELINE}" for bucket in self.all_buckets]

    def tag(self, bucket: int) -> str:
        """Return the hash tag of a bucket, which decides its slot."""
        return f"{self.namespace}:{bucket}"

    def marker(self, tag: str) -> str:
        """Return the key of the marker that a write under a hash tag checks."""
        return marker_key(tag if self.is_spread else self.namespace)

    def write_script(self, tag: str, script: Script, touched: Sequence[Any], arguments: Sequence[Any]) -> Command:
        """Return the command that runs a script that writes, which checks the marker first."""
        every_key = (self.marker(tag), *touched)
        return call_script(tag, script, every_key, (FORMAT, self.buckets, *arguments), writes=True)

    def bucket_of(self, key: str) -> int:
        """Return the bucket of a timeline, a key-value storage or a queue."""
        return crc32(key.encode()) % self.buckets

    def timeline(self, bucket: int, key: str) -> str:
        """Return the key of a timeline's sorted set of ids."""
        return self._timelines[bucket] + key

    def payloads(self, bucket: int, key: str) -> str:
        """Return the key of a timeline's hash of payloads."""
        return f"{self._prefixes[bucket]}p:{key}"

    def of_timeline(self, bucket: int, key: str) -> tuple[str, str, str]:
        """Return what a write of one timeline touches: the directory, the timeline, its payloads."""
        return self.directories[bucket], self._timelines[bucket] + key, f"{self._prefixes[bucket]}p:{key}"

    def of_items(self, bucket: int, name: str) -> tuple[str, str]:
        """Return what a key-value storage consists of: the index of its keys, and the values."""
        return f"{self._prefixes[bucket]}i:{name}", f"{self._prefixes[bucket]}v:{name}"

    def of_queue(self, bucket: int, name: str) -> tuple[str, str, str]:
        """Return what a queue consists of: its stream, what somebody has by the time at which it falls due, and the
        pushes of the last minutes.
        """
        prefix = self._prefixes[bucket]
        return f"{prefix}q:{name}", f"{prefix}w:{name}", f"{prefix}k:{name}"

    def grouped(self, keys: list[str]) -> dict[int, list[str]]:
        """Return the keys of timelines' sorted sets, by bucket."""
        buckets, prefixes = self.buckets, self._timelines
        groups: list[list[str]] = [[] for _ in prefixes]
        for key in keys:
            bucket = crc32(key.encode()) % buckets
            groups[bucket].append(prefixes[bucket] + key)
        return {bucket: group for bucket, group in enumerate(groups) if group}

    def grouped_ids(self, ids: Iterable[bytes]) -> dict[int, list[bytes]]:
        """Return the ids of activities, by bucket."""
        buckets = self.buckets
        groups: dict[int, list[bytes]] = {}
        for activity_id in ids:
            groups.setdefault(activity_id[ID_BYTES - 1] % buckets, []).append(activity_id)
        return groups

    def is_timeline(self, bucket: int, field: bytes) -> bool:
        """Return whether a directory's field is the key of a timeline of its bucket."""
        return field.startswith(self._timelines[bucket].encode())

    @staticmethod
    def key_of(timeline: str) -> str:
        """Return the key of a timeline whose sorted set has the key ``timeline``."""
        return timeline.partition(_TIMELINE)[2]

    def key_of_field(self, bucket: int, field: bytes) -> str:
        """Return the key of the timeline that a directory's field names."""
        try:
            return self.key_of(field.decode())
        except UnicodeDecodeError:
            raise self.damaged_field(bucket, field) from None

    def damaged_field(self, bucket: int, field: bytes) -> StoredDataError:
        """Return the error for a directory's field that names no timeline."""
        return StoredDataError(
            f"the directory {shown(self.directories[bucket])} has the field {shown(field)}; it is damaged"
        )

    @staticmethod
    def payloads_of(timeline: str | bytes) -> str | bytes:
        """Return the key of the payloads of a timeline whose sorted set has the key ``timeline``."""
        if isinstance(timeline, bytes):
            return timeline.replace(_TIMELINE.encode(), _PAYLOADS.encode(), 1)
        return timeline.replace(_TIMELINE, _PAYLOADS, 1)

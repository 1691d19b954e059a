"""The names of the Redis keys of one collection of a namespace.

Every key begins with ``feedstore{namespace:bucket}``, whose braces are a hash tag: all keys of a bucket, of every
collection, lie in one slot of a Cluster. The part of a timeline's key in braces decides its bucket, or the whole key if
it has no braces. The first part of an item's key decides its bucket, and the last byte of an activity's id, which is a
hash, the activity's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zlib import crc32

from feedstore.backends.redis.command import Command, call_script
from feedstore.backends.redis.scripts import Script
from feedstore.errors import StoredDataError
from feedstore.forks import unlocked_property
from feedstore.ids import ID_BYTES
from feedstore.shown import shown
from feedstore.storage.checks import LONGEST_READABLE, first_part

FORMAT = 3
"""The format in which this release writes a namespace."""

MOST_BUCKETS = 256
"""An activity's bucket is taken from one byte."""

_TIMELINE, _PAYLOADS = "t:", "p:"
_SEPARATOR = ":"


def marker_key(namespace: str) -> str:
    """Return the key of the hash that holds a namespace's format and number of buckets.

    On a Cluster each bucket has a copy of it, which lies in the bucket's slot: the marker of its hash tag.
    """
    return f"feedstore{{{namespace}}}"


def keys_begin(namespace: str) -> bytes:
    """Return the beginning of the keys of all buckets of a namespace. It holds no character with a meaning in MATCH."""
    return f"feedstore{{{namespace}:".encode()


def channel_of(namespace: str) -> str:
    """Return the channel on which the changes of a namespace are published."""
    return f"feedstore{{{namespace}}}n"


def collection_part(namespace: str, collection: str) -> str:
    """Return the part of a collection's keys after the hash tag, given the namespace that stands for the collection.

    It begins with a dot or a tilde, which no kind of key does, and is empty for the namespace's own collection.

    >>> collection_part("app", "app"), collection_part("app", "app.events"), collection_part("app", "app~Zm9v")
    ('', '.events:', '~Zm9v:')
    """
    if collection == namespace:
        return ""
    mark = "." if collection.startswith(f"{namespace}.") else "~"
    return f"{mark}{collection.rpartition(mark)[2]}{_SEPARATOR}"


def collection_of(namespace: str, part: str) -> str:
    """Return the namespace that stands for a collection, given :func:`collection_part` without its separator.

    >>> collection_of("app", ".events"), collection_of("app", "~Zm9v")
    ('app.events', 'app~Zm9v')
    """
    return f"{namespace[:LONGEST_READABLE] if part.startswith('~') else namespace}{part}"


def shared_part(key: str) -> str:
    """Return the part of a timeline's key that decides its bucket: the part in its first braces, else all of it.

    >>> shared_part("{bob}:home"), shared_part("feed:bob"), shared_part("{}:x")
    ('bob', 'feed:bob', '{}:x')
    """
    start = key.find("{")
    if start >= 0:
        end = key.find("}", start)
        if end > start + 1:
            return key[start + 1 : end]
    return key


class Keys:
    """The keys of one collection of a namespace, whose number of buckets is fixed.

    ``is_spread`` says that the namespace lies on a Cluster. ``part`` names the collection, see :func:`collection_part`.
    """

    def __init__(self, namespace: str, buckets: int, is_spread: bool, part: str = "") -> None:
        self.namespace = namespace
        self.buckets = buckets
        self.is_spread = is_spread
        self.all_buckets = range(buckets)
        self._prefixes = [f"feedstore{{{namespace}:{bucket}}}{part}" for bucket in self.all_buckets]
        self._timelines = [prefix + _TIMELINE for prefix in self._prefixes]
        self._lists = [prefix + _PAYLOADS for prefix in self._prefixes]
        self._mark = f"}}{part}{_TIMELINE}"
        self._collections: dict[str, Keys] = {"": self}

    def of_collection(self, part: str) -> Keys:
        """Return the keys of a collection of the same namespace."""
        found = self._collections.get(part)
        if found is None:
            made = Keys(self.namespace, self.buckets, self.is_spread, part)
            found = self._collections.setdefault(part, made)
        return found

    @unlocked_property
    def directories(self) -> list[str]:
        """The directory of each bucket."""
        return [f"{prefix}d" for prefix in self._prefixes]

    @unlocked_property
    def activities(self) -> list[str]:
        """The hash of each bucket's activities."""
        return [f"{prefix}a" for prefix in self._prefixes]

    def tag(self, bucket: int) -> str:
        """Return the hash tag of a bucket, which decides its slot."""
        return f"{self.namespace}:{bucket}"

    def marker(self, tag: str) -> str:
        """Return the key of the marker that a write under a hash tag checks."""
        return marker_key(tag if self.is_spread else self.namespace)

    def absent(self, bucket: int) -> str:
        """Return a key of a bucket that never exists.

        While a slot moves, its node refuses a command on an absent key, also in the middle of a script that has emptied
        the key. It refuses a script that declares this key before the script begins, and the script is sent again.
        """
        return f"{marker_key(self.tag(bucket))}-"

    def write_script(self, tag: str, script: Script, touched: Sequence[Any], arguments: Sequence[Any]) -> Command:
        """Return the command that runs a script that writes, which checks the marker first."""
        every_key = (self.marker(tag), *touched)
        return call_script(tag, script, every_key, (FORMAT, self.buckets, *arguments), writes=True)

    def bucket_of(self, key: str) -> int:
        """Return the bucket of a timeline or a queue."""
        return crc32((shared_part(key) if "{" in key else key).encode()) % self.buckets

    def bucket_of_item(self, key: str) -> int:
        """Return the bucket of a key-value item."""
        return crc32(str(first_part(key)).encode()) % self.buckets

    def buckets_of_items(self, prefix: str) -> Sequence[int]:
        """Return the buckets in which items may lie whose keys begin with a prefix."""
        part = first_part(prefix, is_whole=False)
        return self.all_buckets if part is None else (crc32(part.encode()) % self.buckets,)

    def timeline(self, bucket: int, key: str) -> str:
        """Return the key of a timeline's ids."""
        return self._timelines[bucket] + key

    def payloads(self, bucket: int, key: str) -> str:
        """Return the key of a timeline's list of payloads, or hash of payloads and chunks."""
        return self._lists[bucket] + key

    def of_timeline(self, bucket: int, key: str) -> tuple[str, str, str]:
        """Return the keys of a write of one timeline: the directory, the timeline, its payloads."""
        return self.directories[bucket], self._timelines[bucket] + key, self._lists[bucket] + key

    def of_items(self, bucket: int, name: str) -> tuple[str, str]:
        """Return the keys of a key-value storage in a bucket: the index of its keys, and the values."""
        return f"{self._prefixes[bucket]}i:{name}", f"{self._prefixes[bucket]}v:{name}"

    def tokens(self, bucket: int) -> str:
        """Return the key of the conditional writes of the last minutes."""
        return f"{self._prefixes[bucket]}c"

    def of_queue(self, bucket: int, name: str) -> tuple[str, str, str]:
        """Return the keys of a queue: its stream, the messages that a consumer has by the time at which they fall due,
        and the pushes of the last minutes.
        """
        prefix = self._prefixes[bucket]
        return f"{prefix}q:{name}", f"{prefix}w:{name}", f"{prefix}k:{name}"

    def grouped(self, keys: Iterable[str]) -> dict[int, list[str]]:
        """Return timelines' keys, by bucket."""
        buckets = self.buckets
        groups: dict[int, list[str]] = {}
        for key in keys:
            bucket = crc32((shared_part(key) if "{" in key else key).encode()) % buckets
            group = groups.get(bucket)
            if group is None:
                groups[bucket] = [key]
            else:
                group.append(key)
        return groups

    def timelines_of(self, groups: Mapping[int, Iterable[str]]) -> list[str]:
        """Return the keys of the ids of timelines, given by bucket."""
        prefixes = self._timelines
        return [prefixes[bucket] + key for bucket, group in groups.items() for key in group]

    def payloads_of(self, groups: Mapping[int, Iterable[str]]) -> list[str]:
        """Return the keys of the payloads of timelines, given by bucket."""
        prefixes = self._lists
        return [prefixes[bucket] + key for bucket, group in groups.items() for key in group]

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

    def key_of(self, timeline: str) -> str:
        """Return the key of a timeline whose ids have the Redis key ``timeline``."""
        return timeline.partition(self._mark)[2]

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


def timelines_begin(directory: str | bytes) -> bytes:
    """Return the beginning of the keys of a directory's timelines."""
    return as_bytes(directory)[:-1] + _TIMELINE.encode()


def payloads_of(directory: str | bytes, timeline: str | bytes) -> bytes:
    """Return the key of the payloads of a timeline, given the keys of its directory and of its ids."""
    prefix = as_bytes(directory)[:-1]
    return prefix + _PAYLOADS.encode() + as_bytes(timeline)[len(prefix) + len(_TIMELINE) :]


def as_bytes(key: str | bytes) -> bytes:
    """Return a key as the server keeps it."""
    return key if isinstance(key, bytes) else key.encode()

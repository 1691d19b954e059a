"""The tables of a keyspace, and why their partitions are what they are.

- Activities lie in partitions of about 35 minutes of ids, each in four shards. One row for each partition would need an
  index to be enumerated, a second write for each; partitions by hash alone would grow for ever. A thousand activities
  a second make partitions of some 150 MB; 500 that are added together land in four partitions, and are four batches.
- A timeline is one partition, newest first, with its floor in a static column. Its namespace and key are one column,
  ``namespace:key``: each entry of a batch repeats the partition key, and two columns took a tenth of the speed.
- Key-value items of one name lie in 64 partitions by a hash of the first part of the key (see
  :func:`~feedstore.storage.key.first_part`), ordered by key in each. A prefix that holds a whole first part is a range
  of one partition, any other prefix a range of all. A key in the partition key could not be found by its prefix.
- The directory names the timelines and the slices of activities that a namespace has; its partitions are ranges too.
- The journal holds atomic batches while they are carried out. What is removed from it is soon forgotten: a record that
  came back would be carried out once more, which changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

ACTIVITIES = "feedstore_activities"
TIMELINES = "feedstore_timelines"
ITEMS = "feedstore_items"
DIRECTORY = "feedstore_directory"
NAMESPACES = "feedstore_namespaces"
SCHEMA = "feedstore_schema"
JOURNAL = "feedstore_journal"

SLICE_SHIFT = 101
"""What an activity's id is shifted by to get its slice: 48 bits of milliseconds, of which 2**21 make a slice."""

SHARDS = 4
ITEM_BUCKETS = 64
DIRECTORY_BUCKETS = 32
JOURNAL_BUCKETS = 16


@dataclass(frozen=True)
class Table:
    """A table: its columns with their types, and how its primary key and what stands behind it are written."""

    name: str
    columns: dict[str, str]
    key: str
    options: str = ""

    def creation(self, keyspace: str) -> str:
        """Return the statement that creates it if it is not there."""
        columns = ", ".join(f"{name} {kind}" for name, kind in self.columns.items())
        return (
            f'CREATE TABLE IF NOT EXISTS "{keyspace}".{self.name} ({columns}, PRIMARY KEY ({self.key})){self.options}'
        )


TABLES = (
    Table(
        ACTIVITIES,
        {"namespace": "text", "slice": "int", "shard": "int", "id": "blob", "data": "blob"},
        "(namespace, slice, shard), id",
    ),
    Table(
        TIMELINES,
        {"timeline": "text", "id": "blob", "data": "blob", "floor": "blob static"},
        "timeline, id",
        " WITH CLUSTERING ORDER BY (id DESC)",
    ),
    Table(
        ITEMS,
        {"namespace": "text", "name": "text", "bucket": "int", "key": "blob", "data": "blob"},
        "(namespace, name, bucket), key",
    ),
    Table(
        DIRECTORY,
        {"namespace": "text", "kind": "text", "bucket": "int", "name": "blob"},
        "(namespace, kind, bucket), name",
    ),
    Table(
        JOURNAL,
        {"bucket": "int", "record": "blob", "part": "int", "parts": "int", "data": "blob"},
        "bucket, record, part",
        " WITH gc_grace_seconds = 3600",
    ),
    Table(NAMESPACES, {"namespace": "text", "format": "int"}, "namespace"),
    Table(SCHEMA, {"name": "text", "version": "int"}, "name"),
)

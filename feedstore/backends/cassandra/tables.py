"""The tables of a keyspace, and the reasons for their partitions.

- A slice of activities covers about 35 minutes of ids, in four partitions, the shards. With one partition for each
  activity, an enumeration would need an index, and each activity a second write. Partitions by hash alone would grow
  without limit. At a thousand activities a second, a partition reaches 150 MB. A bulk add of 500 activities goes to
  four partitions in four batches.
- A timeline is one partition, newest first, with its floor in a static column. One column, ``namespace:key``, holds its
  namespace and key: each entry of a batch repeats the partition key, and two columns cost a tenth of the speed.
- Key-value items of one name are in 64 partitions by a hash of the first part of the key (see
  ``feedstore.storage.checks.first_part``), ordered by key. A prefix that holds a whole first part is a range of
  one partition, any other prefix a range of all. Keys in the partition key would allow no search by prefix.
- The directory names the timelines and the slices of activities of a namespace. Its partitions are read as ranges too.
- The journal holds atomic batches while they are applied. Its tombstones expire early (``gc_grace_seconds``): a removed
  record that came back would be applied again, which changes nothing.
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
"""The number of bits by which an activity's id is shifted to get its slice. A slice has 2**21 milliseconds."""

SHARDS = 4
ITEM_BUCKETS = 64
DIRECTORY_BUCKETS = 32
JOURNAL_BUCKETS = 16


@dataclass(frozen=True)
class Table:
    """A table: its columns with their types, and the CQL of its primary key and of the options after it."""

    name: str
    columns: dict[str, str]
    key: str
    options: str = ""

    def creation(self, keyspace: str) -> str:
        """Return the statement that creates the table if it does not exist."""
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

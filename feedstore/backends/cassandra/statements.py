"""The CQL statements of one keyspace. A session prepares each one at its first use."""

from __future__ import annotations

from feedstore.backends.cassandra.tables import ACTIVITIES, DIRECTORY, ITEMS, JOURNAL, NAMESPACES, TIMELINES

_TIMELINE = "timeline = ?"
_SLICE = "namespace = ? AND slice = ? AND shard = ?"
_BUCKET = "namespace = ? AND name = ? AND bucket = ?"
_BUCKETS = "namespace = ? AND name = ? AND bucket IN ?"
_DIRECTORY = "namespace = ? AND kind = ? AND bucket = ?"
_DIRECTORIES = "namespace = ? AND kind = ? AND bucket IN ?"
_BATCH = "bucket = ? AND record = ?"
# A journal record expires after a week, before Cassandra may drop the tombstones of later deletions (gc_grace_seconds).
_RECORD_SECONDS = 7 * 24 * 3600


class Statements:
    """The statements as CQL.

    The timestamp is the first value of an ``UPDATE`` or ``DELETE``, and the last one of an ``INSERT``.

    Attributes:
        cql: The CQL of each statement by its name, for those that need no arguments.
        names: The name of each statement by its CQL. The journal stores the names.
    """

    def __init__(self, keyspace: str) -> None:
        self._write_activities(f'"{keyspace}".{ACTIVITIES}')
        self._write_timelines(f'"{keyspace}".{TIMELINES}')
        self._write_items(f'"{keyspace}".{ITEMS}')
        self._write_directory(f'"{keyspace}".{DIRECTORY}')
        namespaces = f'"{keyspace}".{NAMESPACES}'
        self.select_format = f"SELECT format FROM {namespaces} WHERE namespace = ?"
        self.select_namespaces = f"SELECT namespace FROM {namespaces}"
        self.set_format = f"UPDATE {namespaces} USING TIMESTAMP ? SET format = ? WHERE namespace = ?"
        self._write_journal(f'"{keyspace}".{JOURNAL}')
        self.cql: dict[str, str] = {name: text for name, text in vars(self).items() if not name.startswith("_")}
        self.names = {text: name for name, text in self.cql.items()}

    def _write_activities(self, table: str) -> None:
        self.add_activity = f"UPDATE {table} USING TIMESTAMP ? SET data = ? WHERE {_SLICE} AND id = ?"
        self.remove_activity = f"DELETE FROM {table} USING TIMESTAMP ? WHERE {_SLICE} AND id = ?"
        self.remove_slice = f"DELETE FROM {table} USING TIMESTAMP ? WHERE {_SLICE}"
        self.select_activities = f"SELECT id, data FROM {table} WHERE {_SLICE} AND id IN ?"
        self.select_slice = f"SELECT id, data FROM {table} WHERE {_SLICE} AND id >= ? AND id < ? LIMIT ?"
        self.select_slice_descending = (
            f"SELECT id, data FROM {table} WHERE {_SLICE} AND id >= ? AND id < ? ORDER BY id DESC LIMIT ?"
        )

    def _write_timelines(self, table: str) -> None:
        self._timelines = table
        # An UPDATE stores only the cell. An INSERT would store a row marker too, with a second timestamp.
        self.add_entry = f"UPDATE {table} USING TIMESTAMP ? SET data = ? WHERE {_TIMELINE} AND id = ?"
        self.add_reference = f"UPDATE {table} USING TIMESTAMP ? SET data = 0x WHERE {_TIMELINE} AND id = ?"
        # A lightweight transaction has the servers' timestamp.
        self.claim_entry = f"UPDATE {table} SET data = ? WHERE {_TIMELINE} AND id = ? IF data = NULL"
        self.remove_entry = f"DELETE FROM {table} USING TIMESTAMP ? WHERE {_TIMELINE} AND id = ?"
        self.remove_up_to = f"DELETE FROM {table} USING TIMESTAMP ? WHERE {_TIMELINE} AND id <= ?"
        self.raise_floor = f"UPDATE {table} USING TIMESTAMP ? SET floor = ? WHERE {_TIMELINE}"
        self.select_floor = f"SELECT floor FROM {table} WHERE {_TIMELINE} LIMIT 1"
        self.select_newest = f"SELECT id, floor FROM {table} WHERE {_TIMELINE} LIMIT ?"
        self.select_newest_of_many = (
            f"SELECT timeline, id, floor FROM {table} WHERE timeline IN ? PER PARTITION LIMIT ?"
        )
        self.select_entry = f"SELECT id FROM {table} WHERE {_TIMELINE} AND id = ?"
        self.select_entries_by_id = f"SELECT timeline, id FROM {table} WHERE timeline IN ? AND id IN ?"
        self.select_up_to = f"SELECT id FROM {table} WHERE {_TIMELINE} AND id <= ?"
        self.select_payloads = f"SELECT timeline, id, data FROM {table} WHERE timeline IN ?"
        self.select_payload = f"{self.select_payloads} AND data = ? ALLOW FILTERING"
        self.select_floors = f"SELECT timeline, floor FROM {table} WHERE timeline IN ? PER PARTITION LIMIT 1"
        self.count_entries = f"SELECT COUNT(id) FROM {table} WHERE {_TIMELINE}"
        self.count_newer = f"SELECT COUNT(id) FROM {table} WHERE {_TIMELINE} AND id > ?"
        self.select_present = f"SELECT timeline, id FROM {table} WHERE timeline IN ? PER PARTITION LIMIT 1"

    def _write_items(self, table: str) -> None:
        self._items = table
        self.upsert_item = f"UPDATE {table} USING TIMESTAMP ? SET data = ? WHERE {_BUCKET} AND key = ?"
        self.delete_item = f"DELETE FROM {table} USING TIMESTAMP ? WHERE {_BUCKET} AND key = ?"
        self.delete_items = f"DELETE FROM {table} USING TIMESTAMP ? WHERE {_BUCKET}"
        self.select_item = f"SELECT data FROM {table} WHERE {_BUCKET} AND key = ?"
        self.select_names_of_items = f"SELECT DISTINCT namespace, name, bucket FROM {table}"
        self.select_items_of = f"SELECT key, data FROM {table} WHERE {_BUCKET} AND key IN ?"
        # A comparison has the servers' timestamp, and none of its own.
        self.insert_item = f"UPDATE {table} SET data = ? WHERE {_BUCKET} AND key = ? IF data = NULL"
        self.replace_item = f"UPDATE {table} SET data = ? WHERE {_BUCKET} AND key = ? IF data = ?"

    def _write_directory(self, table: str) -> None:
        self.register = f"INSERT INTO {table} (namespace, kind, bucket, name) VALUES (?, ?, ?, ?) USING TIMESTAMP ?"
        self.forget = f"DELETE FROM {table} USING TIMESTAMP ? WHERE {_DIRECTORY} AND name >= 0x"
        self.select_name = f"SELECT name FROM {table} WHERE {_DIRECTORY} AND name = ?"
        self.select_names_between = f"SELECT name FROM {table} WHERE {_DIRECTORY} AND name >= ? AND name < ? LIMIT ?"
        self.select_names_descending = (
            f"SELECT name FROM {table} WHERE {_DIRECTORY} AND name >= ? AND name < ? ORDER BY name DESC LIMIT ?"
        )
        self.select_names = f"SELECT bucket, name FROM {table} WHERE {_DIRECTORIES} AND name > ? PER PARTITION LIMIT ?"

    def _write_journal(self, table: str) -> None:
        self.add_record = (
            f"INSERT INTO {table} (bucket, record, part, parts, data) VALUES (?, ?, ?, ?, ?) "
            f"USING TIMESTAMP ? AND TTL {_RECORD_SECONDS}"
        )
        self.remove_batch = f"DELETE FROM {table} USING TIMESTAMP ? WHERE {_BATCH}"
        self.select_records = f"SELECT bucket, record, part, parts FROM {table} WHERE bucket IN ?"
        self.select_batch = f"SELECT data FROM {table} WHERE {_BATCH}"

    def select_entries(
        self, columns: str, has_lowest: bool, has_highest: bool, descending: bool, has_limit: bool
    ) -> str:
        """Return the statement that reads a part of a timeline."""
        return (
            f"SELECT {columns} FROM {self._timelines} WHERE {_TIMELINE}"
            + _range(has_lowest, has_highest)
            + ("" if descending else " ORDER BY id ASC")
            + (" LIMIT ?" if has_limit else "")
        )

    def select_items_of_all(self, columns: str) -> str:
        """Return the statement that reads the first items of a range in each of several partitions."""
        condition = f"{_BUCKETS} AND key >= ? AND key < ?"
        return f"SELECT bucket, {columns} FROM {self._items} WHERE {condition} PER PARTITION LIMIT ?"

    def select_items(self, columns: str, descending: bool) -> str:
        """Return the statement that reads the first items of a range in one partition."""
        order = " ORDER BY key DESC" if descending else ""
        return f"SELECT {columns} FROM {self._items} WHERE {_BUCKET} AND key >= ? AND key < ?{order} LIMIT ?"

    def select_entries_of_many(self, columns: str, has_lowest: bool, has_highest: bool, has_limit: bool) -> str:
        """Return the statement that reads the newest of a part of several timelines, each newest first."""
        return (
            f"SELECT timeline, {columns} FROM {self._timelines} WHERE timeline IN ?"
            + _range(has_lowest, has_highest)
            + (" PER PARTITION LIMIT ?" if has_limit else "")
        )


def _range(has_lowest: bool, has_highest: bool) -> str:
    return (" AND id >= ?" if has_lowest else "") + (" AND id <= ?" if has_highest else "")

"""The hand-written side with sqlite3."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from benchmarks.raw.sql_payloads import SqlPayloads
from benchmarks.sqlite_file import stored_bytes
from benchmarks.workloads import MAX_PER_PAYLOAD
from feedstore import Activity, ActivityRef
from feedstore.activity import references_to
from feedstore.ids import ID_BYTES
from feedstore.serializers import MsgpackSerializer

_SCHEMA = """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA cache_size = -65536;
    PRAGMA wal_autocheckpoint = 4000;
    CREATE TABLE timeline (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, length INTEGER NOT NULL);
    CREATE TABLE entry (timeline INTEGER, id BLOB, PRIMARY KEY (timeline, id)) WITHOUT ROWID;
    CREATE TABLE activity (id BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE payload (id BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE same (timeline INTEGER, payload BLOB, id BLOB, PRIMARY KEY (timeline, payload, id)) WITHOUT ROWID;
"""
_ROWS_A_STATEMENT = 250
_HEADERS = """SELECT timeline.id, timeline.length FROM json_each(?) AS wanted
    JOIN timeline ON timeline.key = wanted.value ORDER BY timeline.id"""
_NEW_HEADERS = "INSERT OR IGNORE INTO timeline (key, length) SELECT value, 0 FROM json_each(?)"
_CUT_IDS = f"""cut (position) AS (SELECT 1 UNION ALL SELECT position + {ID_BYTES} FROM cut WHERE position < ?2),
    ids (id) AS MATERIALIZED (SELECT substr(?1, position, {ID_BYTES}) FROM cut)"""
_ADD_IDS = f"INSERT OR IGNORE INTO entry WITH RECURSIVE {_CUT_IDS} SELECT ?3, ids.id FROM ids"
_ADD_IDS_TO_MANY = f"""INSERT OR IGNORE INTO entry WITH RECURSIVE {_CUT_IDS}
    SELECT wanted.value, ids.id FROM json_each(?3) AS wanted CROSS JOIN ids"""
_ADD_ID_TO_MANY = "INSERT OR IGNORE INTO entry SELECT value, ?1 FROM json_each(?2)"
_DROP_OLDEST = """DELETE FROM entry WHERE timeline = ?1
    AND id <= (SELECT id FROM entry WHERE timeline = ?1 ORDER BY id LIMIT 1 OFFSET ?2 - 1)"""
_KEYED_HEADERS = """SELECT timeline.key, timeline.id, timeline.length FROM json_each(?) AS wanted
    JOIN timeline ON timeline.key = wanted.value ORDER BY timeline.id"""
_ADD_SAME = "INSERT OR IGNORE INTO same SELECT value, ?1, ?2 FROM json_each(?3)"
_BEYOND_PAYLOAD_LIMIT = f"""SELECT timeline, id FROM (SELECT value AS timeline, (
    SELECT id FROM same WHERE timeline = value AND payload = ?1 ORDER BY id DESC LIMIT 1 OFFSET {MAX_PER_PAYLOAD}
    ) AS id FROM json_each(?2)) WHERE id IS NOT NULL"""
_OLDEST = "SELECT value, (SELECT id FROM entry WHERE timeline = value ORDER BY id LIMIT 1) FROM json_each(?)"
_DELETE_ID = "DELETE FROM entry WHERE id = ?1 AND timeline IN (SELECT value FROM json_each(?2)) RETURNING timeline"
_DELETE_SAME = """DELETE FROM same WHERE id = ?1 AND payload = (SELECT data FROM payload WHERE id = ?1)
    AND timeline IN (SELECT value FROM json_each(?2))"""
_LENGTHEN = "UPDATE timeline SET length = length + ?1 WHERE id IN (SELECT value FROM json_each(?2))"
_NEWEST = """SELECT entry.id FROM timeline JOIN entry ON entry.timeline = timeline.id
    WHERE timeline.key = ? ORDER BY entry.id DESC LIMIT ?"""
_OLDER = """SELECT entry.id FROM timeline JOIN entry ON entry.timeline = timeline.id
    WHERE timeline.key = ? AND entry.id < ? ORDER BY entry.id DESC LIMIT ?"""
_NEWEST_HYDRATED = """SELECT entry.id, (SELECT data FROM activity WHERE activity.id = entry.id)
    FROM timeline JOIN entry ON entry.timeline = timeline.id WHERE timeline.key = ? ORDER BY entry.id DESC LIMIT ?"""
_CONTAINS = """SELECT 1 FROM timeline JOIN entry ON entry.timeline = timeline.id
    WHERE timeline.key = ? AND entry.id = ?"""
_INDEX_OF = """SELECT (SELECT count(*) FROM entry AS newer WHERE newer.timeline = timeline.id AND newer.id > ?2)
    FROM timeline JOIN entry ON entry.timeline = timeline.id WHERE timeline.key = ?1 AND entry.id = ?2"""


class RawSqliteSide(SqlPayloads):
    """Integer headers that know their length, two-column keys without rowids, several rows a statement.

    Tried and slower for the same work: ``executemany`` of one row each (bulk add of entries 2.8 times the time, of
    activities 1.5 times), timeline and id in one blob as the key (1.1 times), dropping the oldest by
    ``(timeline, id) IN (SELECT …)`` (6 times), a look-up of each key (1.1 times), pages of 2, 8 or 16 KiB (better for
    one length of timelines, worse for the other), the default cache of 2 MB (1.3 times).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._serializer = MsgpackSerializer()
        self._connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
        self._connection.executescript(_SCHEMA)
        self._execute = self._connection.execute

    def add_activities(self, activities: Sequence[Activity]) -> None:
        ids = [activity.serialization_id.to_bytes(ID_BYTES, "big") for activity in activities]
        rows = list(zip(ids, self._serializer.dumps_many(activities), strict=True))
        with self.transaction():
            self._replace_activities(rows)

    def _replace_activities(self, rows: list[tuple[bytes, bytes]]) -> None:
        for start in range(0, len(rows), _ROWS_A_STATEMENT):
            part = rows[start : start + _ROWS_A_STATEMENT]
            values = ",".join(["(?,?)"] * len(part))
            self._execute(f"REPLACE INTO activity VALUES {values}", list(chain.from_iterable(part)))

    def add_many(self, key: str, activities: Sequence[Activity]) -> None:
        self.add_ids(key, [activity.serialization_id for activity in activities])

    def add_ids(self, key: str, activity_ids: Sequence[int]) -> None:
        ids = _joined(activity_ids)
        with self.transaction():
            ((timeline, _),) = self._headers([key])
            added = self._execute(_ADD_IDS, (ids, len(ids) - ID_BYTES, timeline)).rowcount
            self._execute("UPDATE timeline SET length = length + ? WHERE id = ?", (added, timeline))

    def add_to_many(self, keys: Sequence[str], activities: Sequence[Activity], max_length: int) -> None:
        ids = _joined([activity.serialization_id for activity in activities])
        with self.transaction():
            self._deliver(keys, ids, max_length)

    def publish(self, activity: Activity, keys: Sequence[str], max_length: int) -> None:
        activity_id, data = _joined([activity.serialization_id]), self._serializer.dumps(activity)
        with self.transaction():
            self._replace_activities([(activity_id, data)])
            self._deliver(keys, activity_id, max_length)

    def _deliver(self, keys: Sequence[str], ids: bytes, max_length: int) -> None:
        headers, amount = self._headers(keys), len(ids) // ID_BYTES
        added = self._add_to_headers(headers, ids)
        if added == len(headers) * amount:
            lengths = [(timeline, before, before + amount) for timeline, before in headers]
        else:
            lengths = self._counted(headers)
        self._trim(lengths, max_length)

    def _headers(self, keys: Sequence[str]) -> list[tuple[int, int]]:
        wanted = json.dumps(keys)
        headers = self._execute(_HEADERS, (wanted,)).fetchall()
        if len(headers) < len(keys):
            self._execute(_NEW_HEADERS, (wanted,))
            headers = self._execute(_HEADERS, (wanted,)).fetchall()
        return headers

    def _add_to_headers(self, headers: list[tuple[int, int]], ids: bytes) -> int:
        timelines = json.dumps([timeline for timeline, _ in headers])
        if len(ids) == ID_BYTES:
            return self._execute(_ADD_ID_TO_MANY, (ids, timelines)).rowcount
        return self._execute(_ADD_IDS_TO_MANY, (ids, len(ids) - ID_BYTES, timelines)).rowcount

    def _counted(self, headers: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
        """Count after an insert with duplicates. Return each timeline's number, its old length and its new length."""
        count = "SELECT count(*) FROM entry WHERE timeline = ?"
        return [(timeline, before, *self._execute(count, (timeline,)).fetchone()) for timeline, before in headers]

    def _trim(self, lengths: list[tuple[int, int, int]], most: int) -> None:
        drops = [(timeline, now - most) for timeline, _, now in lengths if now > most]
        changed = [(min(now, most), timeline) for timeline, before, now in lengths if min(now, most) != before]
        if drops:
            self._connection.executemany(_DROP_OLDEST, drops)
        if changed:
            self._connection.executemany("UPDATE timeline SET length = ? WHERE id = ?", changed)

    def replace_activity(self, activity_id: bytes, data: bytes) -> None:
        self._replace_activities([(activity_id, data)])

    def keyed_headers(self, keys: Sequence[str]) -> Sequence[tuple[str, int, int]]:
        return self._execute(_KEYED_HEADERS, (json.dumps(keys),)).fetchall()

    def make_headers(self, keys: Sequence[str]) -> None:
        self._execute(_NEW_HEADERS, (json.dumps(keys),))

    def insert(self, activity_id: bytes, timelines: list[int]) -> list[int]:
        return self._timelines(f"{_ADD_ID_TO_MANY} RETURNING timeline", activity_id, timelines)

    def insert_same(self, activity_id: bytes, payload: bytes, timelines: list[int]) -> None:
        self._execute("REPLACE INTO payload VALUES (?, ?)", (activity_id, payload))
        self._execute(_ADD_SAME, (payload, activity_id, json.dumps(timelines)))

    def beyond_payload_limit(self, payload: bytes, timelines: list[int]) -> Iterable[tuple[int, bytes]]:
        return self._execute(_BEYOND_PAYLOAD_LIMIT, (payload, json.dumps(timelines))).fetchall()

    def oldest(self, timelines: list[int]) -> Iterable[tuple[int, bytes]]:
        return self._execute(_OLDEST, (json.dumps(timelines),)).fetchall()

    def delete(self, activity_id: bytes, timelines: list[int]) -> list[int]:
        return self._timelines(_DELETE_ID, activity_id, timelines)

    def delete_same(self, activity_id: bytes, timelines: list[int]) -> None:
        self._execute(_DELETE_SAME, (activity_id, json.dumps(timelines)))

    def lengthen(self, more: int, timelines: list[int]) -> None:
        self._execute(_LENGTHEN, (more, json.dumps(timelines)))

    def _timelines(self, statement: str, activity_id: bytes, timelines: list[int]) -> list[int]:
        return [timeline for (timeline,) in self._execute(statement, (activity_id, json.dumps(timelines))).fetchall()]

    def newest(self, key: str, limit: int) -> list[ActivityRef]:
        rows = self._execute(_NEWEST, (key, limit)).fetchall()
        return references_to([int.from_bytes(data, "big") for (data,) in rows])

    def newest_hydrated(self, key: str, limit: int) -> list[Activity]:
        rows = self._execute(_NEWEST_HYDRATED, (key, limit)).fetchall()
        return self._serializer.loads_many(
            [(int.from_bytes(one, "big"), data) for one, data in rows if data is not None]
        )

    def walk(self, key: str, limit: int) -> list[ActivityRef]:
        page = self._execute(_NEWEST, (key, limit)).fetchall()
        references = references_to([int.from_bytes(data, "big") for (data,) in page])
        while len(page) == limit:
            page = self._execute(_OLDER, (key, page[-1][0], limit)).fetchall()
            references += references_to([int.from_bytes(data, "big") for (data,) in page])
        return references

    def index_of(self, key: str, activity_id: int) -> int:
        index: int = self._execute(_INDEX_OF, (key, activity_id.to_bytes(ID_BYTES, "big"))).fetchone()[0]
        return index

    def contains(self, key: str, activity_id: int) -> bool:
        return self._execute(_CONTAINS, (key, activity_id.to_bytes(ID_BYTES, "big"))).fetchone() is not None

    def count(self, key: str) -> int:
        length: int = self._execute("SELECT length FROM timeline WHERE key = ?", (key,)).fetchone()[0]
        return length

    def stored_bytes(self) -> int:
        return stored_bytes(self._path)

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        # An error ends the benchmark, and closing the connection rolls back.
        self._execute("BEGIN IMMEDIATE")
        yield
        self._execute("COMMIT")


def _joined(activity_ids: Sequence[int]) -> bytes:
    return b"".join([activity_id.to_bytes(ID_BYTES, "big") for activity_id in sorted(activity_ids)])

"""The hand-written side with psycopg 3."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import psycopg

from benchmarks.raw.sql_payloads import SqlPayloads
from benchmarks.workloads import MAX_PER_PAYLOAD
from feedstore import Activity, ActivityRef
from feedstore.activity import references_to
from feedstore.ids import ID_BYTES
from feedstore.serializers import MsgpackSerializer

_SCHEMA = """
    CREATE TABLE timeline (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text NOT NULL UNIQUE, length integer NOT NULL);
    CREATE TABLE entry (timeline bigint, id bytea, PRIMARY KEY (timeline, id));
    CREATE TABLE activity (id bytea PRIMARY KEY, data bytea NOT NULL);
    CREATE TABLE payload (id bytea PRIMARY KEY, data bytea NOT NULL);
    CREATE TABLE same (timeline bigint, payload bytea, id bytea, PRIMARY KEY (timeline, payload, id));
"""
_ADD_ACTIVITIES = """INSERT INTO activity SELECT * FROM unnest(%b::bytea[], %b::bytea[])
    ON CONFLICT (id) DO UPDATE SET data = excluded.data"""
_HEADERS = """SELECT timeline.id, length FROM unnest(%b::text[]) AS wanted JOIN timeline ON timeline.key = wanted
    ORDER BY timeline.id FOR UPDATE OF timeline"""
_NEW_HEADERS = """INSERT INTO timeline (key, length) SELECT wanted, 0 FROM unnest(%b::text[]) AS wanted ORDER BY wanted
    ON CONFLICT DO NOTHING"""
_ADD_TO_ONE = """WITH header AS (SELECT id FROM timeline WHERE key = %b FOR UPDATE), added AS (
    INSERT INTO entry SELECT header.id, added FROM header CROSS JOIN unnest(%b::bytea[]) AS added
    ON CONFLICT DO NOTHING RETURNING 1)
    UPDATE timeline SET length = length + (SELECT count(*) FROM added) FROM header WHERE timeline.id = header.id"""
_ADD_TO_MANY = """INSERT INTO entry
    SELECT wanted, id FROM unnest(%b::bigint[]) AS wanted CROSS JOIN unnest(%b::bytea[]) AS id ON CONFLICT DO NOTHING"""
_DROP_OLDEST = """DELETE FROM entry WHERE ctid = ANY (ARRAY (
    SELECT oldest.ctid FROM unnest(%b::bigint[], %b::bigint[]) AS long (timeline, surplus) CROSS JOIN LATERAL (
    SELECT ctid FROM entry WHERE entry.timeline = long.timeline ORDER BY id LIMIT long.surplus) AS oldest))"""
_SET_LENGTHS = """UPDATE timeline SET length = changed.length
    FROM unnest(%b::bigint[], %b::bigint[]) AS changed (id, length) WHERE timeline.id = changed.id"""
_KEYED_HEADERS = """SELECT key, timeline.id, length FROM unnest(%b::text[]) AS wanted
    JOIN timeline ON timeline.key = wanted ORDER BY timeline.id FOR UPDATE OF timeline"""
_ADD_PAYLOAD = "INSERT INTO payload VALUES (%b, %b) ON CONFLICT (id) DO UPDATE SET data = excluded.data"
_ADD_SAME = "INSERT INTO same SELECT wanted, %b, %b FROM unnest(%b::bigint[]) AS wanted ON CONFLICT DO NOTHING"
_BEYOND_PAYLOAD_LIMIT = f"""SELECT wanted, oldest.id FROM unnest(%b::bigint[]) AS wanted CROSS JOIN LATERAL (
    SELECT id FROM same WHERE timeline = wanted AND payload = %b ORDER BY id DESC OFFSET {MAX_PER_PAYLOAD} LIMIT 1
    ) AS oldest"""
_OLDEST = """SELECT wanted, oldest.id FROM unnest(%b::bigint[]) AS wanted CROSS JOIN LATERAL (
    SELECT id FROM entry WHERE timeline = wanted ORDER BY id LIMIT 1) AS oldest"""
_DELETE_ID = """DELETE FROM entry WHERE ctid = ANY (ARRAY (
    SELECT entry.ctid FROM unnest(%b::bigint[]) AS wanted JOIN entry ON timeline = wanted AND id = %b))
    RETURNING timeline"""
_DELETE_SAME = """DELETE FROM same USING unnest(%b::bigint[]) AS wanted
    WHERE timeline = wanted AND id = %b AND payload = (SELECT data FROM payload WHERE id = %b)"""
_LENGTHEN = "UPDATE timeline SET length = length + %b FROM unnest(%b::bigint[]) AS wanted WHERE id = wanted"
_TIMELINE = "(SELECT id FROM timeline WHERE key = %b)"
_NEWEST = f"SELECT id FROM entry WHERE timeline = {_TIMELINE} ORDER BY id DESC LIMIT "
_OLDER = f"SELECT id FROM entry WHERE timeline = {_TIMELINE} AND id < %b ORDER BY id DESC LIMIT "
_NEWEST_HYDRATED = f"""SELECT id, (SELECT data FROM activity WHERE activity.id = entry.id)
    FROM entry WHERE timeline = {_TIMELINE} ORDER BY id DESC LIMIT """
_CONTAINS = f"SELECT 1 FROM entry WHERE timeline = {_TIMELINE} AND id = %b"
_INDEX_OF = f"""SELECT (
    SELECT count(*) FROM entry AS newer WHERE newer.timeline = entry.timeline AND newer.id > entry.id)
    FROM entry WHERE timeline = {_TIMELINE} AND id = %b"""
_BYTES = """SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"""


class RawPostgresqlSide(SqlPayloads):
    """Integer headers that know their length, arrays in binary as parameters, one kept cursor, prepared statements.

    Tried and slower for the same work: text parameters (bulk add of activities 3.1 times the time), ``executemany``
    (3.2), one ``INSERT`` of 500 rows of values (1.8), ``COPY`` into a temporary table (1.6), ``key = ANY (…)`` for the
    headers (6 times), dropping the oldest by ``(timeline, id) IN (…)`` (2 to 4 times), a join with the activities (1.5
    times), the limit as a parameter of reads of activities (1.2 times: each call is planned again), ``uuid`` columns
    (1.1 times, but 0.85 of the space).
    """

    def __init__(self, url: str) -> None:
        self._serializer = MsgpackSerializer()
        self._connection = psycopg.connect(url, autocommit=True, prepare_threshold=0)
        self._connection.execute(_SCHEMA.encode(), prepare=False)
        self._execute = self._connection.cursor(binary=True).execute

    def add_activities(self, activities: Sequence[Activity]) -> None:
        ids = [activity.serialization_id for activity in activities]
        distinct = dict(zip(ids, self._serializer.dumps_many(activities), strict=True))
        self._execute(_ADD_ACTIVITIES, (_packed(distinct), list(distinct.values())))

    def add_many(self, key: str, activities: Sequence[Activity]) -> None:
        self.add_ids(key, [activity.serialization_id for activity in activities])

    def add_ids(self, key: str, activity_ids: Sequence[int]) -> None:
        ids = _packed(activity_ids)
        if self._execute(_ADD_TO_ONE, (key, ids)).rowcount == 0:
            self.make_headers([key])
            self._execute(_ADD_TO_ONE, (key, ids))

    def add_to_many(self, keys: Sequence[str], activities: Sequence[Activity], max_length: int) -> None:
        with self.transaction():
            self._deliver(keys, _packed([activity.serialization_id for activity in activities]), max_length)

    def publish(self, activity: Activity, keys: Sequence[str], max_length: int) -> None:
        ids = _packed([activity.serialization_id])
        with self.transaction():
            self._execute(_ADD_ACTIVITIES, (ids, [self._serializer.dumps(activity)]))
            self._deliver(keys, ids, max_length)

    def _deliver(self, keys: Sequence[str], ids: list[bytes], max_length: int) -> None:
        headers = self._headers(keys)
        added = self._execute(_ADD_TO_MANY, ([timeline for timeline, _ in headers], ids)).rowcount
        if added == len(headers) * len(ids):
            lengths = [(timeline, before, before + len(ids)) for timeline, before in headers]
        else:
            lengths = self._counted(headers)
        self._trim(lengths, max_length)

    def _headers(self, keys: Sequence[str]) -> list[tuple[int, int]]:
        headers = self._execute(_HEADERS, (keys,)).fetchall()
        if len(headers) < len(keys):
            self.make_headers(keys)
            headers = self._execute(_HEADERS, (keys,)).fetchall()
        return headers

    def _counted(self, headers: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
        """Count after an insert with duplicates. Return each timeline's number, its old length and its new length."""
        count = "SELECT count(*) FROM entry WHERE timeline = %b"
        return [(timeline, before, self._value(count, (timeline,))) for timeline, before in headers]

    def _trim(self, lengths: list[tuple[int, int, int]], most: int) -> None:
        long = [(timeline, now - most) for timeline, _, now in lengths if now > most]
        changed = [(timeline, min(now, most)) for timeline, before, now in lengths if min(now, most) != before]
        for statement, rows in ((_DROP_OLDEST, long), (_SET_LENGTHS, changed)):
            if rows:
                self._execute(statement, ([timeline for timeline, _ in rows], [value for _, value in rows]))

    def transaction(self) -> AbstractContextManager[object]:
        return self._connection.transaction()

    def replace_activity(self, activity_id: bytes, data: bytes) -> None:
        self._execute(_ADD_ACTIVITIES, ([activity_id], [data]))

    def keyed_headers(self, keys: Sequence[str]) -> Sequence[tuple[str, int, int]]:
        return self._execute(_KEYED_HEADERS, (keys,)).fetchall()

    def make_headers(self, keys: Sequence[str]) -> None:
        self._execute(_NEW_HEADERS, (keys,))

    def insert(self, activity_id: bytes, timelines: list[int]) -> list[int]:
        rows = self._execute(f"{_ADD_TO_MANY} RETURNING timeline", (timelines, [activity_id])).fetchall()
        return [timeline for (timeline,) in rows]

    def insert_same(self, activity_id: bytes, payload: bytes, timelines: list[int]) -> None:
        self._execute(_ADD_PAYLOAD, (activity_id, payload))
        self._execute(_ADD_SAME, (payload, activity_id, timelines))

    def beyond_payload_limit(self, payload: bytes, timelines: list[int]) -> Iterable[tuple[int, bytes]]:
        return self._execute(_BEYOND_PAYLOAD_LIMIT, (timelines, payload)).fetchall()

    def oldest(self, timelines: list[int]) -> Iterable[tuple[int, bytes]]:
        return self._execute(_OLDEST, (timelines,)).fetchall()

    def delete(self, activity_id: bytes, timelines: list[int]) -> list[int]:
        return [timeline for (timeline,) in self._execute(_DELETE_ID, (timelines, activity_id)).fetchall()]

    def delete_same(self, activity_id: bytes, timelines: list[int]) -> None:
        self._execute(_DELETE_SAME, (timelines, activity_id, activity_id))

    def lengthen(self, more: int, timelines: list[int]) -> None:
        self._execute(_LENGTHEN, (more, timelines))

    def newest(self, key: str, limit: int) -> list[ActivityRef]:
        return _references(self._execute(f"{_NEWEST}{limit}", (key,)).fetchall())

    def newest_hydrated(self, key: str, limit: int) -> list[Activity]:
        rows = self._execute(f"{_NEWEST_HYDRATED}{limit}", (key,)).fetchall()
        return self._serializer.loads_many(
            [(int.from_bytes(one, "big"), data) for one, data in rows if data is not None]
        )

    def walk(self, key: str, limit: int) -> list[ActivityRef]:
        page = self._execute(f"{_NEWEST}{limit}", (key,)).fetchall()
        references = _references(page)
        while len(page) == limit:
            page = self._execute(f"{_OLDER}{limit}", (key, page[-1][0])).fetchall()
            references += _references(page)
        return references

    def index_of(self, key: str, activity_id: int) -> int:
        index: int = self._value(_INDEX_OF, (key, activity_id.to_bytes(ID_BYTES, "big")))
        return index

    def contains(self, key: str, activity_id: int) -> bool:
        return self._execute(_CONTAINS, (key, activity_id.to_bytes(ID_BYTES, "big"))).fetchone() is not None

    def count(self, key: str) -> int:
        length: int = self._value("SELECT length FROM timeline WHERE key = %b", (key,))
        return length

    def _value(self, statement: str, parameters: tuple[Any, ...]) -> Any:
        ((value,),) = self._execute(statement, parameters).fetchall()
        return value

    def stored_bytes(self) -> int:
        return stored_bytes(self._connection)

    def close(self) -> None:
        self._connection.close()


def stored_bytes(connection: psycopg.Connection) -> int:
    """Return the size of all tables with their indexes."""
    ((size,),) = connection.execute(_BYTES).fetchall()
    return int(size)


def _packed(activity_ids: Iterable[int]) -> list[bytes]:
    return [activity_id.to_bytes(ID_BYTES, "big") for activity_id in activity_ids]


def _references(rows: list[tuple[bytes]]) -> list[ActivityRef]:
    return references_to([int.from_bytes(data, "big") for (data,) in rows])

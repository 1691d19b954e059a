"""The statements that write timelines in SQLite. Most take a set of timelines, as a JSON array of their numbers."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, bindparam, delete, func, insert, literal_column, null, select, update

from feedstore.backends.sql.compiler import Compiler, limited, row_at, this_namespace
from feedstore.backends.sql.sqlite.arrays import each, each_bytes, each_id, for_each
from feedstore.backends.sql.tables import entry_table, timeline_table
from feedstore.backends.sql.timeline_statements import is_header, timeline_id

_header, _entry = timeline_table.c, entry_table.c
_ENTRY_COLUMNS = ["timeline_id", "activity_id", "data"]
_activity: Any = bindparam("activity")
_of_these_timelines = select(each.c.value)

PACKED_ENTRIES = """
WITH header AS MATERIALIZED (
    SELECT id, length, newest_dropped FROM feedstore_timeline
    WHERE namespace_id = (SELECT id FROM feedstore_namespace WHERE name = ?1) AND key = ?2
),
oldest AS MATERIALIZED (
    SELECT activity_id, data, length(data) AS width FROM feedstore_entry
    WHERE timeline_id = (SELECT id FROM header) AND activity_id >= CASE
        WHEN (SELECT length FROM header) <= ?3 THEN x'' ELSE (
            SELECT activity_id FROM feedstore_entry
            WHERE timeline_id = (SELECT id FROM header) ORDER BY activity_id DESC LIMIT 1 OFFSET ?3 - 1
        ) END
    ORDER BY activity_id LIMIT 1
)
SELECT (SELECT newest_dropped FROM header), (SELECT length FROM header), (SELECT data FROM oldest),
    CAST(group_concat(activity_id, data) AS BLOB)
FROM feedstore_entry
WHERE timeline_id = (SELECT id FROM header) AND activity_id >= (SELECT activity_id FROM oldest)
    AND length(data) = (SELECT width FROM oldest) AND length(activity_id) = 16
"""
"""The newest id that a trim dropped, the length of the timeline, the payload of the oldest entry that is read, and one
run of bytes: the id of that entry, then the payload and the id of each later one. An entry is left out of the run if
its payload has another length or its id is damaged, so that the run is too short.

The third parameter is the number of entries. A payload is the separator before its id: 800 entries take 0.14 ms. To
join the two with ``||`` and ``CASE`` takes 0.19, rows take 0.45. An inner statement with a LIMIT adds 0.12 ms, because
SQLite passes each row on to the outer one.
"""


class SqliteTimelineStatements:
    """The text of each; the comments name the parameters in their order."""

    def __init__(self, compiler: Compiler) -> None:
        self._compiler = compiler
        self._find_headers()
        self._change_headers()
        self._insert_entries()
        self._delete_entries()

    def _find_headers(self) -> None:
        text = self._compiler.text
        columns = select(_header.id, _header.length)
        self.header = text(columns.where(*is_header()), "namespace", "key")
        found = columns.select_from(for_each(timeline_table)).where(
            _header.namespace_id == this_namespace(), _header.key == each_bytes
        )
        self.headers = text(found.order_by(_header.id), "array", "namespace")
        some = select(_header.id).where(_header.namespace_id == this_namespace()).order_by(_header.key)
        keyed = found.with_only_columns(each.c.value, _header.id, _header.length)
        self.keyed_headers = text(keyed, "array", "namespace")
        self.some_headers = text(limited(some), "namespace", "limit")

    def _change_headers(self) -> None:
        text = self._compiler.text
        new: dict[str, Any] = {
            "namespace_id": bindparam("namespace_id"),
            "key": bindparam("new_key"),
            "length": literal_column("0"),
        }
        self.create_header = text(
            insert(timeline_table).prefix_with("OR IGNORE").values(new), "namespace_id", "new_key"
        )
        created = select(new["namespace_id"], each_bytes, new["length"])
        self.create_headers = text(
            insert(timeline_table).prefix_with("OR IGNORE").from_select(list(new), created), "namespace_id", "array"
        )
        these = update(timeline_table).where(_header.id.in_(_of_these_timelines))
        self.lengthen = text(these.values(length=_header.length + bindparam("more")), "more", "array")
        newest_dropped = func.max(func.coalesce(_header.newest_dropped, literal_column("x''")), _nth_oldest(_header.id))
        shorter = these.values(length=bindparam("new_length"), newest_dropped=newest_dropped)
        self.shorten = text(shorter, "new_length", "position", "array")
        self.delete_headers = text(delete(timeline_table).where(_header.id.in_(_of_these_timelines)), "array")

    def _insert_entries(self) -> None:
        text = self._compiler.text
        inserted = insert(entry_table).prefix_with("OR IGNORE")
        to_one = select(bindparam("timeline", type_=BigInteger), each_id, null())
        self.insert_ids = text(inserted.from_select(_ENTRY_COLUMNS, to_one), "timeline", "ids", "array")
        to_many = select(each.c.value, _activity, bindparam("data"))
        self.insert_into_many = text(inserted.from_select(_ENTRY_COLUMNS, to_many), "activity", "data", "array")
        to_places = select(each.c.value, each_id, null())
        self.insert_places = text(inserted.from_select(_ENTRY_COLUMNS, to_places), "ids", "array")
        taken = select(each.c.key).select_from(for_each(entry_table))
        taken = taken.where(_entry.timeline_id == each.c.value, _entry.activity_id == each_id)
        self.held = text(taken, "array", "ids")
        one = _entry.timeline_id == bindparam("timeline"), _entry.activity_id == _activity
        replaced = update(entry_table).where(*one).values(data=bindparam("new_data"))
        self.replace = text(replaced, "new_data", "timeline", "activity")
        in_timeline = _entry.timeline_id == bindparam("timeline"), _entry.activity_id.in_(select(each_id))
        bare = update(entry_table).where(*in_timeline, _entry.data.is_not(None)).values(data=null())
        self.remove_data = text(bare, "timeline", "ids", "array")
        present = select(_entry.timeline_id).select_from(for_each(entry_table))
        present = present.where(_entry.timeline_id == each.c.value, _entry.activity_id == _activity)
        self.holders = text(present, "array", "activity")
        contained = select(_entry.activity_id).select_from(for_each(entry_table))
        contained = contained.where(_entry.timeline_id == timeline_id(), _entry.activity_id == each_id)
        self.contained = text(contained, "array", "namespace", "key", "ids")

    def _delete_entries(self) -> None:
        text = self._compiler.text
        in_timeline = _entry.timeline_id == bindparam("timeline")
        ids = delete(entry_table).where(in_timeline, _entry.activity_id.in_(select(each_id)))
        self.delete_ids = text(ids, "timeline", "ids", "array")
        self.delete_one = text(
            delete(entry_table).where(in_timeline, _entry.activity_id == _activity), "timeline", "activity"
        )
        from_these = _entry.timeline_id.in_(_of_these_timelines)
        from_many = delete(entry_table).where(from_these, _entry.activity_id == _activity)
        self.delete_from_many = text(from_many, "array", "activity")
        self.delete_all = text(delete(entry_table).where(from_these), "array")
        oldest = _nth_oldest(bindparam("same_timeline"))
        dropped = delete(entry_table).where(in_timeline, _entry.activity_id <= oldest)
        self.drop_oldest = text(dropped, "timeline", "same_timeline", "position")
        of_timeline = select(_entry.activity_id).where(in_timeline)
        self.oldest = text(limited(of_timeline.order_by(_entry.activity_id)), "timeline", "limit")
        self.payloads = text(select(_entry.data).where(in_timeline, _entry.data.is_not(None)), "timeline")
        same = entry_table.alias("same")
        newest = select(same.c.activity_id).where(same.c.timeline_id == each.c.value, same.c.data == bindparam("same"))
        of_one = select(same.c.activity_id).where(
            same.c.timeline_id == bindparam("same_timeline"), same.c.data == bindparam("same")
        )
        first_of_one = row_at(of_one.order_by(same.c.activity_id.desc()), "newest").scalar_subquery()
        some = delete(entry_table).where(
            in_timeline, _entry.activity_id <= first_of_one, _entry.data == bindparam("data")
        )
        self.delete_beyond = text(some, "timeline", "same_timeline", "same", "newest", "data")
        first_beyond = row_at(newest.order_by(same.c.activity_id.desc()), "newest").scalar_subquery()
        beyond = (
            select(_entry.timeline_id, _entry.activity_id)
            .select_from(for_each(entry_table))
            .where(
                _entry.timeline_id == each.c.value, _entry.activity_id <= first_beyond, _entry.data == bindparam("data")
            )
        )
        self.beyond_newest = text(beyond, "array", "same", "newest", "data")


def _nth_oldest(timeline_id: Any) -> Any:
    """The id of a timeline's entry at the parameter ``position``, counted from 0 at the oldest."""
    entries = entry_table.alias("oldest")
    ids = select(entries.c.activity_id).where(entries.c.timeline_id == timeline_id).order_by(entries.c.activity_id)
    return row_at(ids).scalar_subquery()

"""The statements of deliveries in PostgreSQL. Arrays bring their rows, and ``%b`` asks for binary parameters.

An entry is found by a subquery with a limit or an offset for each row: the planner then uses the primary key for each,
also where its statistics know nothing yet of a new table. A row stays where ``ctid`` says as long as the header of its
timeline is locked. No two of the sets are joined to each other: the planner, which expects ten rows of an array, would
take one set row by row for each row of the other (1.2 s for 1,000 timelines).
"""

from __future__ import annotations

_INSERT = """
WITH given AS (SELECT * FROM unnest({arrays}) AS given({columns})),
inserted AS (
    INSERT INTO feedstore_entry (timeline_id, activity_id{data}) SELECT {columns} FROM given
    ON CONFLICT DO NOTHING RETURNING timeline_id, activity_id
)
SELECT timeline, id FROM given WHERE (SELECT count(*) FROM inserted) < %b::bigint
EXCEPT SELECT timeline_id, activity_id FROM inserted
"""
INSERT_ROWS = _INSERT.format(
    arrays="%b::bigint[], %b::bytea[], %b::bytea[]", columns="timeline, id, data", data=", data"
)
"""Insert timelines, ids and payloads, whose number comes last; return the places that were taken."""
INSERT_IDS = _INSERT.format(arrays="%b::bigint[], %b::bytea[]", columns="timeline, id", data="")
"""Insert timelines and ids, whose number comes last; return the places that were taken."""

REPLACE_ROWS = """
UPDATE feedstore_entry SET data = changed.data FROM (
    SELECT entry.ctid, given.data
    FROM unnest(%b::bigint[], %b::bytea[], %b::bytea[]) AS given(timeline, id, data)
    CROSS JOIN LATERAL (
        SELECT held.ctid FROM feedstore_entry AS held
        WHERE held.timeline_id = given.timeline AND held.activity_id = given.id
        AND held.data IS DISTINCT FROM given.data LIMIT 1
    ) AS entry
) AS changed WHERE feedstore_entry.ctid = changed.ctid
"""
"""Set the payloads of timelines and ids."""

REMOVE_DATA = """
UPDATE feedstore_entry SET data = NULL WHERE ctid = ANY(ARRAY(
    SELECT entry.ctid FROM unnest(%b::bigint[], %b::bytea[]) AS given(timeline, id)
    CROSS JOIN LATERAL (
        SELECT held.ctid FROM feedstore_entry AS held
        WHERE held.timeline_id = given.timeline AND held.activity_id = given.id AND held.data IS NOT NULL LIMIT 1
    ) AS entry
))
"""
"""Remove the payloads of timelines and ids."""

DELETE_PLACES = """
WITH gone AS (
    DELETE FROM feedstore_entry WHERE ctid = ANY(ARRAY(
        SELECT entry.ctid FROM unnest(%b::bigint[], %b::bytea[]) AS given(timeline, id)
        CROSS JOIN LATERAL (
            SELECT held.ctid FROM feedstore_entry AS held
            WHERE held.timeline_id = given.timeline AND held.activity_id = given.id LIMIT 1
        ) AS entry
    )) RETURNING timeline_id
)
SELECT timeline_id, count(*) FROM gone GROUP BY timeline_id
"""
"""Delete the entries of timelines and ids; return how many each timeline lost."""

DROP_SAME = """
DELETE FROM feedstore_entry WHERE ctid = ANY(ARRAY(
    SELECT surplus.ctid FROM unnest(%b::bigint[], %b::bytea[]) AS wanted(timeline, data)
    CROSS JOIN LATERAL (
        SELECT same.ctid FROM feedstore_entry AS same
        WHERE same.timeline_id = wanted.timeline AND same.data = wanted.data
        ORDER BY same.activity_id DESC OFFSET %b::bigint
    ) AS surplus
)) RETURNING timeline_id, activity_id
"""
"""Delete, for timelines and payloads, all but the newest; return what went."""

SET_LENGTHS = """
UPDATE feedstore_timeline SET length = these.length
FROM unnest(%b::bigint[], %b::integer[]) AS these(id, length) WHERE feedstore_timeline.id = these.id
"""
"""Set the lengths of timelines."""

DROP_OLDEST = """
WITH these AS (SELECT * FROM unnest(%b::bigint[], %b::integer[], %b::bigint[]) AS these(id, length, surplus)),
doomed AS MATERIALIZED (
    SELECT these.id, these.length, oldest.activity_id, oldest.ctid, oldest.number = these.surplus AS is_last
    FROM these CROSS JOIN LATERAL (
        SELECT entry.activity_id, entry.ctid, row_number() OVER (ORDER BY entry.activity_id) AS number
        FROM feedstore_entry AS entry WHERE entry.timeline_id = these.id
        ORDER BY entry.activity_id LIMIT %b::bigint
    ) AS oldest WHERE oldest.number <= these.surplus
),
dropped AS (DELETE FROM feedstore_entry WHERE ctid = ANY(ARRAY(SELECT ctid FROM doomed))),
resized AS (
    UPDATE feedstore_timeline
    SET length = doomed.length, newest_dropped = greatest(newest_dropped, doomed.activity_id)
    FROM doomed WHERE feedstore_timeline.id = doomed.id AND doomed.is_last
)
SELECT id, activity_id FROM doomed WHERE %b::boolean
"""
"""Set the lengths of timelines, and drop so many of the oldest of each, whose largest number comes after the arrays;
return what went if that is wanted. The largest number is a parameter of its own because the planner takes a limit that
differs by row for a tenth of the timeline, and then compiles the statement, which takes a second.
"""

NO_COMPILER = "SET LOCAL jit = off"
"""Plan what follows in this transaction without the just-in-time compiler. It comes before ``DROP_SAME``, which reads
whole timelines and looks expensive enough to the planner.
"""

-- The statements of deliveries with limits on PostgreSQL. Arrays bring the rows.
--
-- A lateral subquery with a limit or an offset finds an entry for each row: the planner then uses the primary key for
-- each, also while its statistics know nothing of a new table. No statement joins two sets to each other: the planner,
-- which expects ten rows of an array, would read one set row by row for each row of the other (1.2 s for 1,000
-- timelines). "ctid" is the place of a row, which does not change while the header of the row's timeline is locked.

-- name: insert_rows
-- Insert entries with payloads, "count" of them. Return the places that were taken.
WITH given AS (
    SELECT * FROM unnest(:timelines::bigint[], :ids::bytea[], :data::bytea[]) AS given(timeline, id, data)
),
inserted AS (
    INSERT INTO feedstore_entry (timeline_id, activity_id, data) SELECT timeline, id, data FROM given
    ON CONFLICT DO NOTHING RETURNING timeline_id, activity_id
)
SELECT timeline, id FROM given WHERE (SELECT count(*) FROM inserted) < :count::bigint
EXCEPT SELECT timeline_id, activity_id FROM inserted;

-- name: insert_ids
-- Do the same as "insert_rows" for entries without payloads.
WITH given AS (SELECT * FROM unnest(:timelines::bigint[], :ids::bytea[]) AS given(timeline, id)),
inserted AS (
    INSERT INTO feedstore_entry (timeline_id, activity_id) SELECT timeline, id FROM given
    ON CONFLICT DO NOTHING RETURNING timeline_id, activity_id
)
SELECT timeline, id FROM given WHERE (SELECT count(*) FROM inserted) < :count::bigint
EXCEPT SELECT timeline_id, activity_id FROM inserted;

-- name: replace_rows
-- Set the payloads of stored entries whose payloads are different.
UPDATE feedstore_entry SET data = changed.data FROM (
    SELECT entry.ctid, given.data
    FROM unnest(:timelines::bigint[], :ids::bytea[], :data::bytea[]) AS given(timeline, id, data)
    CROSS JOIN LATERAL (
        SELECT held.ctid FROM feedstore_entry AS held
        WHERE held.timeline_id = given.timeline AND held.activity_id = given.id
        AND held.data IS DISTINCT FROM given.data LIMIT 1
    ) AS entry
) AS changed WHERE feedstore_entry.ctid = changed.ctid;

-- name: remove_data
-- Remove the payloads of stored entries.
UPDATE feedstore_entry SET data = NULL WHERE ctid = ANY(ARRAY(
    SELECT entry.ctid FROM unnest(:timelines::bigint[], :ids::bytea[]) AS given(timeline, id)
    CROSS JOIN LATERAL (
        SELECT held.ctid FROM feedstore_entry AS held
        WHERE held.timeline_id = given.timeline AND held.activity_id = given.id AND held.data IS NOT NULL LIMIT 1
    ) AS entry
));

-- name: delete_places
-- Delete entries. Return how many each timeline lost.
WITH gone AS (
    DELETE FROM feedstore_entry WHERE ctid = ANY(ARRAY(
        SELECT entry.ctid FROM unnest(:timelines::bigint[], :ids::bytea[]) AS given(timeline, id)
        CROSS JOIN LATERAL (
            SELECT held.ctid FROM feedstore_entry AS held
            WHERE held.timeline_id = given.timeline AND held.activity_id = given.id LIMIT 1
        ) AS entry
    )) RETURNING timeline_id
)
SELECT timeline_id, count(*) FROM gone GROUP BY timeline_id;

-- name: no_compiler
-- Plan the rest of this transaction without the just-in-time compiler. The next two read whole timelines, which looks
-- expensive enough to the planner to compile it.
SET LOCAL jit = off;

-- name: payloads_beyond
-- Return the payloads that more than a number of a timeline's entries have.
SELECT these.id, counted.data FROM unnest(:timelines::bigint[]) AS these(id)
CROSS JOIN LATERAL (
    SELECT entry.data FROM feedstore_entry AS entry
    WHERE entry.timeline_id = these.id AND entry.data IS NOT NULL
    GROUP BY entry.data HAVING count(*) > :most::bigint
) AS counted;

-- name: drop_same
-- Delete all entries of a timeline with a payload except the newest ones. Return the deleted entries.
DELETE FROM feedstore_entry WHERE ctid = ANY(ARRAY(
    SELECT surplus.ctid FROM unnest(:timelines::bigint[], :data::bytea[]) AS wanted(timeline, data)
    CROSS JOIN LATERAL (
        SELECT same.ctid FROM feedstore_entry AS same
        WHERE same.timeline_id = wanted.timeline AND same.data = wanted.data
        ORDER BY same.activity_id DESC OFFSET :newest::bigint
    ) AS surplus
)) RETURNING timeline_id, activity_id;

-- name: set_lengths
-- Set the lengths of timelines.
UPDATE feedstore_timeline SET length = these.length
FROM unnest(:timelines::bigint[], :lengths::integer[]) AS these(id, length) WHERE feedstore_timeline.id = these.id;

-- name: drop_oldest
-- Set the lengths of timelines, and delete the surplus of oldest entries of each. Return the deleted entries if they are
-- wanted. The largest surplus is a parameter of its own: the planner takes a limit that differs by row for a tenth of the
-- timeline, and compiles the statement, which takes a second.
WITH these AS (
    SELECT * FROM unnest(:timelines::bigint[], :lengths::integer[], :surplus::bigint[]) AS these(id, length, surplus)
),
doomed AS MATERIALIZED (
    SELECT these.id, these.length, oldest.activity_id, oldest.ctid, oldest.number = these.surplus AS is_last
    FROM these CROSS JOIN LATERAL (
        SELECT entry.activity_id, entry.ctid, row_number() OVER (ORDER BY entry.activity_id) AS number
        FROM feedstore_entry AS entry WHERE entry.timeline_id = these.id
        ORDER BY entry.activity_id LIMIT :largest::bigint
    ) AS oldest WHERE oldest.number <= these.surplus
),
dropped AS (DELETE FROM feedstore_entry WHERE ctid = ANY(ARRAY(SELECT ctid FROM doomed))),
resized AS (
    UPDATE feedstore_timeline
    SET length = doomed.length, newest_dropped = greatest(newest_dropped, doomed.activity_id)
    FROM doomed WHERE feedstore_timeline.id = doomed.id AND doomed.is_last
)
SELECT id, activity_id FROM doomed WHERE :wanted::boolean;

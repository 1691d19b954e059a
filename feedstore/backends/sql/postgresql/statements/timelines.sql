-- The statements that write timelines on PostgreSQL. Sets of timelines, keys and ids are arrays, so that one statement
-- serves any number of them.
--
-- A row is looked up by a lateral subquery with LIMIT 1 for each element of an array: the planner then uses the index for
-- each. Without the limit it may begin at the other end if its statistics know nothing of a new namespace or timeline:
-- to remove 20,000 activities then took 25 seconds.
--
-- "ctid" is the place of a row in its table. It does not change as long as the header of the row's timeline is locked.

-- name: headers
-- Lock the headers of the keys that exist. Every writer locks headers in the order of their ids, so that two writers
-- never wait for each other in a circle. The statements after this one see all rows committed before it had the locks.
SELECT id, length FROM feedstore_timeline
WHERE id = ANY(ARRAY(
    SELECT found.id FROM unnest(:keys::bytea[]) AS wanted(key)
    CROSS JOIN LATERAL (
        SELECT header.id FROM feedstore_timeline AS header
        WHERE header.namespace_id = (SELECT id FROM feedstore_namespace WHERE name = :namespace::varchar)
        AND header.key = wanted.key LIMIT 1
    ) AS found
))
ORDER BY id FOR UPDATE;

-- name: keyed_headers
-- Do the same as "headers", and return the keys too.
SELECT key, id, length FROM feedstore_timeline
WHERE id = ANY(ARRAY(
    SELECT found.id FROM unnest(:keys::bytea[]) AS wanted(key)
    CROSS JOIN LATERAL (
        SELECT header.id FROM feedstore_timeline AS header
        WHERE header.namespace_id = (SELECT id FROM feedstore_namespace WHERE name = :namespace::varchar)
        AND header.key = wanted.key LIMIT 1
    ) AS found
))
ORDER BY id FOR UPDATE;

-- name: create_headers
-- Insert the headers of the keys that have none. A concurrent writer may insert the same ones.
INSERT INTO feedstore_timeline (namespace_id, key)
SELECT (SELECT id FROM feedstore_namespace WHERE name = :namespace::varchar), wanted.key
FROM unnest(:keys::bytea[]) AS wanted(key)
LEFT JOIN LATERAL (
    SELECT header.id FROM feedstore_timeline AS header
    WHERE header.namespace_id = (SELECT id FROM feedstore_namespace WHERE name = :namespace::varchar)
    AND header.key = wanted.key LIMIT 1
) AS found ON true
WHERE found.id IS NULL
ORDER BY wanted.key
ON CONFLICT DO NOTHING;

-- name: some_headers
-- Return the ids of some timelines of a namespace, in the order of the index on the keys. In the order of the ids, the
-- headers of all other namespaces would be read too.
SELECT id FROM feedstore_timeline
WHERE namespace_id = (SELECT id FROM feedstore_namespace WHERE name = :namespace::varchar)
ORDER BY key LIMIT :limit::bigint OFFSET 0;

-- name: lock_timelines
-- Lock the headers of timelines, in the order of all writers. Deleted timelines are left out.
SELECT id FROM feedstore_timeline WHERE id = ANY(:timelines::bigint[]) ORDER BY id FOR UPDATE;

-- name: lengthen
-- Add a number, which may be negative, to the lengths of timelines.
UPDATE feedstore_timeline SET length = length + :more::integer WHERE id = ANY(:timelines::bigint[]);

-- name: shorten
-- Set the lengths of timelines, and raise their floors to the entry at a position, counted from 0 at the oldest.
UPDATE feedstore_timeline
SET length = :new_length::integer,
    newest_dropped = greatest(newest_dropped, (
        SELECT oldest.activity_id FROM feedstore_entry AS oldest
        WHERE oldest.timeline_id = feedstore_timeline.id
        ORDER BY oldest.activity_id LIMIT 1 OFFSET :position::bigint
    ))
WHERE id = ANY(:timelines::bigint[]);

-- name: drop_oldest
-- Delete the oldest entries of each timeline, the same number from each.
DELETE FROM feedstore_entry WHERE ctid = ANY(ARRAY(
    SELECT surplus.ctid FROM unnest(:timelines::bigint[]) AS these(id)
    CROSS JOIN LATERAL (
        SELECT oldest.ctid FROM feedstore_entry AS oldest
        WHERE oldest.timeline_id = these.id
        ORDER BY oldest.activity_id LIMIT :surplus::bigint OFFSET 0
    ) AS surplus
));

-- name: drop_few
-- Do the work of "shorten" and "drop_oldest" with one look-up of the oldest entries. Measured: for one entry of each of
-- 1,000 timelines it takes 0.9 of the time of the two statements, for 25 entries of each 1.07.
WITH doomed AS (
    SELECT these.id, surplus.activity_id, surplus.ctid, surplus.number
    FROM unnest(:timelines::bigint[]) AS these(id)
    CROSS JOIN LATERAL (
        SELECT oldest.activity_id, oldest.ctid, row_number() OVER (ORDER BY oldest.activity_id) AS number
        FROM feedstore_entry AS oldest
        WHERE oldest.timeline_id = these.id
        ORDER BY oldest.activity_id LIMIT :surplus::bigint OFFSET 0
    ) AS surplus
),
dropped AS (DELETE FROM feedstore_entry WHERE ctid = ANY(ARRAY(SELECT doomed.ctid FROM doomed)))
UPDATE feedstore_timeline
SET length = :new_length::integer, newest_dropped = greatest(newest_dropped, doomed.activity_id)
FROM doomed WHERE feedstore_timeline.id = doomed.id AND doomed.number = :surplus::bigint;

-- name: insert_rows
-- Insert every given entry, with its payload, into every timeline. Return each timeline that held some of the entries
-- before, and how many. If all "rows" are new, nothing is counted by timeline, which takes a fifth of the time.
WITH inserted AS (
    INSERT INTO feedstore_entry (timeline_id, activity_id, data)
    SELECT these.id, given.id, given.data
    FROM unnest(:timelines::bigint[]) AS these(id), unnest(:ids::bytea[], :data::bytea[]) AS given(id, data)
    ON CONFLICT DO NOTHING RETURNING timeline_id
)
SELECT these.id, :entries::bigint - coalesce(counted.entries, 0)
FROM unnest(:timelines::bigint[]) AS these(id)
LEFT JOIN (SELECT timeline_id, count(*) AS entries FROM inserted GROUP BY timeline_id) AS counted
    ON counted.timeline_id = these.id
WHERE (SELECT count(*) FROM inserted) < :rows::bigint AND coalesce(counted.entries, 0) < :entries::bigint;

-- name: insert_ids
-- Do the same as "insert_rows" for entries without payloads.
WITH inserted AS (
    INSERT INTO feedstore_entry (timeline_id, activity_id, data)
    SELECT these.id, given.id, NULL
    FROM unnest(:timelines::bigint[]) AS these(id), unnest(:ids::bytea[]) AS given(id)
    ON CONFLICT DO NOTHING RETURNING timeline_id
)
SELECT these.id, :entries::bigint - coalesce(counted.entries, 0)
FROM unnest(:timelines::bigint[]) AS these(id)
LEFT JOIN (SELECT timeline_id, count(*) AS entries FROM inserted GROUP BY timeline_id) AS counted
    ON counted.timeline_id = these.id
WHERE (SELECT count(*) FROM inserted) < :rows::bigint AND coalesce(counted.entries, 0) < :entries::bigint;

-- name: replace_rows
-- Set the payloads of the given entries in every timeline that holds them with other payloads.
UPDATE feedstore_entry SET data = changed.data FROM (
    SELECT entry.ctid, given.data
    FROM unnest(:timelines::bigint[]) AS these(id)
    CROSS JOIN unnest(:ids::bytea[], :data::bytea[]) AS given(id, data)
    CROSS JOIN LATERAL (
        SELECT held.ctid FROM feedstore_entry AS held
        WHERE held.timeline_id = these.id AND held.activity_id = given.id
        AND held.data IS DISTINCT FROM given.data LIMIT 1
    ) AS entry
) AS changed WHERE feedstore_entry.ctid = changed.ctid;

-- name: remove_data
-- Remove the payloads of the given entries in every timeline.
UPDATE feedstore_entry SET data = NULL WHERE ctid = ANY(ARRAY(
    SELECT entry.ctid FROM unnest(:timelines::bigint[]) AS these(id)
    CROSS JOIN unnest(:ids::bytea[]) AS given(id)
    CROSS JOIN LATERAL (
        SELECT held.ctid FROM feedstore_entry AS held
        WHERE held.timeline_id = these.id AND held.activity_id = given.id AND held.data IS NOT NULL LIMIT 1
    ) AS entry
));

-- name: delete_ids
-- Delete the given entries from every timeline. Return how many each timeline lost.
WITH gone AS (
    DELETE FROM feedstore_entry WHERE ctid = ANY(ARRAY(
        SELECT entry.ctid FROM unnest(:timelines::bigint[]) AS these(id)
        CROSS JOIN unnest(:ids::bytea[]) AS given(id)
        CROSS JOIN LATERAL (
            SELECT held.ctid FROM feedstore_entry AS held
            WHERE held.timeline_id = these.id AND held.activity_id = given.id LIMIT 1
        ) AS entry
    )) RETURNING timeline_id
)
SELECT timeline_id, count(*) FROM gone GROUP BY timeline_id;

-- name: delete_all
-- Delete all entries of timelines.
DELETE FROM feedstore_entry WHERE timeline_id = ANY(:timelines::bigint[]);

-- name: delete_headers
-- Delete the headers of timelines.
DELETE FROM feedstore_timeline WHERE id = ANY(:timelines::bigint[]);

-- name: contained
-- Return the given ids that a timeline holds.
SELECT entry.activity_id FROM unnest(:ids::bytea[]) AS given(id)
CROSS JOIN LATERAL (
    SELECT held.activity_id FROM feedstore_entry AS held
    WHERE held.timeline_id = (
        SELECT header.id FROM feedstore_timeline AS header
        WHERE header.namespace_id = (SELECT id FROM feedstore_namespace WHERE name = :namespace::varchar)
        AND header.key = :key::bytea
    )
    AND held.activity_id = given.id LIMIT 1
) AS entry;

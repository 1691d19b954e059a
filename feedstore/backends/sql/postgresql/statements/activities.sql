-- The statements on activities that PostgreSQL does in its own way. Sets of ids and data are arrays.
--
-- Rows are locked in the order of their ids, so that two writers of the same activities never wait for each other in a
-- circle. A lateral subquery with LIMIT 1 makes the planner look each id up by the index.

-- name: insert
-- Insert activities whose ids are new.
INSERT INTO feedstore_activity (namespace_id, activity_id, data)
SELECT (SELECT id FROM feedstore_namespace WHERE name = :namespace::varchar), given.id, given.data
FROM unnest(:ids::bytea[], :data::bytea[]) AS given(id, data)
ORDER BY given.id
ON CONFLICT DO NOTHING;

-- name: replace
-- Set the data of stored activities whose data is different. Both columns of the last condition come from the locked
-- rows: a condition on the namespace alone would let the planner begin with the whole namespace.
UPDATE feedstore_activity SET data = to_replace.data FROM (
    SELECT locked.namespace_id, locked.activity_id, given.data
    FROM unnest(:ids::bytea[], :data::bytea[]) AS given(id, data)
    CROSS JOIN LATERAL (
        SELECT kept.namespace_id, kept.activity_id FROM feedstore_activity AS kept
        WHERE kept.namespace_id = (SELECT id FROM feedstore_namespace WHERE name = :namespace::varchar)
        AND kept.activity_id = given.id AND kept.data IS DISTINCT FROM given.data
        LIMIT 1 FOR UPDATE
    ) AS locked
) AS to_replace
WHERE feedstore_activity.namespace_id = to_replace.namespace_id
AND feedstore_activity.activity_id = to_replace.activity_id;

-- name: remove
-- Delete activities.
DELETE FROM feedstore_activity USING (
    SELECT locked.namespace_id, locked.activity_id FROM unnest(:ids::bytea[]) AS given(id)
    CROSS JOIN LATERAL (
        SELECT kept.namespace_id, kept.activity_id FROM feedstore_activity AS kept
        WHERE kept.namespace_id = (SELECT id FROM feedstore_namespace WHERE name = :namespace::varchar)
        AND kept.activity_id = given.id
        LIMIT 1 FOR UPDATE
    ) AS locked
) AS to_remove
WHERE feedstore_activity.namespace_id = to_remove.namespace_id
AND feedstore_activity.activity_id = to_remove.activity_id;

-- name: find
-- Return the stored activities of the given ids.
SELECT found.activity_id, found.data FROM unnest(:ids::bytea[]) AS given(id)
CROSS JOIN LATERAL (
    SELECT kept.activity_id, kept.data FROM feedstore_activity AS kept
    WHERE kept.namespace_id = (SELECT id FROM feedstore_namespace WHERE name = :namespace::varchar)
    AND kept.activity_id = given.id LIMIT 1
) AS found;

-- name: find_one
-- Return one activity. Planning "find" takes longer than this statement takes as a whole.
SELECT activity_id, data FROM feedstore_activity
WHERE namespace_id = (SELECT id FROM feedstore_namespace WHERE name = :namespace::varchar)
AND activity_id = :id::bytea;

-- The statements on messages that PostgreSQL does in its own way, each of which is one round trip.
--
-- Times are seconds since 1970 by the server's clock.

-- name: insert
-- Insert messages after a position, visible to every consumer.
INSERT INTO feedstore_message (queue_id, position, visible_at, delivery, data)
SELECT :queue::bigint, given.number + :before::bigint, 0.0, 0, given.data
FROM unnest(:messages::bytea[]) WITH ORDINALITY AS given(data, number);

-- name: append
-- Add messages at the end of a queue, create its header if there is none, and notify its consumers at the commit. If the
-- messages do not fit, nothing is done and no row is returned. The header is one row, which each message is joined to.
WITH header AS (
    INSERT INTO feedstore_queue (namespace_id, name, length, last_position)
    VALUES (
        (SELECT id FROM feedstore_namespace WHERE name = :namespace::varchar),
        :name::bytea, :count::integer, :count::bigint
    )
    ON CONFLICT (namespace_id, name) DO UPDATE
    SET length = feedstore_queue.length + excluded.length,
        last_position = feedstore_queue.last_position + excluded.last_position
    WHERE feedstore_queue.length + excluded.length <= :most::bigint
    RETURNING id, last_position
),
added AS (
    INSERT INTO feedstore_message (queue_id, position, visible_at, delivery, data)
    SELECT header.id, header.last_position - :count::bigint + given.number, 0.0, 0, given.data
    FROM header CROSS JOIN unnest(:messages::bytea[]) WITH ORDINALITY AS given(data, number)
)
SELECT pg_notify(:channel::text, :payload::text) FROM header;

-- name: receive
-- Hide the oldest visible messages and return them. Rows that another consumer is receiving are locked and skipped. The
-- queue's id is a scalar subquery: with a join the planner reads and sorts all messages, and of 10,000 messages a receive
-- and an ack take 6.3 ms instead of 0.4.
WITH chosen AS (
    SELECT queue_id, position FROM feedstore_message
    WHERE queue_id = (
        SELECT header.id FROM feedstore_queue AS header
        WHERE header.namespace_id = (SELECT id FROM feedstore_namespace WHERE name = :namespace::varchar)
        AND header.name = :name::bytea
    )
    AND visible_at <= extract(epoch FROM statement_timestamp())::double precision
    ORDER BY position LIMIT :limit::bigint
    FOR UPDATE OF feedstore_message SKIP LOCKED
)
UPDATE feedstore_message
SET visible_at = extract(epoch FROM statement_timestamp())::double precision + :hidden::double precision,
    delivery = delivery + 1
FROM chosen
WHERE feedstore_message.queue_id = chosen.queue_id AND feedstore_message.position = chosen.position
RETURNING feedstore_message.queue_id, feedstore_message.position, feedstore_message.delivery, feedstore_message.data;

-- name: remove
-- Delete a message if its last delivery is the given one, and count it in the header.
WITH removed AS (
    DELETE FROM feedstore_message
    WHERE queue_id = :queue::bigint AND position = :place::bigint AND delivery = :last::integer
    AND queue_id = (
        SELECT header.id FROM feedstore_queue AS header
        WHERE header.namespace_id = (SELECT id FROM feedstore_namespace WHERE name = :namespace::varchar)
        AND header.name = :name::bytea
    )
    RETURNING queue_id
)
UPDATE feedstore_queue SET length = length - 1 FROM removed WHERE feedstore_queue.id = removed.queue_id;

-- name: now
-- Return the server's time.
SELECT extract(epoch FROM statement_timestamp())::double precision;

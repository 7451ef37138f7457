-- Purpose: follower `temporal` from log index $1 to $2, and what the facts between them changed of processes. One statement, so
-- all or nothing; moves nothing (and answers 0) if another leader was faster.
-- Locks: the follower's row, the processes named. Isolation: READ COMMITTED.
-- $3 json: [{id, kind, stream, opened, closed, due, signalled, startedBy, correlationId, at}]
WITH moved AS (
  INSERT INTO store.followers (name, log_index) SELECT 'temporal', $2::bigint WHERE $1::bigint = -1
  ON CONFLICT (name) DO UPDATE SET log_index = excluded.log_index WHERE store.followers.log_index = $1::bigint
  RETURNING log_index
), moved_on AS (
  UPDATE store.followers SET log_index = $2::bigint
   WHERE name = 'temporal' AND log_index = $1::bigint AND $1::bigint <> -1
  RETURNING log_index
), changed AS (
  SELECT c.* FROM json_to_recordset($3::json) AS c(id text, kind text, stream text, opened boolean, closed boolean,
    due bigint, signalled bigint, "startedBy" uuid, "correlationId" text, at timestamptz)
   WHERE EXISTS (SELECT FROM moved UNION ALL SELECT FROM moved_on)
), opened AS (
  INSERT INTO ops.processes
    (id, kind, stream, state, due_version, rung_version, started_by, correlation_id, opened_at, closed_at)
  SELECT id, kind, stream, CASE WHEN closed THEN 'closed' ELSE 'open' END, due, signalled, "startedBy", "correlationId", at,
         CASE WHEN closed THEN at END
    FROM changed WHERE opened
  ON CONFLICT (id) DO NOTHING
), touched AS (
  UPDATE ops.processes p
     SET state = CASE WHEN c.closed THEN 'closed' ELSE p.state END,
         closed_at = CASE WHEN c.closed THEN coalesce(p.closed_at, c.at) ELSE p.closed_at END,
         due_version = greatest(p.due_version, c.due),
         rung_version = greatest(p.rung_version, c.signalled)
    FROM changed c WHERE p.id = c.id AND NOT c.opened
)
SELECT (SELECT count(*) FROM moved)::int + (SELECT count(*) FROM moved_on)::int AS moved

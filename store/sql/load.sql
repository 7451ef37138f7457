-- Purpose: all that a decision needs, in one snapshot: the streams, the first outcome of the command if it is known, the time.
-- $1 streams text[], distinct; $2 command id or null; $3 command hash or null; $4 beside $1, under which key a fold's snapshot is kept
-- text[], null where none is wanted; $5 log index up to which facts and snapshots are read, or null.
-- Locks none; any isolation. One row at least: the clock. part 0: events of the command, without data. part 1: snapshots, with their
-- state in data; holds: the log has their fact. part 2: the facts after it, and the first one.
WITH asked AS MATERIALIZED (
  SELECT a.stream_id, s.*, CASE WHEN s.holds THEN s.version ELSE 0 END AS since
    FROM unnest($1::text[], $4::text[]) AS a(stream_id, fold)
    LEFT JOIN LATERAL (
      SELECT s.fold, s.version, s.event_id, s.state, s.checksum, e.position IS NOT NULL AS holds
        FROM ops.stream_snapshots s
        -- The LIMITs keep a generic plan from reading the whole stream here.
        LEFT JOIN LATERAL (
          SELECT e.position FROM store.events e
           WHERE e.stream_id = s.stream_id AND e.stream_version = s.version AND e.event_id = s.event_id LIMIT 1
        ) e ON true
       WHERE s.stream_id = a.stream_id AND s.fold = a.fold
         AND ($5::bigint IS NULL OR (SELECT l.log_index FROM store.log l WHERE l.position = e.position LIMIT 1) <= $5)
       ORDER BY s.version DESC LIMIT 1
    ) s ON true
)
SELECT c.now, r.*
  FROM (SELECT clock_timestamp() AS now) c
  LEFT JOIN (
    SELECT 0 AS part, e.command_hash IS NOT DISTINCT FROM $3::bytea AS same_request, false AS holds, NULL AS fold, NULL AS checksum,
           e.event_id, e.stream_id, e.stream_version, e.type, e.schema_version, e.machine, e.actor_kind, e.actor_id,
           e.command_id, e.command_seq, e.correlation_id, e.causation_id, e.recorded_at, NULL AS data,
           NULL::bigint AS log_index, NULL::timestamptz AS sequenced_at
      FROM store.events f
      JOIN store.events e ON e.era = f.era AND e.xid = f.xid AND e.command_id = f.command_id
     WHERE f.command_id = $2 AND f.command_seq = 1
    UNION ALL
    SELECT 1, NULL, a.holds, a.fold, a.checksum,
           a.event_id, a.stream_id, a.version, NULL, NULL, NULL, NULL, NULL,
           NULL, NULL, NULL, NULL, NULL, a.state,
           NULL, NULL
      FROM asked a
     WHERE a.version IS NOT NULL
    UNION ALL
    SELECT 2, NULL, NULL, NULL, NULL,
           e.event_id, e.stream_id, e.stream_version, e.type, e.schema_version, e.machine, e.actor_kind, e.actor_id,
           e.command_id, e.command_seq, e.correlation_id, e.causation_id, e.recorded_at, e.data::text,
           l.log_index, l.sequenced_at
      FROM asked a
      CROSS JOIN LATERAL (
        SELECT * FROM store.events e WHERE e.stream_id = a.stream_id AND e.stream_version > a.since
        UNION ALL
        SELECT * FROM store.events e WHERE e.stream_id = a.stream_id AND e.stream_version = 1 AND a.since > 0
      ) e
      LEFT JOIN store.log l ON l.position = e.position
     WHERE $5::bigint IS NULL OR l.log_index <= $5
  ) r ON true
 ORDER BY r.part, CASE r.part WHEN 0 THEN r.command_seq END, r.stream_id, r.stream_version

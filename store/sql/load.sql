-- Purpose: all that a decision needs, in one snapshot: the streams, the first outcome of the command if it is known, the time.
-- $1 streams text[], $2 command id or null, $3 command hash or null. Locks none; any isolation.
-- One row at least: the clock. of_command rows come first and carry no data.
SELECT c.now, r.*
  FROM (SELECT clock_timestamp() AS now) c
  LEFT JOIN (
    SELECT true AS of_command, e.command_hash IS NOT DISTINCT FROM $3::bytea AS same_request,
           e.event_id, e.stream_id, e.stream_version, e.type, e.schema_version, e.machine, e.actor_kind, e.actor_id,
           e.command_id, e.command_seq, e.correlation_id, e.causation_id, e.recorded_at, NULL AS data,
           NULL::bigint AS log_index, NULL::timestamptz AS sequenced_at
      FROM store.events f
      JOIN store.events e ON e.era = f.era AND e.xid = f.xid AND e.command_id = f.command_id
     WHERE f.command_id = $2 AND f.command_seq = 1
    UNION ALL
    SELECT false, NULL,
           e.event_id, e.stream_id, e.stream_version, e.type, e.schema_version, e.machine, e.actor_kind, e.actor_id,
           e.command_id, e.command_seq, e.correlation_id, e.causation_id, e.recorded_at, e.data::text,
           l.log_index, l.sequenced_at
      FROM store.events e
      LEFT JOIN store.log l ON l.position = e.position
     WHERE e.stream_id = ANY ($1::text[])
  ) r ON true
 ORDER BY r.of_command DESC, r.command_seq * r.of_command::int, r.stream_id, r.stream_version

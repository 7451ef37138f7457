-- Purpose: the next facts that are safe to place. $1 era, $2 last xid, $3 last position, $4 limit. Autocommit: takes no xid.
-- Every transaction below xmin has ended, so nothing can still appear behind the cursor. One statement is one snapshot.
-- Filter and sort share one key: sorting by position alone loses a fact whose transaction began earlier.
SELECT e.xid::text AS xid, e.position, e.event_id, e.stream_id, e.stream_version, e.type, e.schema_version, e.machine,
       e.actor_kind, e.actor_id, e.command_id, e.command_seq, e.correlation_id, e.causation_id, e.recorded_at,
       e.data::text AS data, statement_timestamp()::timestamptz(3) AS read_at
  FROM store.events e
 WHERE e.era = $1::smallint AND (e.xid, e.position) > ($2::xid8, $3::bigint)
   AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
 ORDER BY e.xid, e.position
 LIMIT $4

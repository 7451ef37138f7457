-- Purpose: for how many seconds the oldest fact has waited for its place; no row where none waits. Locks none.
-- One row of events_commit_order, however long the log is and however many wait.
SELECT extract(epoch FROM clock_timestamp() - w.recorded_at)::float8 AS seconds
  FROM store.sequencer s
 CROSS JOIN LATERAL (SELECT e.recorded_at FROM store.events e
                      WHERE e.era = s.era AND (e.xid, e.position) > (s.last_xid, s.last_position)
                      ORDER BY e.era, e.xid, e.position
                      LIMIT 1) w

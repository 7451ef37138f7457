-- Purpose: whether facts wait beyond the horizon. It runs after every batch, and every 5 ms while a transaction holds the log back.
-- The first row in the order of events_commit_order, and not EXISTS: a generic plan for EXISTS expects a third of the table, and scans it.
SELECT (SELECT e.position FROM store.events e
         WHERE e.era = $1::smallint AND (e.xid, e.position) > ($2::xid8, $3::bigint)
         ORDER BY e.era, e.xid, e.position
         LIMIT 1) IS NOT NULL AS is_waiting

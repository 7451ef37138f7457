-- Purpose: versions that were rolled back of the model whose version streams begin with $1 (`version-<model id>`), up to log index $2
-- (null: all). Locks none; any isolation. Index: events_rolled_back_versions.
SELECT split_part(e.stream_id, '@', 2) AS version
  FROM store.events e LEFT JOIN store.log l ON l.position = e.position
 WHERE e.type = 'VersionRolledBack' AND split_part(e.stream_id, '@', 1) = $1 AND ($2::bigint IS NULL OR l.log_index <= $2)

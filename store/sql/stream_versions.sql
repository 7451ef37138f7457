-- Purpose: the version of the last fact of each stream of $1. Locks none. One index step for each stream.
SELECT s.stream_id, e.stream_version
  FROM unnest($1::text[]) AS s (stream_id)
 CROSS JOIN LATERAL (SELECT stream_version FROM store.events WHERE stream_id = s.stream_id ORDER BY stream_version DESC LIMIT 1) e

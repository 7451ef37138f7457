-- Purpose: how long nobody has reported of the model of the rollout with stream $1, and the longest such silence of the last 7 days, both in
-- milliseconds; the second to a minute, at least one, and null where nothing is known. Locks: none. Isolation: any.
WITH pulse AS MATERIALIZED (
  SELECT p.minute, max(p.last_at) AS last_at FROM ops.report_pulse p
   WHERE p.model_id = (SELECT e.data ->> 'model_id' FROM store.events e WHERE e.stream_id = $1 AND e.stream_version = 1)
     AND p.minute > clock_timestamp() - interval '7 days'
   GROUP BY p.minute)
SELECT coalesce((extract(epoch FROM clock_timestamp() - (SELECT max(last_at) FROM pulse)) * 1000)::bigint, 0) AS silent_ms,
       (SELECT (extract(epoch FROM max(g.gap)) * 1000)::bigint
          FROM (SELECT minute - lag(minute) OVER (ORDER BY minute) AS gap FROM pulse) g) AS longest_gap_ms

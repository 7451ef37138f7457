-- Purpose: what devices on version $2 of model $1 reported in the last 7 days, by platform: whether predictions and labels, and how long
-- predictions took, by bucket. Taken from the sessions of at most $3 of the devices that were told the version; their ids are hashes, so the
-- first ones are any. One snapshot. Locks: none.
WITH sample AS MATERIALIZED (
  SELECT device_id FROM ops.device_told WHERE model_id = $1 AND version = $2 ORDER BY device_id LIMIT $3
), sent AS MATERIALIZED (
  SELECT d.platform, s.predictions_ok + s.predictions_failed AS predictions, s.labelled_total, s.latency
    FROM sample CROSS JOIN LATERAL (SELECT * FROM ops.report_session r
      WHERE r.device_id = sample.device_id AND r.model_id = $1 AND r.version = $2 AND r.reported_at > clock_timestamp() - interval '7 days') s
    LEFT JOIN ops.devices d ON d.id = sample.device_id)
SELECT s.platform, bool_or(s.predictions > 0) AS predictions, bool_or(s.labelled_total > 0) AS labelled,
       coalesce((SELECT json_object_agg(b.bucket, b.n) FROM (
         SELECT l.key AS bucket, sum(l.value::bigint) AS n FROM sent o, jsonb_each_text(o.latency) l
          WHERE o.platform IS NOT DISTINCT FROM s.platform GROUP BY l.key) b), '{}') AS latency
  FROM sent s GROUP BY s.platform

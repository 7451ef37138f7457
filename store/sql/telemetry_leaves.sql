-- Purpose: totals of rollout $1, per stage ($2, or all where it is null), arm and leaf; shards added up. One snapshot.
-- Locks: none. Isolation: any.
SELECT c.stage, c.arm, c.platform, c.os_major,
       sum(c.devices)::bigint AS devices, sum(c.predictions)::bigint AS predictions, sum(c.errors)::bigint AS errors,
       sum(c.downloads)::bigint AS downloads, sum(c.download_failures)::bigint AS download_failures,
       coalesce((SELECT jsonb_object_agg(b.bucket, b.n) FROM (
         SELECT l.bucket, sum(l.n)::bigint AS n FROM ops.telemetry_latency l
          WHERE l.rollout_id = $1 AND l.stage = c.stage AND l.arm = c.arm AND l.platform = c.platform
            AND l.os_major = c.os_major
          GROUP BY l.bucket) b), '{}') AS latency
  FROM ops.telemetry_counter c
 WHERE c.rollout_id = $1 AND ($2::int IS NULL OR c.stage = $2)
 GROUP BY c.stage, c.arm, c.platform, c.os_major
 ORDER BY c.stage, c.arm, c.platform, c.os_major

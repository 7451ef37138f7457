-- Purpose: devices of organisation $1 that were seen in the last 7 days, by what they say of themselves, counted on the first $2 of its
-- devices; `share` is the share of all ids that these cover, 1 where they are all. Ids are hashes, so they are any. One snapshot. Locks: none.
WITH sample AS MATERIALIZED (
  SELECT id, platform, os_version, app_version, attributes ->> 'region' AS region, last_seen_at
    FROM ops.devices WHERE org_id = $1 ORDER BY id LIMIT $2
), covered AS (
  SELECT CASE WHEN count(*) < $2 THEN 1::float8
              ELSE (('x' || left(max(id::text), 8))::bit(32)::bigint + 1) / 4294967296.0::float8 END AS share FROM sample)
SELECT s.platform, s.os_version, s.app_version, s.region, count(*) AS devices, min(c.share) AS share
  FROM sample s, covered c WHERE s.last_seen_at > clock_timestamp() - interval '7 days'
 GROUP BY 1, 2, 3, 4

-- Purpose: windows of rollout $1, stage $2, evidence stage $3 by metric and segment of $5 ('' is everyone): how many opened and ended, bad ones
-- of canary and control and Σ θ in millionths, and the same of everyone outside the segment. A quarter hour counts opened windows for metrics
-- in $4 and ended ones for the others; its share is rounded half up, as tallyOf does (domain/rollout/verdict/strata.ts). Shards added up. One
-- snapshot. Locks: none. Isolation: any.
WITH cells AS MATERIALIZED (
  SELECT c.metric, c.segment, c.stratum, sum(c.opened_canary) AS opened_canary, sum(c.opened_control) AS opened_control,
         sum(c.ended_canary) AS ended_canary, sum(c.ended_control) AS ended_control,
         CASE WHEN c.metric = ANY ($4::text[]) THEN sum(c.opened_canary) ELSE sum(c.ended_canary) END AS canary,
         CASE WHEN c.metric = ANY ($4::text[]) THEN sum(c.opened_control) ELSE sum(c.ended_control) END AS control,
         sum(c.bad_canary) AS x, sum(c.bad_control) AS y
    FROM ops.evidence_count c
   WHERE c.rollout_id = $1 AND c.stage = $2 AND c.evidence_stage = $3 AND c.segment = ANY ($5::text[] || ARRAY[''])
   GROUP BY c.metric, c.segment, c.stratum
), tallies AS (
  SELECT metric, segment, sum(opened_canary)::bigint AS opened_canary, sum(opened_control)::bigint AS opened_control,
         sum(ended_canary)::bigint AS ended_canary, sum(ended_control)::bigint AS ended_control, sum(x)::bigint AS x, sum(y)::bigint AS y,
         coalesce(sum((x + y) * ((2000000 * canary + canary + control) / (2 * (canary + control)))) FILTER (WHERE x + y > 0), 0)::bigint AS theta
    FROM cells GROUP BY metric, segment
   -- A segment without a bad window of canary says nothing against it.
   HAVING segment = '' OR sum(x) > 0
), rests AS (
  SELECT metric, segment, sum(x)::bigint AS x, sum(y)::bigint AS y,
         coalesce(sum((x + y) * ((2000000 * canary + canary + control) / (2 * (canary + control)))) FILTER (WHERE x + y > 0), 0)::bigint AS theta
    FROM (SELECT t.metric, t.segment, w.canary - coalesce(p.canary, 0) AS canary, w.control - coalesce(p.control, 0) AS control,
                 w.x - coalesce(p.x, 0) AS x, w.y - coalesce(p.y, 0) AS y
            FROM tallies t JOIN cells w ON w.metric = t.metric AND w.segment = ''
            LEFT JOIN cells p ON p.metric = t.metric AND p.segment = t.segment AND p.stratum = w.stratum
           WHERE t.segment <> '') outside
   GROUP BY metric, segment)
SELECT t.metric, t.segment, t.opened_canary, t.opened_control, t.ended_canary, t.ended_control, t.x, t.y, t.theta,
       r.x AS rest_x, r.y AS rest_y, r.theta AS rest_theta
  FROM tallies t LEFT JOIN rests r ON r.metric = t.metric AND r.segment = t.segment

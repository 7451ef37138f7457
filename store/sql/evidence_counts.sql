-- Purpose: windows of rollout $1, stage $2, evidence stage $3 by metric and segment of $5 ('' is everyone): how many opened and ended, bad ones
-- of canary and control, Σ θ in millionths, and what Σ θ of everyone grows by where the segment is left out. A quarter hour counts opened windows
-- for metrics in $4 and ended ones for the others; its share is rounded half up, as tallyOf does (domain/rollout/verdict/strata.ts). Shards
-- added up. One snapshot, sorted and grouped without a join, since nobody knows the size of a sum. Locks: none. Isolation: any.
WITH cells AS (
  SELECT c.metric, c.segment, c.stratum, sum(c.opened_canary) AS opened_canary, sum(c.opened_control) AS opened_control,
         sum(c.ended_canary) AS ended_canary, sum(c.ended_control) AS ended_control,
         CASE WHEN c.metric = ANY ($4::text[]) THEN sum(c.opened_canary) ELSE sum(c.ended_canary) END AS canary,
         CASE WHEN c.metric = ANY ($4::text[]) THEN sum(c.opened_control) ELSE sum(c.ended_control) END AS control,
         sum(c.bad_canary) AS x, sum(c.bad_control) AS y
    FROM ops.evidence_count c
   WHERE c.rollout_id = $1 AND c.stage = $2 AND c.evidence_stage = $3 AND c.segment = ANY ($5::text[] || ARRAY[''])
   GROUP BY c.metric, c.segment, c.stratum
), beside AS (
  -- Everyone of the quarter hour comes first.
  SELECT c.*, first_value(c.canary) OVER w AS all_canary, first_value(c.control) OVER w AS all_control, first_value(c.x + c.y) OVER w AS all_bad
    FROM cells c WINDOW w AS (PARTITION BY c.metric, c.stratum ORDER BY c.segment)
)
SELECT b.metric, b.segment, sum(b.opened_canary)::bigint AS opened_canary, sum(b.opened_control)::bigint AS opened_control,
       sum(b.ended_canary)::bigint AS ended_canary, sum(b.ended_control)::bigint AS ended_control,
       sum(b.x)::bigint AS x, sum(b.y)::bigint AS y, sum(own.theta)::bigint AS theta, sum(rest.theta - whole.theta)::bigint AS rest_grows
  FROM beside b,
       LATERAL (SELECT CASE WHEN b.x + b.y > 0
         THEN (b.x + b.y) * ((2000000 * b.canary + b.canary + b.control) / (2 * (b.canary + b.control))) ELSE 0 END AS theta) own,
       LATERAL (SELECT CASE WHEN b.all_bad > 0
         THEN b.all_bad * ((2000000 * b.all_canary + b.all_canary + b.all_control) / (2 * (b.all_canary + b.all_control))) ELSE 0 END AS theta) whole,
       LATERAL (SELECT b.all_canary - b.canary AS canary, b.all_control - b.control AS control, b.all_bad - b.x - b.y AS bad) apart,
       LATERAL (SELECT CASE WHEN apart.bad > 0
         THEN apart.bad * ((2000000 * apart.canary + apart.canary + apart.control) / (2 * (apart.canary + apart.control))) ELSE 0 END AS theta) rest
 GROUP BY b.metric, b.segment
-- A segment without a bad window of canary says nothing against it.
HAVING b.segment = '' OR sum(b.x) > 0
 ORDER BY b.metric, b.segment COLLATE "C"

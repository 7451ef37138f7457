-- Purpose: windows of rollout $1, stage $2, evidence stage $3 by metric and segment ('' is everyone): how many opened and ended, and the quarter
-- hours as [stratum, canary, control, x, y]. A quarter hour counts opened windows for metrics in $4 and ended ones for the others. $5: only these
-- segments, and everyone. Shards added up. One snapshot. Locks: none. Isolation: any.
WITH sums AS (
  SELECT c.metric, c.segment, c.stratum, sum(c.opened_canary) AS opened_canary, sum(c.opened_control) AS opened_control,
         sum(c.ended_canary) AS ended_canary, sum(c.ended_control) AS ended_control, sum(c.bad_canary) AS x, sum(c.bad_control) AS y
    FROM ops.evidence_count c
   WHERE c.rollout_id = $1 AND c.stage = $2 AND c.evidence_stage = $3
     AND c.segment = ANY ($5::text[] || ARRAY[''])
   GROUP BY c.metric, c.segment, c.stratum
), tests AS (
  SELECT metric, segment, sum(opened_canary) AS opened_canary, sum(opened_control) AS opened_control, sum(ended_canary) AS ended_canary,
         sum(ended_control) AS ended_control,
         json_agg(CASE WHEN metric = ANY ($4::text[]) THEN json_build_array(stratum, opened_canary, opened_control, x, y)
                       ELSE json_build_array(stratum, ended_canary, ended_control, x, y) END) AS strata
    FROM sums GROUP BY metric, segment
   -- A segment without a bad window of canary says nothing against it.
   HAVING segment = '' OR sum(x) > 0)
SELECT coalesce(json_agg(json_build_object('metric', metric, 'segment', segment, 'opened', json_build_array(opened_canary, opened_control),
         'ended', json_build_array(ended_canary, ended_control), 'strata', strata)), '[]') AS tests
  FROM tests

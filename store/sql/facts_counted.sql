-- Purpose: how many facts entered the log after $1, up to $2, by what the metrics tell apart. Locks none.
-- One index step for each of the asked places, however long the log is; of `data`, only that of judgements and rollbacks is read.
SELECT split_part(e.stream_id, '-', 1) AS stream, e.type, count(*)::int AS facts,
       CASE e.type WHEN 'HealthJudged' THEN e.data ->> 'verdict' WHEN 'RolloutRolledBack' THEN e.data ->> 'trigger' END AS word
  FROM (SELECT position FROM store.log WHERE log_index > $1 AND log_index <= $2 ORDER BY log_index LIMIT 2000) l
 CROSS JOIN LATERAL (SELECT stream_id, type, data FROM store.events WHERE position = l.position OFFSET 0) e
 GROUP BY 1, 2, 4

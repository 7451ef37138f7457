-- Purpose: the rollouts of model $1, newest first, with the facts that say whether each is live. Locks none; any isolation.
-- A hint for the use cases, which fold the stream they pick. Index: events_rollouts_of_model.
SELECT substr(c.stream_id, 9)::bigint AS rollout_id,
       c.data ->> 'version' AS version,
       ARRAY(SELECT e.type FROM store.events e
              WHERE e.stream_id = c.stream_id
                AND e.type IN ('RolloutStarted', 'RolloutCompleted', 'RolloutAborted', 'RolloutRolledBack')) AS marks
  FROM store.events c
 WHERE c.type = 'RolloutCreated' AND c.data ->> 'model_id' = $1
 ORDER BY rollout_id DESC

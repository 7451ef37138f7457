-- Purpose: all that the admission of task $1 needs, in one snapshot: task, round, run key, the device's accepted update, clock.
-- Locks none; after the run's advisory lock it sees all that earlier accepts did.
SELECT t.task_id, t.device_id, t.lease, t.expires_at, t.state AS task_state, t.detail, k.key AS run_key, to_jsonb(r) AS round,
       u.task_id = t.task_id AS own_update, u.update_sha, u.weight, u.samples, u.accepted_at, clock_timestamp() AS now
  FROM ops.training_task t
  JOIN ops.training_round r USING (round_id)
  LEFT JOIN ops.training_run_key k ON k.run_id = r.run_id
  LEFT JOIN ops.training_update u ON u.round_id = t.round_id AND u.device_id = t.device_id
 WHERE t.task_id = $1

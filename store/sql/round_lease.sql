-- Purpose: device $2 gets a task of round $1 (id $3, lease $4), or the live one it has. Autocommit.
-- Two check-ins of one device at once: the second finds the first's task. Rows locked: the round's counter, for this statement.
WITH open AS (
  SELECT round_id, hard_deadline FROM ops.training_round
   WHERE round_id = $1 AND state = 'open' AND hard_deadline > clock_timestamp() AND accepted < room
     AND NOT EXISTS (SELECT 1 FROM ops.training_update u WHERE u.round_id = $1 AND u.device_id = $2)
), task AS (
  INSERT INTO ops.training_task (task_id, round_id, device_id, lease, expires_at)
  SELECT $3, round_id, $2, $4, hard_deadline FROM open
  ON CONFLICT (round_id, device_id) WHERE state = 'leased' DO UPDATE SET device_id = excluded.device_id
  RETURNING task_id, lease, expires_at
), leased AS (
  UPDATE ops.training_round SET leased = leased + 1
   WHERE round_id = $1 AND EXISTS (SELECT 1 FROM task WHERE task_id = $3)
)
SELECT task_id, lease, expires_at FROM task

-- Purpose: an accepted update becomes durable: the update, its task, the round's counters and, where it closes, its state.
-- After the append of the closing fact, in its transaction, under the run's advisory lock. READ COMMITTED.
-- $1 round, $2 task, $3 device, $4 update, $5 pseudonym, $6 weight, $7 samples, $8 norm, $9 max_abs, $10 bytes, $11 metrics,
-- $12 counted (0 or 1), $13 cause of the close or null.
WITH task AS (
  UPDATE ops.training_task SET state = 'accepted' WHERE task_id = $2 AND state = 'leased' RETURNING task_id
), inserted AS (
  INSERT INTO ops.training_update
    (round_id, device_id, task_id, update_sha, pseudonym, weight, samples, norm, max_abs, bytes, metrics)
  SELECT $1, $3, task_id, $4, $5, $6::bigint, $7::bigint, $8, $9, $10::bigint, $11 FROM task
  RETURNING accepted_at
), counted AS (
  UPDATE ops.training_round
     SET accepted = accepted + 1, counted = counted + $12::int, weight_sum = weight_sum + $6::bigint,
         bytes_up = bytes_up + $10::bigint,
         state = CASE WHEN $13::text IS NULL THEN state ELSE 'closed' END, cause = coalesce($13::text, cause)
   WHERE round_id = $1 AND EXISTS (SELECT 1 FROM inserted)
)
SELECT accepted_at FROM inserted

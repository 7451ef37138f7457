-- Purpose: sums of reports stop at a bound. A device that reports 2^40 and 0 in turn has begun again each time, and took its sum past
-- 2^53, where no reader can tell it any more and no verdict can be made. A row of 2^40 is beyond any stage of an honest fleet, and
-- 512 leaves of 16 shards that are all full still add up within 2^53. An arm that is full shows it: its rates say little.
-- Runs as edgeml_owner. Locks: rows above the bound; a report waits for them. CREATE OR REPLACE keeps the function's grants.

UPDATE ops.telemetry_counter
   SET predictions = least(1::bigint << 40, predictions), errors = least(1::bigint << 40, errors),
       downloads = least(1::bigint << 40, downloads), download_failures = least(1::bigint << 40, download_failures)
 WHERE greatest(predictions, errors, downloads, download_failures) > 1::bigint << 40;
UPDATE ops.telemetry_latency SET n = 1::bigint << 40 WHERE n > 1::bigint << 40;

-- Counts one report, all or nothing: the device's row and the counters move together. Answers 'duplicate' for a sequence number
-- that is not above the last one; 'restarted' where a number fell although the sequence rose: the device began at zero again, so
-- all that it reports is new; else 'counted'. NULL downloads or latency: not reported, as before. NULL rollout: no counters.
-- Every sum of a row stops at 2^40 (most).
-- Locks, always in this order: the report's row, device_model's, the stage's device, the counter. Isolation: READ COMMITTED.
CREATE OR REPLACE FUNCTION ops.record_report(
  p_device uuid, p_model text, p_version text, p_seq bigint,
  p_ok bigint, p_failed bigint, p_downloads_ok bigint, p_downloads_failed bigint, p_latency jsonb,
  p_rollout bigint, p_stage int, p_arm text, p_platform text, p_os_major text
) RETURNS text LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  before ops.telemetry_report%ROWTYPE;
  has_restarted boolean;
  is_new int := 0;
  most CONSTANT bigint := 1::bigint << 40;
  v_shard smallint := get_byte(uuid_send(p_device), 0) & 15;
BEGIN
  SELECT * INTO before FROM ops.telemetry_report
   WHERE device_id = p_device AND model_id = p_model AND version = p_version FOR UPDATE;
  IF NOT FOUND THEN
    INSERT INTO ops.telemetry_report (device_id, model_id, version) VALUES (p_device, p_model, p_version)
    ON CONFLICT DO NOTHING;
    SELECT * INTO STRICT before FROM ops.telemetry_report
     WHERE device_id = p_device AND model_id = p_model AND version = p_version FOR UPDATE;
  END IF;
  IF p_seq <= before.seq THEN
    RETURN 'duplicate';
  END IF;

  has_restarted := p_ok < before.predictions_ok OR p_failed < before.predictions_failed
    OR coalesce(p_downloads_ok < before.downloads_ok, false)
    OR coalesce(p_downloads_failed < before.downloads_failed, false)
    OR p_latency IS NOT NULL AND EXISTS (
      SELECT FROM jsonb_each_text(before.latency) b WHERE coalesce((p_latency ->> b.key)::bigint, 0) < b.value::bigint);
  IF has_restarted THEN
    before.predictions_ok := 0;
    before.predictions_failed := 0;
    before.downloads_ok := 0;
    before.downloads_failed := 0;
    before.latency := '{}';
  END IF;

  UPDATE ops.telemetry_report
     SET seq = p_seq, predictions_ok = p_ok, predictions_failed = p_failed,
         downloads_ok = coalesce(p_downloads_ok, before.downloads_ok),
         downloads_failed = coalesce(p_downloads_failed, before.downloads_failed),
         latency = coalesce(p_latency, before.latency), reported_at = clock_timestamp()
   WHERE device_id = p_device AND model_id = p_model AND version = p_version;

  INSERT INTO ops.device_model AS m (device_id, model_id, reported_version, reported_at)
  VALUES (p_device, p_model, p_version, clock_timestamp())
  ON CONFLICT (device_id, model_id) DO UPDATE
    SET reported_version = excluded.reported_version, reported_at = excluded.reported_at;

  IF p_rollout IS NOT NULL THEN
    -- A device counts once it predicted in the stage: one that only downloaded, or died on loading, says nothing of the model.
    IF p_ok + p_failed > before.predictions_ok + before.predictions_failed THEN
      INSERT INTO ops.telemetry_stage_device (rollout_id, stage, device_id, arm)
      VALUES (p_rollout, p_stage, p_device, p_arm) ON CONFLICT DO NOTHING;
      GET DIAGNOSTICS is_new = ROW_COUNT;
    END IF;

    INSERT INTO ops.telemetry_counter AS c (rollout_id, stage, arm, platform, os_major, shard,
      devices, predictions, errors, downloads, download_failures)
    VALUES (p_rollout, p_stage, p_arm, p_platform, p_os_major, v_shard, is_new,
      least(most, p_ok + p_failed - before.predictions_ok - before.predictions_failed),
      least(most, p_failed - before.predictions_failed),
      least(most, coalesce(p_downloads_ok, before.downloads_ok) - before.downloads_ok
        + coalesce(p_downloads_failed, before.downloads_failed) - before.downloads_failed),
      least(most, coalesce(p_downloads_failed, before.downloads_failed) - before.downloads_failed))
    ON CONFLICT (rollout_id, stage, arm, platform, os_major, shard) DO UPDATE
      SET devices = c.devices + excluded.devices, predictions = least(most, c.predictions + excluded.predictions),
          errors = least(most, c.errors + excluded.errors), downloads = least(most, c.downloads + excluded.downloads),
          download_failures = least(most, c.download_failures + excluded.download_failures);

    INSERT INTO ops.telemetry_latency AS l (rollout_id, stage, arm, platform, os_major, shard, bucket, n)
    SELECT p_rollout, p_stage, p_arm, p_platform, p_os_major, v_shard, sent.key::int,
           least(most, sent.value::bigint - coalesce((before.latency ->> sent.key)::bigint, 0))
      FROM jsonb_each_text(coalesce(p_latency, '{}')) sent
     WHERE sent.value::bigint > coalesce((before.latency ->> sent.key)::bigint, 0)
    ON CONFLICT (rollout_id, stage, arm, platform, os_major, shard, bucket) DO UPDATE SET n = least(most, l.n + excluded.n);
  END IF;
  RETURN CASE WHEN has_restarted THEN 'restarted' ELSE 'counted' END;
END $$;

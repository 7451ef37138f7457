-- Purpose: devices and what they report: rows and integer counters, never facts. rollout.md 4.4, spine.md 6.
-- Runs as edgeml_owner. Locks: none that matter, the tables are new. No foreign keys: a report must not lock its device's row.

CREATE TABLE ops.devices (
  id uuid PRIMARY KEY,                                    -- UUIDv5 of (org, identifier): registering again is the same row
  org_id text NOT NULL,
  identifier text NOT NULL,
  platform text,
  os_version text,
  app_version text,
  sdk_version text,
  attributes jsonb NOT NULL DEFAULT '{}',                 -- whatever else was sent
  registered_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  updated_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  -- No UNIQUE (org_id, identifier): the id says it already, and a second unique index makes a raced ON CONFLICT (id) throw.
  last_seen_at timestamptz(3) NOT NULL DEFAULT clock_timestamp()
);

-- What a device was last told and last said, of one model.
CREATE TABLE ops.device_model (
  device_id uuid NOT NULL,
  model_id text NOT NULL,
  told_version text,
  told_at timestamptz(3),
  reported_version text,
  reported_at timestamptz(3),
  PRIMARY KEY (device_id, model_id)
);

-- Every version a device was ever told: who must come back after a rollback.
CREATE TABLE ops.device_told (
  model_id text NOT NULL,
  version text NOT NULL,
  device_id uuid NOT NULL,
  first_told_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (model_id, version, device_id)
);

-- The last report of (device, model, version): cumulative, so that the next one gives a difference.
CREATE TABLE ops.telemetry_report (
  device_id uuid NOT NULL,
  model_id text NOT NULL,
  version text NOT NULL,
  seq bigint NOT NULL DEFAULT 0,
  predictions_ok bigint NOT NULL DEFAULT 0,
  predictions_failed bigint NOT NULL DEFAULT 0,
  downloads_ok bigint NOT NULL DEFAULT 0,
  downloads_failed bigint NOT NULL DEFAULT 0,
  latency jsonb NOT NULL DEFAULT '{}',                    -- predictions per bucket of domain/rollout/latency.ts
  reported_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (device_id, model_id, version)
);

-- A device counts once in a stage, in the arm in which it reported first.
CREATE TABLE ops.telemetry_stage_device (
  rollout_id bigint NOT NULL,
  stage int NOT NULL,
  device_id uuid NOT NULL,
  arm text NOT NULL CHECK (arm IN ('canary', 'control')),
  PRIMARY KEY (rollout_id, stage, device_id)
);

-- Totals of a leaf (platform, os_major) of an arm in a stage. Sixteen shards, by device, so that reports rarely wait for
-- each other; readers add them up. The counter's row lock also guards its rows of telemetry_latency.
CREATE TABLE ops.telemetry_counter (
  rollout_id bigint NOT NULL,
  stage int NOT NULL,
  arm text NOT NULL CHECK (arm IN ('canary', 'control')),
  platform text NOT NULL,
  os_major text NOT NULL,
  shard smallint NOT NULL CHECK (shard BETWEEN 0 AND 15),
  devices bigint NOT NULL DEFAULT 0,
  predictions bigint NOT NULL DEFAULT 0,
  errors bigint NOT NULL DEFAULT 0,
  downloads bigint NOT NULL DEFAULT 0,
  download_failures bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (rollout_id, stage, arm, platform, os_major, shard)
);
CREATE TABLE ops.telemetry_latency (
  rollout_id bigint NOT NULL,
  stage int NOT NULL,
  arm text NOT NULL,
  platform text NOT NULL,
  os_major text NOT NULL,
  shard smallint NOT NULL,
  bucket int NOT NULL,
  n bigint NOT NULL,
  PRIMARY KEY (rollout_id, stage, arm, platform, os_major, shard, bucket)
);

-- Counts one report, all or nothing: the device's row and the counters move together. Answers 'duplicate' for a sequence number
-- that is not above the last one; 'restarted' where a number fell although the sequence rose: the device began at zero again, so
-- all that it reports is new; else 'counted'. NULL downloads or latency: not reported, as before. NULL rollout: no counters.
-- Locks, always in this order: the report's row, device_model's, the stage's device, the counter. Isolation: READ COMMITTED.
CREATE FUNCTION ops.record_report(
  p_device uuid, p_model text, p_version text, p_seq bigint,
  p_ok bigint, p_failed bigint, p_downloads_ok bigint, p_downloads_failed bigint, p_latency jsonb,
  p_rollout bigint, p_stage int, p_arm text, p_platform text, p_os_major text
) RETURNS text LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  before ops.telemetry_report%ROWTYPE;
  has_restarted boolean;
  is_new int := 0;
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
      p_ok + p_failed - before.predictions_ok - before.predictions_failed,
      p_failed - before.predictions_failed,
      coalesce(p_downloads_ok, before.downloads_ok) - before.downloads_ok
        + coalesce(p_downloads_failed, before.downloads_failed) - before.downloads_failed,
      coalesce(p_downloads_failed, before.downloads_failed) - before.downloads_failed)
    ON CONFLICT (rollout_id, stage, arm, platform, os_major, shard) DO UPDATE
      SET devices = c.devices + excluded.devices, predictions = c.predictions + excluded.predictions,
          errors = c.errors + excluded.errors, downloads = c.downloads + excluded.downloads,
          download_failures = c.download_failures + excluded.download_failures;

    INSERT INTO ops.telemetry_latency AS l (rollout_id, stage, arm, platform, os_major, shard, bucket, n)
    SELECT p_rollout, p_stage, p_arm, p_platform, p_os_major, v_shard, sent.key::int,
           sent.value::bigint - coalesce((before.latency ->> sent.key)::bigint, 0)
      FROM jsonb_each_text(coalesce(p_latency, '{}')) sent
     WHERE sent.value::bigint > coalesce((before.latency ->> sent.key)::bigint, 0)
    ON CONFLICT (rollout_id, stage, arm, platform, os_major, shard, bucket) DO UPDATE SET n = l.n + excluded.n;
  END IF;
  RETURN CASE WHEN has_restarted THEN 'restarted' ELSE 'counted' END;
END $$;

REVOKE EXECUTE ON FUNCTION ops.record_report FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ops.record_report TO edgeml_app;

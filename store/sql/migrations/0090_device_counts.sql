-- Purpose: how many devices were told a version, how many of them have ever reported it, and how many say it now, kept as they change: a
-- scan of ten million devices took seconds a question. docs/design/rollout.md "Reports and counters".
-- Runs as edgeml_owner. Locks: rows of devices while it counts those that are there; reports and told marks wait for it.

-- Sixteen shards, by device, so that batches rarely wait for each other; readers add them up. Only the triggers below write them.
CREATE TABLE ops.version_told (
  model_id text NOT NULL,
  version text NOT NULL,
  shard smallint NOT NULL CHECK (shard BETWEEN 0 AND 15),
  told bigint NOT NULL DEFAULT 0,
  reported bigint NOT NULL DEFAULT 0,                     -- of those that were told: how many have ever reported it
  PRIMARY KEY (model_id, version, shard)
) WITH (fillfactor = 50);
CREATE TABLE ops.version_active (
  model_id text NOT NULL,
  version text NOT NULL,
  shard smallint NOT NULL CHECK (shard BETWEEN 0 AND 15),
  active bigint NOT NULL DEFAULT 0,                       -- of those that were told: how many reported it last
  PRIMARY KEY (model_id, version, shard)
) WITH (fillfactor = 50);

ALTER TABLE ops.device_told ADD COLUMN reported_at timestamptz(3); -- first report of the version, if there was one
UPDATE ops.device_told t SET reported_at = r.reported_at FROM ops.telemetry_report r
 WHERE r.device_id = t.device_id AND r.model_id = t.model_id AND r.version = t.version;

CREATE FUNCTION ops.shard_of(device uuid) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN (get_byte(uuid_send(device), 0) & 15)::smallint;
REVOKE EXECUTE ON FUNCTION ops.shard_of FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ops.shard_of TO edgeml_app;

INSERT INTO ops.version_told (model_id, version, shard, told, reported)
SELECT model_id, version, ops.shard_of(device_id), count(*), count(reported_at) FROM ops.device_told GROUP BY 1, 2, 3;
INSERT INTO ops.version_active (model_id, version, shard, active)
SELECT t.model_id, t.version, ops.shard_of(t.device_id), count(*)
  FROM ops.device_told t JOIN ops.device_model m USING (device_id, model_id)
 WHERE m.reported_version = t.version GROUP BY 1, 2, 3;

-- Locks of every writer, always in this order: rows of device_model by (device, model), their rows of device_told, version_told by its
-- key, version_active by its key; one statement of each kind a transaction. The row of device_model stands for all that is kept of the
-- device and model, so a told mark and a report of one device never miss each other.
CREATE FUNCTION ops.count_told() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO ops.version_told AS c (model_id, version, shard, told, reported)
  SELECT model_id, version, ops.shard_of(device_id), count(*), count(reported_at)
    FROM news GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
  ON CONFLICT (model_id, version, shard) DO UPDATE
    SET told = c.told + excluded.told, reported = c.reported + excluded.reported;
  -- A new mark has a report only where that is the device's last word (record_told).
  INSERT INTO ops.version_active AS c (model_id, version, shard, active)
  SELECT model_id, version, ops.shard_of(device_id), count(*)
    FROM news WHERE reported_at IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
  ON CONFLICT (model_id, version, shard) DO UPDATE SET active = c.active + excluded.active;
  RETURN NULL;
END $$;
CREATE FUNCTION ops.count_first_reports() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO ops.version_told AS c (model_id, version, shard, reported)
  SELECT n.model_id, n.version, ops.shard_of(n.device_id), count(*)
    FROM news n JOIN olds o USING (model_id, version, device_id)
   WHERE o.reported_at IS NULL AND n.reported_at IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
  ON CONFLICT (model_id, version, shard) DO UPDATE SET reported = c.reported + excluded.reported;
  RETURN NULL;
END $$;
-- A device that was told nothing of the model has no row to update, and no mark to count.
CREATE FUNCTION ops.count_last_words() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM news n JOIN olds o USING (device_id, model_id)
                  WHERE n.reported_version IS DISTINCT FROM o.reported_version) THEN
    RETURN NULL;
  END IF;
  UPDATE ops.device_told t SET reported_at = n.reported_at
    FROM news n JOIN olds o USING (device_id, model_id)
   WHERE n.reported_version IS DISTINCT FROM o.reported_version AND t.reported_at IS NULL
     AND t.model_id = n.model_id AND t.version = n.reported_version AND t.device_id = n.device_id;
  INSERT INTO ops.version_active AS c (model_id, version, shard, active)
  SELECT t.model_id, t.version, ops.shard_of(t.device_id), sum(moved.n)
    FROM news n JOIN olds o USING (device_id, model_id)
    CROSS JOIN LATERAL (VALUES (n.reported_version, 1), (o.reported_version, -1)) AS moved (version, n)
    JOIN ops.device_told t ON t.model_id = n.model_id AND t.version = moved.version AND t.device_id = n.device_id
   WHERE n.reported_version IS DISTINCT FROM o.reported_version
   GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
  ON CONFLICT (model_id, version, shard) DO UPDATE SET active = c.active + excluded.active;
  RETURN NULL;
END $$;
CREATE TRIGGER told_counted AFTER INSERT ON ops.device_told REFERENCING NEW TABLE AS news
  FOR EACH STATEMENT EXECUTE FUNCTION ops.count_told();
CREATE TRIGGER first_reports_counted AFTER UPDATE ON ops.device_told REFERENCING NEW TABLE AS news OLD TABLE AS olds
  FOR EACH STATEMENT EXECUTE FUNCTION ops.count_first_reports();
CREATE TRIGGER last_words_counted AFTER UPDATE ON ops.device_model REFERENCING NEW TABLE AS news OLD TABLE AS olds
  FOR EACH STATEMENT EXECUTE FUNCTION ops.count_last_words();

-- Notes what devices were told: mark i is that device $1[i] was told version $3[i] of model $2[i] at $4[i]. The latest of a device and
-- model stays; a version that was told once stays told. Idempotent. Isolation: READ COMMITTED.
CREATE FUNCTION ops.record_told(p_devices uuid[], p_models text[], p_versions text[], p_at timestamptz[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  -- Locks each row also where it stays as it is.
  INSERT INTO ops.device_model AS m (device_id, model_id, told_version, told_at)
  SELECT DISTINCT ON (1, 2) device_id, model_id, version, at
    FROM unnest(p_devices, p_models, p_versions, p_at) AS told (device_id, model_id, version, at)
   ORDER BY 1, 2, 4 DESC
  ON CONFLICT (device_id, model_id) DO UPDATE SET told_version = excluded.told_version, told_at = excluded.told_at
    WHERE m.told_at IS NULL OR (m.told_at <= excluded.told_at AND m.told_version IS DISTINCT FROM excluded.told_version);
  INSERT INTO ops.device_told (model_id, version, device_id, first_told_at, reported_at)
  SELECT DISTINCT ON (1, 2, 3) told.model_id, told.version, told.device_id, told.at, m.reported_at
    FROM unnest(p_devices, p_models, p_versions, p_at) AS told (device_id, model_id, version, at)
    LEFT JOIN ops.device_model m
      ON m.device_id = told.device_id AND m.model_id = told.model_id AND m.reported_version = told.version
   ORDER BY 1, 2, 3, 4
  ON CONFLICT DO NOTHING;
END $$;
REVOKE EXECUTE ON FUNCTION ops.record_told FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ops.record_told TO edgeml_app;

-- Which keys were revoked lately: every server looks twice a second.
CREATE INDEX api_keys_revoked ON ops.api_keys (revoked_at) WHERE revoked_at IS NOT NULL;

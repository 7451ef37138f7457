-- Purpose: device $1 was told version $3 of model $2. Autocommit; a repeat of the last answer writes nothing and takes no
-- transaction id, so asking every minute is free. Two at once for one device: the later one stays.
WITH news AS (
  SELECT WHERE NOT EXISTS (
    SELECT FROM ops.device_model WHERE device_id = $1::uuid AND model_id = $2 AND told_version = $3)
), told AS (
  INSERT INTO ops.device_told (model_id, version, device_id) SELECT $2, $3, $1::uuid FROM news ON CONFLICT DO NOTHING
)
INSERT INTO ops.device_model AS m (device_id, model_id, told_version, told_at)
SELECT $1::uuid, $2, $3, clock_timestamp() FROM news
ON CONFLICT (device_id, model_id) DO UPDATE SET told_version = excluded.told_version, told_at = excluded.told_at

-- Purpose: of the devices that were told version $2 of model $1, how many last reported it. Locks: none.
SELECT count(*)::int AS told, (count(*) FILTER (WHERE m.reported_version = $2))::int AS outstanding
  FROM ops.device_told t
  LEFT JOIN ops.device_model m ON m.device_id = t.device_id AND m.model_id = t.model_id
 WHERE t.model_id = $1 AND t.version = $2

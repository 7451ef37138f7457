-- Purpose: of the devices that were told version $2 of model $1, how many last reported it: sums of sixteen shards. Locks: none.
SELECT coalesce((SELECT sum(told) FROM ops.version_told WHERE model_id = $1 AND version = $2), 0)::bigint AS told,
       coalesce((SELECT sum(active) FROM ops.version_active WHERE model_id = $1 AND version = $2), 0)::bigint AS outstanding

-- Purpose: who operates the instance. The key of the bootstrap file was its admin before the role had a name.
UPDATE ops.api_keys SET roles = roles || ARRAY['instance']
 WHERE name = 'bootstrap' AND created_by = 'system' AND revoked_at IS NULL AND NOT roles @> ARRAY['instance'];

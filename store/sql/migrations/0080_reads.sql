-- Purpose: what a read asks for is found without reading what is beside it.
-- Locks: writers of store.events wait while its two indexes are made; both hold few rows, but the log is read through once each.

-- Parts of names (`projections/ddl.ts`). Trusted: who may create in the database may create it.
CREATE SCHEMA trigrams;
GRANT USAGE ON SCHEMA trigrams TO edgeml_app;
CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA trigrams;

-- rolled_back_versions.sql: which of a model's versions were rolled back.
CREATE INDEX events_rolled_back_versions ON store.events (split_part(stream_id, '@', 1)) WHERE type = 'VersionRolledBack';

-- rollouts_of_model.sql: where a rollout stands, whatever else its stream holds.
CREATE INDEX events_marks_of_rollouts ON store.events (stream_id, type)
  WHERE type IN ('RolloutStarted', 'RolloutCompleted', 'RolloutAborted', 'RolloutRolledBack');

CREATE INDEX api_keys_in_order ON ops.api_keys (org_id, created_at, id);
DROP INDEX ops.api_keys_org;

-- Purpose: organisations, and which blobs each may open. A blob is stored once however many have it; its hash alone opens nothing.
-- Locks: none beyond the new tables; the backfill reads the log once.
CREATE TABLE ops.orgs (
  id text PRIMARY KEY,
  name text NOT NULL,
  created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  created_by text NOT NULL
);

CREATE TABLE ops.blob_grants (
  org_id text NOT NULL,
  sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
  granted_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (org_id, sha256)
);

-- What the log names already is adopted by the organisation of its model. The text is searched, not parsed: a fact of before the
-- gate may hold what the JSON functions of Postgres refuse. Quotes inside a value are escaped, so no value can look like a member.
CREATE TEMP TABLE model_orgs ON COMMIT DROP AS
  SELECT substr(stream_id, 7) AS model_id, substring(data::text FROM '"org_id":"([^"\\]+)"') AS org_id
    FROM store.events WHERE type = 'ModelRegistered' AND stream_version = 1;

INSERT INTO ops.orgs (id, name, created_by)
  SELECT org_id, org_id, 'system' FROM ops.api_keys UNION SELECT org_id, org_id, 'system' FROM model_orgs
  ON CONFLICT DO NOTHING;

WITH runs AS (
  SELECT stream_id, substring(data::text FROM '"model_id":"([^"\\]+)"') AS model_id
    FROM store.events WHERE type = 'TrainingRequested'
), named AS (
  SELECT coalesce(r.model_id, split_part(substr(e.stream_id, 9), '@', 1)) AS model_id, found.sha[1] AS sha
    FROM store.events e LEFT JOIN runs r USING (stream_id),
         regexp_matches(e.data::text, '"(?:sha256|sha|set|[a-z_]+_sha)":"([0-9a-f]{64})"', 'g') found (sha)
   WHERE e.type IN ('ArtifactUploaded', 'VersionPublished', 'TrainingCompleted', 'TrainingRequested', 'RoundOpened',
     'RoundAggregated')
)
INSERT INTO ops.blob_grants (org_id, sha256)
  SELECT DISTINCT m.org_id, decode(n.sha, 'hex') FROM named n JOIN model_orgs m USING (model_id)
  UNION SELECT r.org_id, decode(u.update_sha, 'hex') FROM ops.training_update u JOIN ops.training_round r USING (round_id)
  ON CONFLICT DO NOTHING;

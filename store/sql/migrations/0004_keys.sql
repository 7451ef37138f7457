-- Purpose: API keys. Only the SHA-256 of a key is kept; keys are revoked, never deleted. interfaces.md 1.4.
CREATE TABLE ops.api_keys (
  sha256 bytea PRIMARY KEY CHECK (octet_length(sha256) = 32),
  id text NOT NULL UNIQUE CHECK (id ~ '^key_[0-9A-Za-z]+$'),
  name text NOT NULL,
  org_id text NOT NULL,
  roles text[] NOT NULL CHECK (cardinality(roles) > 0),
  last4 text NOT NULL,
  created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  created_by text NOT NULL,
  revoked_at timestamptz(3),
  last_used_at timestamptz(3)
);
CREATE INDEX api_keys_org ON ops.api_keys (org_id, created_at);

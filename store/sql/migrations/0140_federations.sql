-- Purpose: federations, which existing SDKs look up by name before they train. docs/design/http.md "Federations".
-- Locks: none beyond the new table.
CREATE TABLE ops.federations (
  id uuid PRIMARY KEY,                                    -- made of the organisation and the name, so each name has one row
  org_id text NOT NULL,
  name text NOT NULL,
  description text NOT NULL,
  created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  created_by text NOT NULL                                -- key id
);
CREATE INDEX federations_in_order ON ops.federations (org_id, created_at, id);

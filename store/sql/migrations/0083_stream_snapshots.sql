-- Purpose: folds of long streams, kept so that a command reads the facts after one instead of all. A cache beside the log: whoever
-- loses it, or finds a row damaged, folds from the first fact. `audit verify` never reads it.
-- Locks: none that matter, the table is new. Runs as edgeml_owner; the grants of schema ops apply.
CREATE TABLE ops.stream_snapshots (
  stream_id text NOT NULL,
  fold text NOT NULL,                                     -- the machine, and a digest of the code that folded
  version bigint NOT NULL,                                -- stream version of the last fact in it
  event_id uuid NOT NULL,                                 -- that fact: where the log holds another there, the row is void
  state text NOT NULL,                                    -- JSON of state value and context
  checksum text NOT NULL,                                 -- SHA-256 over all of the above, hex
  made_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (stream_id, fold, version)
);

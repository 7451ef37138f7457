-- Purpose: which long-running processes the log has open (temporal.md 1, "Relay"), and what people were told (spine.md 6).
-- Runs as edgeml_owner. Locks: none that matter, the tables are new.

-- Only the leader of relay/temporal.ts writes it. A cache: a fold of the log by domain/events/processes.ts.
CREATE TABLE ops.processes (
  id text PRIMARY KEY,                                    -- the Temporal workflow id
  kind text NOT NULL CHECK (kind IN ('training', 'publish', 'rollout', 'rollback')),
  stream text NOT NULL,                                   -- the stream whose facts ring it
  state text NOT NULL CHECK (state IN ('open', 'closed')),
  due_version bigint NOT NULL,                            -- last stream version that must be rung
  rung_version bigint NOT NULL,                           -- last stream version that Temporal took the ring of
  started_by uuid NOT NULL,                               -- the fact that opened it
  correlation_id text,
  opened_at timestamptz(3) NOT NULL,
  closed_at timestamptz(3),
  settled boolean NOT NULL DEFAULT false,                 -- closed, and Temporal has no live run of it
  CHECK ((state = 'closed') = (closed_at IS NOT NULL))
);
CREATE INDEX processes_open ON ops.processes (id) WHERE state = 'open';
CREATE INDEX processes_unsettled ON ops.processes (closed_at) WHERE state = 'closed' AND NOT settled;

CREATE TABLE ops.notices (
  event_id text COLLATE "C" PRIMARY KEY,                            -- the fact it tells of; `<fact>/<what>` where there are several
  audience text NOT NULL,
  text text NOT NULL,
  at timestamptz(3) NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX notices_at ON ops.notices (at);

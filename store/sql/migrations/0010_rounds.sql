-- Purpose: what devices do in federated rounds: rows, not facts. learning.md 7 and 8.3; spine.md 4.
-- A round's lifecycle is a fold of the log; `state` here moves in the transaction of the fact that moves it.
-- Writers hold the run's advisory lock (ops keys: two integers), taken before any stream's lock.

-- Pseudonyms in manifests are HMACs under this key. Deleting the row cuts the link to devices and leaves proofs valid.
CREATE TABLE ops.training_run_key (
  run_id text PRIMARY KEY,
  key bytea NOT NULL CHECK (octet_length(key) = 32),
  created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE ops.training_round (
  round_id text PRIMARY KEY,                               -- <run>.<round>.<attempt>
  run_id text NOT NULL,
  org_id text NOT NULL,
  model_id text NOT NULL,
  round int NOT NULL CHECK (round > 0),
  attempt int NOT NULL CHECK (attempt > 0),
  base_sha text NOT NULL,
  base_label text NOT NULL,
  goal int,                                                -- null: only deadline or hand
  min_updates int NOT NULL,
  room int NOT NULL,                                       -- most accepted updates
  max_norm double precision,
  grid_limit double precision NOT NULL,
  plan jsonb NOT NULL,                                     -- members of the run's spec that devices and admission need
  opened_at timestamptz(3) NOT NULL,                       -- the store's clock, as in RoundOpened
  deadline timestamptz(3) NOT NULL,
  hard_deadline timestamptz(3) NOT NULL,
  state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'closed', 'abandoned')),
  cause text,                                              -- of the close, or why it was abandoned
  leased int NOT NULL DEFAULT 0,
  aborted int NOT NULL DEFAULT 0,
  accepted int NOT NULL DEFAULT 0,
  counted int NOT NULL DEFAULT 0,
  weight_sum bigint NOT NULL DEFAULT 0,
  bytes_up bigint NOT NULL DEFAULT 0,
  UNIQUE (run_id, round, attempt)
);
CREATE INDEX training_round_open ON ops.training_round (org_id, opened_at) WHERE state = 'open';

CREATE TABLE ops.training_task (
  task_id uuid PRIMARY KEY,
  round_id text NOT NULL REFERENCES ops.training_round,
  device_id text NOT NULL,
  lease text NOT NULL,                                     -- random; the check-in answers it again
  expires_at timestamptz(3) NOT NULL,
  state text NOT NULL DEFAULT 'leased' CHECK (state IN ('leased', 'accepted', 'aborted', 'refused')),
  detail text,                                             -- the refusal's code, or the device's reason
  leased_at timestamptz(3) NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX training_task_live ON ops.training_task (round_id, device_id) WHERE state = 'leased';

CREATE TABLE ops.training_update (
  round_id text NOT NULL REFERENCES ops.training_round,
  device_id text NOT NULL,
  task_id uuid NOT NULL UNIQUE REFERENCES ops.training_task,
  update_sha text NOT NULL CHECK (update_sha ~ '^[0-9a-f]{64}$'),
  pseudonym bytea NOT NULL CHECK (octet_length(pseudonym) = 16),
  weight bigint NOT NULL CHECK (weight >= 0),
  samples bigint NOT NULL CHECK (samples >= 0),
  norm double precision NOT NULL,
  max_abs double precision NOT NULL,
  bytes bigint NOT NULL,
  metrics jsonb NOT NULL,
  accepted_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (round_id, device_id)                        -- one update a device and round
);

CREATE TABLE ops.training_refusal (
  round_id text NOT NULL REFERENCES ops.training_round,
  code text NOT NULL,
  n int NOT NULL DEFAULT 1,
  PRIMARY KEY (round_id, code)
);

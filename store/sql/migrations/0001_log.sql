-- Purpose: the event log, its order, and what follows it. event-log.md 1.1 and 1.2.
-- Runs as edgeml_owner. Locks: none that matter, the tables are new.
-- Nobody but the functions of 0002 and 0003 writes events, log and sequencer; triggers bind the owner as well.

-- Functions are executable by PUBLIC by default; for this owner they never are.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

GRANT USAGE ON SCHEMA store TO edgeml_app;
GRANT SELECT ON store.migrations TO edgeml_app;

CREATE TABLE store.events (
  position bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,  -- drawn at INSERT: names a row, is not an order
  era smallint NOT NULL DEFAULT 1,                                     -- rises when a restore makes xids incomparable
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  event_id uuid NOT NULL UNIQUE,
  stream_id text NOT NULL CHECK (stream_id ~ '^[a-z]+-\S+$' AND length(stream_id) <= 216),
  stream_version bigint NOT NULL CHECK (stream_version > 0),
  type text NOT NULL CHECK (type <> ''),
  schema_version smallint NOT NULL CHECK (schema_version > 0),
  machine text NOT NULL CHECK (machine <> ''),
  actor_kind text NOT NULL,
  actor_id text NOT NULL,                                              -- opaque; names live outside the log
  command_id text NOT NULL,
  command_seq int NOT NULL CHECK (command_seq > 0),
  command_hash bytea,
  correlation_id text,
  causation_id text,
  recorded_at timestamptz(3) NOT NULL,                                 -- database clock; 3 digits fit a JS Date
  data json NOT NULL CHECK (octet_length(data::text) <= 65536),        -- json keeps the bytes, and those are hashed
  UNIQUE (stream_id, stream_version),
  CONSTRAINT ledger_entry_fits CHECK (                                 -- an entry of the ledger stays below 4 KiB
    octet_length(type) + octet_length(machine) + octet_length(actor_id) + octet_length(command_id)
      + coalesce(octet_length(correlation_id), 0) + coalesce(octet_length(causation_id), 0) <= 2048)
);
CREATE UNIQUE INDEX events_commit_order ON store.events (era, xid, position);
CREATE UNIQUE INDEX events_command ON store.events (command_id) WHERE command_seq = 1;

-- No foreign key to events: it would lock event rows.
CREATE TABLE store.log (
  log_index bigint PRIMARY KEY CHECK (log_index >= 0),
  position bigint NOT NULL UNIQUE,
  leaf_hash bytea NOT NULL CHECK (octet_length(leaf_hash) = 32),
  sequenced_at timestamptz(3) NOT NULL
);
CREATE INDEX log_sequenced_at ON store.log (sequenced_at);             -- as_of by time; rises, so it costs little

CREATE TABLE store.sequencer (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  era smallint NOT NULL,
  last_xid xid8 NOT NULL,
  last_position bigint NOT NULL,
  next_index bigint NOT NULL,
  system_identifier bigint NOT NULL,
  database_oid oid NOT NULL
);
INSERT INTO store.sequencer (era, last_xid, last_position, next_index, system_identifier, database_oid)
SELECT 1, '0', 0, 0, c.system_identifier, d.oid
  FROM pg_control_system() c, pg_database d WHERE d.datname = current_database();

CREATE TABLE store.checkpoints (
  tree_size bigint PRIMARY KEY CHECK (tree_size > 0),
  root bytea NOT NULL CHECK (octet_length(root) = 32),
  note text,                                                           -- the signed note; null: unsigned
  created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE store.followers (
  name text PRIMARY KEY,
  log_index bigint NOT NULL CHECK (log_index >= -1),
  note jsonb
);

-- Integer rollout ids. Draw them in a statement of its own, before the append's transaction: nextval takes an xid.
CREATE SEQUENCE store.rollout_ids;

CREATE FUNCTION store.refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE '%.% is append-only: % is refused', tg_table_schema, tg_table_name, tg_op
    USING ERRCODE = '42501', HINT = 'Append a new fact that corrects the old one.';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON store.events
  FOR EACH STATEMENT EXECUTE FUNCTION store.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON store.log
  FOR EACH STATEMENT EXECUTE FUNCTION store.refuse_change();
-- ALWAYS: session_replication_role = replica does not switch them off.
ALTER TABLE store.events ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE store.log ENABLE ALWAYS TRIGGER append_only;
REVOKE EXECUTE ON FUNCTION store.refuse_change() FROM PUBLIC;

GRANT SELECT ON store.events, store.log, store.sequencer TO edgeml_app;
GRANT SELECT, INSERT ON store.checkpoints TO edgeml_app;
GRANT SELECT, INSERT, UPDATE ON store.followers TO edgeml_app;
GRANT USAGE ON SEQUENCE store.rollout_ids TO edgeml_app;

-- Operational tables: whatever the owner creates in ops is the app's to change.
CREATE SCHEMA ops;
GRANT USAGE ON SCHEMA ops TO edgeml_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA ops GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO edgeml_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA ops GRANT USAGE, SELECT ON SEQUENCES TO edgeml_app;

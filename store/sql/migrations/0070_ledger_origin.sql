-- Purpose: the name of this log, as its checkpoints carry it. A row per beginning: the second is what --accept-loss makes after facts
-- that had been published were lost.
-- Locks: none beyond the new table.
CREATE TABLE store.ledger (
  generation smallint PRIMARY KEY CHECK (generation > 0),
  origin text NOT NULL UNIQUE,
  begun_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  kept_size bigint NOT NULL CHECK (kept_size >= 0),    -- size up to which the log is that of the generation before
  lost_size bigint,                                    -- the checkpoint of the generation before that the log no longer had
  lost_root bytea CHECK (octet_length(lost_root) = 32)
);
INSERT INTO store.ledger (generation, origin, kept_size) VALUES (1, 'edgeml-lifecycle/' || gen_random_uuid() || '/log/1', 0);
GRANT SELECT ON store.ledger TO edgeml_app;

-- True: a file beside the blobs is due for it. Those of before have none.
ALTER TABLE store.checkpoints ADD COLUMN is_filed boolean NOT NULL DEFAULT false;

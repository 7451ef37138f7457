-- Purpose: reports have a session, and many of them share a commit. docs/design/rollout.md "Reports and counters".
-- Runs as edgeml_owner. Locks: ops.telemetry_report while its numbers are carried over; nothing else that matters. What was counted in
-- stages (telemetry_counter, telemetry_latency, telemetry_stage_device) stays as it is.

-- What a session of a device has reported of one model and version: cumulative, so that the next report gives a difference. A session
-- is known while it has any row, and its rows are forgotten together: then nothing of it can count a second time.
CREATE TABLE ops.report_session (
  device_id uuid NOT NULL,
  session text NOT NULL,                                  -- the device drew it when its process started
  model_id text NOT NULL,
  version text NOT NULL,
  seq bigint NOT NULL DEFAULT 0,                          -- the newest that was counted
  predictions_ok bigint NOT NULL DEFAULT 0,
  predictions_failed bigint NOT NULL DEFAULT 0,
  downloads_started bigint NOT NULL DEFAULT 0,
  downloads_ok bigint NOT NULL DEFAULT 0,
  downloads_failed bigint NOT NULL DEFAULT 0,
  loads_ok bigint NOT NULL DEFAULT 0,
  loads_failed bigint NOT NULL DEFAULT 0,
  crashes bigint NOT NULL DEFAULT 0,
  fallbacks bigint NOT NULL DEFAULT 0,
  labelled_correct bigint NOT NULL DEFAULT 0,
  labelled_total bigint NOT NULL DEFAULT 0,
  latency jsonb NOT NULL DEFAULT '{}',                    -- predictions per bucket of domain/rollout/latency.ts
  reported_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (device_id, session, model_id, version)
) WITH (fillfactor = 80);                                 -- room for the next report of the row beside it

-- All sessions of a device together, the forgotten ones too. It only grows; each number stops at 2^40.
CREATE TABLE ops.report_total (
  device_id uuid NOT NULL,
  model_id text NOT NULL,
  version text NOT NULL,
  predictions_ok bigint NOT NULL,
  predictions_failed bigint NOT NULL,
  downloads_started bigint NOT NULL,
  downloads_ok bigint NOT NULL,
  downloads_failed bigint NOT NULL,
  loads_ok bigint NOT NULL,
  loads_failed bigint NOT NULL,
  crashes bigint NOT NULL,
  fallbacks bigint NOT NULL,
  labelled_correct bigint NOT NULL,
  labelled_total bigint NOT NULL,
  reported_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (device_id, model_id, version)
) WITH (fillfactor = 80);

-- Before, a device had one count for ever, and a restart was guessed. Its last word is where its total begins.
INSERT INTO ops.report_total
SELECT device_id, model_id, version, least(1::bigint << 40, predictions_ok), least(1::bigint << 40, predictions_failed), 0,
       least(1::bigint << 40, downloads_ok), least(1::bigint << 40, downloads_failed), 0, 0, 0, 0, 0, 0, reported_at
  FROM ops.telemetry_report;
DROP FUNCTION ops.record_report;
DROP TABLE ops.telemetry_report;

-- One report of a batch: what it says (cumulative), or what it adds to its session's row.
CREATE TYPE ops.report_row AS (
  n int, device uuid, session text, model text, version text, seq bigint, acked bigint,
  rollout bigint, stage int, arm text, platform text, os_major text,
  predictions_ok bigint, predictions_failed bigint, downloads_started bigint, downloads_ok bigint, downloads_failed bigint,
  loads_ok bigint, loads_failed bigint, crashes bigint, fallbacks bigint, labelled_correct bigint, labelled_total bigint,
  latency jsonb, buckets int[], added bigint[],           -- latency as it was sent; the buckets that grew, and by how much
  outcome text, fell jsonb
);

-- Counts reports of many devices, each device at most once: all that count are durable together. Answers a row for each report whose
-- session is known, by its number `n`: 'counted'; 'duplicate' for a seq that is not above the newest of its session, model and version;
-- 'fell' where a number is below what the session reported before, with those members and by how much, and nothing of it counts.
-- A report without an answer is of a session that is unknown although it was answered (acked > 0): it was forgotten, and counts nothing.
-- Absent numbers: as before in the session. No rollout: only the device's own totals. Every sum of a row stops at 2^40 (`most`).
-- p_shard: where this caller adds up, so that servers rarely wait for each other; readers add the shards.
-- Locks, each kind in the order of its key, so that two callers never wait in a circle: new rows of sessions, rows of sessions, totals,
-- device_model with what its triggers count, devices of stages, counters, latencies. Isolation: READ COMMITTED; each statement sees what the locks waited for.
-- Every row is found by its key, whatever the statistics say of a young table.
CREATE FUNCTION ops.record_reports(p_reports json, p_shard smallint)
RETURNS TABLE (n int, outcome text, fell jsonb) LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  most CONSTANT bigint := 1::bigint << 40;
  asked ops.report_row[];
  begun uuid[];                                           -- devices with a new row of a session
  grown ops.report_row[];
  met uuid[];                                             -- devices that predicted in a stage for the first time
BEGIN
  SELECT array_agg(r) INTO asked FROM json_populate_recordset(NULL::ops.report_row, p_reports) r;

  WITH fresh AS (
    INSERT INTO ops.report_session (device_id, session, model_id, version)
    SELECT r.device, r.session, r.model, r.version FROM unnest(asked) r
     WHERE NOT EXISTS (SELECT FROM ops.report_session s
                        WHERE s.device_id = r.device AND s.session = r.session AND s.model_id = r.model AND s.version = r.version)
       AND (r.acked = 0 OR EXISTS (SELECT FROM ops.report_session s WHERE s.device_id = r.device AND s.session = r.session))
     ORDER BY r.device, r.session, r.model, r.version
    ON CONFLICT DO NOTHING
    RETURNING device_id)
  SELECT array_agg(device_id) INTO begun FROM fresh;

  PERFORM FROM unnest(asked) r
    JOIN ops.report_session s ON s.device_id = r.device AND s.session = r.session AND s.model_id = r.model AND s.version = r.version
   ORDER BY s.device_id, s.session, s.model_id, s.version
     FOR UPDATE OF s;

  -- A statement of its own: one that waits for a row reads only that row anew, and not what it has made of it.
  SELECT array_agg(ROW (
           x.n, x.device, x.session, x.model, x.version, x.seq, x.acked, x.rollout, x.stage, x.arm, x.platform, x.os_major,
           x.predictions_ok, x.predictions_failed, x.downloads_started, x.downloads_ok, x.downloads_failed,
           x.loads_ok, x.loads_failed, x.crashes, x.fallbacks, x.labelled_correct, x.labelled_total,
           x.latency, x.buckets, x.added,
           CASE WHEN x.seq <= x.newest THEN 'duplicate' WHEN x.has_fallen THEN 'fell' ELSE 'counted' END,
           CASE WHEN x.seq > x.newest AND x.has_fallen THEN jsonb_strip_nulls(jsonb_build_object(
             '/predictions/ok', CASE WHEN x.predictions_ok < 0 THEN -x.predictions_ok END,
             '/predictions/failed', CASE WHEN x.predictions_failed < 0 THEN -x.predictions_failed END,
             '/downloads/started', CASE WHEN x.downloads_started < 0 THEN -x.downloads_started END,
             '/downloads/ok', CASE WHEN x.downloads_ok < 0 THEN -x.downloads_ok END,
             '/downloads/failed', CASE WHEN x.downloads_failed < 0 THEN -x.downloads_failed END,
             '/loads/ok', CASE WHEN x.loads_ok < 0 THEN -x.loads_ok END,
             '/loads/failed', CASE WHEN x.loads_failed < 0 THEN -x.loads_failed END,
             '/crashes', CASE WHEN x.crashes < 0 THEN -x.crashes END,
             '/fallbacks', CASE WHEN x.fallbacks < 0 THEN -x.fallbacks END,
             '/labelled/correct', CASE WHEN x.labelled_correct < 0 THEN -x.labelled_correct END,
             '/labelled/total', CASE WHEN x.labelled_total < 0 THEN -x.labelled_total END)) || coalesce(x.less, '{}')
           END)::ops.report_row)
    INTO grown
    FROM (
      SELECT y.*, y.less IS NOT NULL OR least(
               y.predictions_ok, y.predictions_failed, y.downloads_started, y.downloads_ok, y.downloads_failed, y.loads_ok,
               y.loads_failed, y.crashes, y.fallbacks, y.labelled_correct, y.labelled_total) < 0 AS has_fallen
        FROM (
          SELECT r.n, r.device, r.session, r.model, r.version, r.seq, r.acked, r.rollout, r.stage, r.arm, r.platform, r.os_major,
                 r.latency, s.seq AS newest, more.buckets, more.added, more.less,
                 coalesce(r.predictions_ok - s.predictions_ok, 0) AS predictions_ok,
                 coalesce(r.predictions_failed - s.predictions_failed, 0) AS predictions_failed,
                 coalesce(r.downloads_started - s.downloads_started, 0) AS downloads_started,
                 coalesce(r.downloads_ok - s.downloads_ok, 0) AS downloads_ok,
                 coalesce(r.downloads_failed - s.downloads_failed, 0) AS downloads_failed,
                 coalesce(r.loads_ok - s.loads_ok, 0) AS loads_ok,
                 coalesce(r.loads_failed - s.loads_failed, 0) AS loads_failed,
                 coalesce(r.crashes - s.crashes, 0) AS crashes,
                 coalesce(r.fallbacks - s.fallbacks, 0) AS fallbacks,
                 coalesce(r.labelled_correct - s.labelled_correct, 0) AS labelled_correct,
                 coalesce(r.labelled_total - s.labelled_total, 0) AS labelled_total
            FROM unnest(asked) r
            JOIN ops.report_session s
              ON s.device_id = r.device AND s.session = r.session AND s.model_id = r.model AND s.version = r.version
            LEFT JOIN LATERAL (
              SELECT array_agg(d.bucket::int) FILTER (WHERE d.n > 0) AS buckets, array_agg(d.n) FILTER (WHERE d.n > 0) AS added,
                     jsonb_object_agg('/latency/' || d.bucket, -d.n) FILTER (WHERE d.n < 0) AS less
                FROM (SELECT b AS bucket, coalesce((r.latency ->> b)::bigint, 0) - coalesce((s.latency ->> b)::bigint, 0) AS n
                        FROM jsonb_object_keys(s.latency || r.latency) b) d) more ON true) y) x;

  UPDATE ops.report_session s
     SET seq = g.seq, predictions_ok = s.predictions_ok + g.predictions_ok, predictions_failed = s.predictions_failed + g.predictions_failed,
         downloads_started = s.downloads_started + g.downloads_started, downloads_ok = s.downloads_ok + g.downloads_ok,
         downloads_failed = s.downloads_failed + g.downloads_failed, loads_ok = s.loads_ok + g.loads_ok,
         loads_failed = s.loads_failed + g.loads_failed, crashes = s.crashes + g.crashes, fallbacks = s.fallbacks + g.fallbacks,
         labelled_correct = s.labelled_correct + g.labelled_correct, labelled_total = s.labelled_total + g.labelled_total,
         latency = coalesce(g.latency, s.latency), reported_at = clock_timestamp()
    FROM unnest(grown) g
   WHERE g.outcome = 'counted'
     AND s.device_id = g.device AND s.session = g.session AND s.model_id = g.model AND s.version = g.version;

  -- A device that began a session forgets those that are neither of its newest 64 nor of the last 7 days, each whole or not at all. One
  -- that reports at this moment is no such session, so nobody waits for it.
  IF begun IS NOT NULL THEN
    WITH old AS MATERIALIZED (
      SELECT o.device_id, o.session, o.parts FROM (
        SELECT s.device_id, s.session, count(*) AS parts, max(s.reported_at) AS last_at,
               row_number() OVER (PARTITION BY s.device_id ORDER BY max(s.reported_at) DESC, s.session) AS place
          FROM ops.report_session s WHERE s.device_id = ANY (begun) GROUP BY s.device_id, s.session) o
       WHERE o.place > 64 AND o.last_at < clock_timestamp() - interval '7 days'
    ), held AS MATERIALIZED (
      SELECT s.device_id, s.session, o.parts FROM old o
        JOIN ops.report_session s ON s.device_id = o.device_id AND s.session = o.session
       WHERE s.reported_at < clock_timestamp() - interval '7 days'
         FOR UPDATE OF s SKIP LOCKED
    )
    DELETE FROM ops.report_session s
     USING (SELECT h.device_id, h.session FROM held h GROUP BY h.device_id, h.session HAVING count(*) = max(h.parts)) whole
     WHERE s.device_id = whole.device_id AND s.session = whole.session;
  END IF;

  INSERT INTO ops.report_total AS t (device_id, model_id, version, predictions_ok, predictions_failed, downloads_started, downloads_ok,
    downloads_failed, loads_ok, loads_failed, crashes, fallbacks, labelled_correct, labelled_total)
  SELECT g.device, g.model, g.version, g.predictions_ok, g.predictions_failed, g.downloads_started, g.downloads_ok,
         g.downloads_failed, g.loads_ok, g.loads_failed, g.crashes, g.fallbacks, g.labelled_correct, g.labelled_total
    FROM unnest(grown) g WHERE g.outcome = 'counted' ORDER BY g.device, g.model, g.version
  ON CONFLICT (device_id, model_id, version) DO UPDATE
    SET predictions_ok = least(most, t.predictions_ok + excluded.predictions_ok),
        predictions_failed = least(most, t.predictions_failed + excluded.predictions_failed),
        downloads_started = least(most, t.downloads_started + excluded.downloads_started),
        downloads_ok = least(most, t.downloads_ok + excluded.downloads_ok),
        downloads_failed = least(most, t.downloads_failed + excluded.downloads_failed),
        loads_ok = least(most, t.loads_ok + excluded.loads_ok), loads_failed = least(most, t.loads_failed + excluded.loads_failed),
        crashes = least(most, t.crashes + excluded.crashes), fallbacks = least(most, t.fallbacks + excluded.fallbacks),
        labelled_correct = least(most, t.labelled_correct + excluded.labelled_correct),
        labelled_total = least(most, t.labelled_total + excluded.labelled_total), reported_at = clock_timestamp();

  INSERT INTO ops.device_model AS m (device_id, model_id, reported_version, reported_at)
  SELECT g.device, g.model, g.version, clock_timestamp() FROM unnest(grown) g
   WHERE g.outcome = 'counted' AND NOT EXISTS (
     SELECT FROM ops.device_model k WHERE k.device_id = g.device AND k.model_id = g.model AND k.reported_version = g.version)
   ORDER BY g.device, g.model
  ON CONFLICT (device_id, model_id) DO UPDATE SET reported_version = excluded.reported_version, reported_at = excluded.reported_at;

  -- A device counts once it predicted in the stage: one that only downloaded, or died on loading, says nothing of the model.
  WITH first AS (
    INSERT INTO ops.telemetry_stage_device (rollout_id, stage, device_id, arm)
    SELECT g.rollout, g.stage, g.device, g.arm FROM unnest(grown) g
     WHERE g.outcome = 'counted' AND g.rollout IS NOT NULL AND g.predictions_ok + g.predictions_failed > 0
     ORDER BY g.rollout, g.stage, g.device
    ON CONFLICT DO NOTHING
    RETURNING device_id)
  SELECT array_agg(device_id) INTO met FROM first;

  INSERT INTO ops.telemetry_counter AS c (rollout_id, stage, arm, platform, os_major, shard,
    devices, predictions, errors, downloads, download_failures)
  SELECT g.rollout, g.stage, g.arm, g.platform, g.os_major, p_shard, count(*) FILTER (WHERE g.device = ANY (met)),
         least(most, sum(g.predictions_ok + g.predictions_failed)), least(most, sum(g.predictions_failed)),
         least(most, sum(g.downloads_ok + g.downloads_failed)), least(most, sum(g.downloads_failed))
    FROM unnest(grown) g WHERE g.outcome = 'counted' AND g.rollout IS NOT NULL
   GROUP BY g.rollout, g.stage, g.arm, g.platform, g.os_major ORDER BY g.rollout, g.stage, g.arm, g.platform, g.os_major
  ON CONFLICT (rollout_id, stage, arm, platform, os_major, shard) DO UPDATE
    SET devices = c.devices + excluded.devices, predictions = least(most, c.predictions + excluded.predictions),
        errors = least(most, c.errors + excluded.errors), downloads = least(most, c.downloads + excluded.downloads),
        download_failures = least(most, c.download_failures + excluded.download_failures);

  INSERT INTO ops.telemetry_latency AS l (rollout_id, stage, arm, platform, os_major, shard, bucket, n)
  SELECT g.rollout, g.stage, g.arm, g.platform, g.os_major, p_shard, b.bucket, least(most, sum(b.n))
    FROM unnest(grown) g, unnest(g.buckets, g.added) AS b (bucket, n)
   WHERE g.outcome = 'counted' AND g.rollout IS NOT NULL
   GROUP BY g.rollout, g.stage, g.arm, g.platform, g.os_major, b.bucket
   ORDER BY g.rollout, g.stage, g.arm, g.platform, g.os_major, b.bucket
  ON CONFLICT (rollout_id, stage, arm, platform, os_major, shard, bucket) DO UPDATE SET n = least(most, l.n + excluded.n);

  RETURN QUERY SELECT g.n, g.outcome, g.fell FROM unnest(grown) g;
END $$;

REVOKE EXECUTE ON FUNCTION ops.record_reports FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ops.record_reports TO edgeml_app;

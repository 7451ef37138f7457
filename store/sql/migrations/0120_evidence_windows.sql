-- Purpose: the judge's windows: opened by reports and by what devices are told, folded in the transaction that counts, and added up by
-- segment and quarter hour. docs/design/judge.md "Windows in the store".
-- Runs as edgeml_owner. Locks: none that matter, the tables are new; reports wait while their function is another.

-- One device, one metric, one evidence stage. Times are milliseconds of the stage clock. A row stays when its window has ended: a device
-- gives one bit.
CREATE TABLE ops.evidence_window (
  rollout_id bigint NOT NULL,
  stage int NOT NULL,
  evidence_stage int NOT NULL,
  device_id uuid NOT NULL,
  metric text NOT NULL,                                   -- a row of domain/rollout/verdict/metrics.ts
  arm text NOT NULL CHECK (arm IN ('canary', 'control')),
  is_ended boolean NOT NULL,                              -- counted as ended; a crash or silence may still come
  is_bad boolean NOT NULL,
  opened_ms bigint NOT NULL,
  due_ms bigint,                                          -- when the sweep looks at it; null: only the device moves it
  seen bigint NOT NULL,                                   -- samples since the base
  failed bigint NOT NULL,
  contact_at timestamptz(3),                              -- silence: the newest question, roughly
  segments text[] NOT NULL,                               -- of the device when it opened
  PRIMARY KEY (rollout_id, stage, evidence_stage, device_id, metric)
) WITH (fillfactor = 85);
CREATE INDEX evidence_window_due ON ops.evidence_window (rollout_id, stage, evidence_stage, due_ms) WHERE due_ms IS NOT NULL;

-- Windows of a test by the quarter hour in which they opened. Each server moves the rows of its shard; readers add them up.
CREATE TABLE ops.evidence_count (
  rollout_id bigint NOT NULL,
  stage int NOT NULL,
  evidence_stage int NOT NULL,
  metric text NOT NULL,
  segment text NOT NULL,                                  -- '' is everyone
  stratum int NOT NULL,
  shard smallint NOT NULL CHECK (shard BETWEEN 0 AND 15),
  opened_canary int NOT NULL,
  opened_control int NOT NULL,
  ended_canary int NOT NULL,
  ended_control int NOT NULL,
  bad_canary int NOT NULL,
  bad_control int NOT NULL,
  PRIMARY KEY (rollout_id, stage, evidence_stage, metric, segment, stratum, shard)
) WITH (fillfactor = 50);

-- What the last look counted: control opens in step with it.
CREATE TABLE ops.evidence_look (
  rollout_id bigint PRIMARY KEY,
  stage int NOT NULL,
  evidence_stage int NOT NULL,
  told bigint NOT NULL,
  active bigint NOT NULL,
  looked_at timestamptz(3) NOT NULL DEFAULT clock_timestamp()
);

-- Minutes in which a report of a model was counted, for 7 days: how long it is ever silent.
CREATE TABLE ops.report_pulse (
  model_id text NOT NULL,
  minute timestamptz(0) NOT NULL,
  shard smallint NOT NULL CHECK (shard BETWEEN 0 AND 15),
  last_at timestamptz(3) NOT NULL,
  PRIMARY KEY (model_id, minute, shard)
) WITH (fillfactor = 50);

-- P(at least p_bad of p_size that are drawn from p_seen without replacement are failures), as drawnAtLeast in
-- domain/rollout/verdict/drawn.ts.
CREATE FUNCTION ops.drawn_at_least(p_seen bigint, p_failed bigint, p_size int, p_bad int) RETURNS float8
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  good CONSTANT float8 := p_seen - p_failed;
  term float8 := 1;
  total float8;
BEGIN
  IF p_failed < p_bad THEN RETURN 0; END IF;
  IF p_size - good >= p_bad THEN RETURN 1; END IF;
  FOR i IN 0 .. p_size - 1 LOOP
    term := term * (CASE WHEN i < p_bad THEN (p_failed - i)::float8 * (p_size - i) / (i + 1) ELSE good - i + p_bad END) / (p_seen - i);
  END LOOP;
  total := term;
  FOR j IN p_bad .. least(p_size, p_failed)::int - 1 LOOP
    term := term * ((p_failed - j)::float8 / (j + 1)) * ((p_size - j) / (good - p_size + j + 1));
    total := total + term;
  END LOOP;
  RETURN least(1, total);
END $$;

-- Whether the bit of a window over samples is bad: sampleBit with uniformOf of domain/rollout/verdict.
CREATE FUNCTION ops.drawn_bit(p_seen bigint, p_failed bigint, p_size int, p_bad int, p_rollout bigint, p_stage int, p_metric text, p_device uuid)
RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  chance CONSTANT float8 := ops.drawn_at_least(p_seen, p_failed, p_size, p_bad);
  hash bytea;
BEGIN
  IF chance = 0 OR chance = 1 THEN RETURN chance = 1; END IF;
  hash := sha256(convert_to(format('%s:%s:%s:%s', p_rollout, p_stage, p_metric, p_device), 'UTF8'));
  RETURN (get_byte(hash, 0) * 16777216.0::float8 + get_byte(hash, 1) * 65536 + get_byte(hash, 2) * 256 + get_byte(hash, 3)) / 4294967296.0::float8
    < chance;
END $$;

-- What happened to windows, for the counts.
CREATE TYPE ops.window_move AS (
  rollout_id bigint, stage int, evidence_stage int, metric text, arm text, segments text[], opened_ms bigint, opened int, ended int, bad int
);

-- Adds moves up by test and quarter hour (STRATUM_MS of domain/rollout/verdict/strata.ts). Locks: rows of counts in the order of their key,
-- and nothing afterwards. Isolation: READ COMMITTED.
CREATE FUNCTION ops.count_windows(p_moves ops.window_move[], p_shard smallint) RETURNS void LANGUAGE sql
SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO ops.evidence_count AS c (rollout_id, stage, evidence_stage, metric, segment, stratum, shard,
    opened_canary, opened_control, ended_canary, ended_control, bad_canary, bad_control)
  SELECT m.rollout_id, m.stage, m.evidence_stage, m.metric, s.segment, (m.opened_ms / 900000)::int, p_shard,
         sum(m.opened * m.canary), sum(m.opened * (1 - m.canary)), sum(m.ended * m.canary), sum(m.ended * (1 - m.canary)),
         sum(m.bad * m.canary), sum(m.bad * (1 - m.canary))
    FROM (SELECT u.*, (u.arm = 'canary')::int AS canary FROM unnest(p_moves) u WHERE u.opened + u.ended + u.bad > 0) m,
         unnest(array_append(m.segments, '')) AS s (segment)
   GROUP BY m.rollout_id, m.stage, m.evidence_stage, m.metric, s.segment, m.opened_ms / 900000
   ORDER BY m.rollout_id, m.stage, m.evidence_stage, m.metric, s.segment, m.opened_ms / 900000
  ON CONFLICT (rollout_id, stage, evidence_stage, metric, segment, stratum, shard) DO UPDATE
    SET opened_canary = c.opened_canary + excluded.opened_canary, opened_control = c.opened_control + excluded.opened_control,
        ended_canary = c.ended_canary + excluded.ended_canary, ended_control = c.ended_control + excluded.ended_control,
        bad_canary = c.bad_canary + excluded.bad_canary, bad_control = c.bad_control + excluded.bad_control;
$$;

ALTER TYPE ops.report_row ADD ATTRIBUTE watch jsonb;      -- a Watch of domain/rollout/verdict/watch.ts

-- Folds reports that were counted into the windows of their devices. A report that opens a window is its base; what it tells of crashes,
-- of an install and of a transfer counts already. Of one device and version one caller at a time: it holds the row of report_total.
-- p_samples: [{metric, of, size, bad}], the rows of metrics.ts that end by samples; bad null: the watch says it.
-- Locks: windows in the order of their key, then counts. Isolation: READ COMMITTED.
CREATE FUNCTION ops.fold_windows(p_grown ops.report_row[], p_shard smallint, p_samples json) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  moves ops.window_move[];
BEGIN
  WITH told AS MATERIALIZED (
    SELECT k.*, g.device,
           g.predictions_ok + g.predictions_failed AS predictions, g.predictions_failed AS failed,
           coalesce((SELECT sum(b.n) FROM unnest(g.added) AS b (n)), 0)::bigint AS timed,
           coalesce((SELECT sum(b.n) FROM unnest(g.buckets, g.added) AS b (bucket, n) WHERE b.bucket >= k.slow_from), 0)::bigint AS slow,
           g.labelled_total AS labelled, g.labelled_total - g.labelled_correct AS wrong,
           g.crashes + g.fallbacks AS crashes, g.loads_failed,
           g.downloads_started + g.downloads_ok + g.downloads_failed AS downloads, g.downloads_ok, g.downloads_failed,
           t.predictions_ok + t.predictions_failed AS total_predictions,
           -- Its first window says whether the device is watched.
           (SELECT e.opened_ms FROM ops.evidence_window e
             WHERE e.rollout_id = k.rollout AND e.stage = k.stage AND e.evidence_stage = k.evidence_stage AND e.device_id = g.device
               AND e.metric = 'crash') AS watched_ms
      FROM unnest(p_grown) g
      CROSS JOIN LATERAL jsonb_to_record(g.watch) AS k (rollout bigint, stage int, evidence_stage int, arm text, clock_ms bigint,
        late_ms bigint, after_ms bigint, opens text[], late text[], slow_from int, bad_wrong int, segments text[])
      JOIN ops.report_total t ON t.device_id = g.device AND t.model_id = g.model AND t.version = g.version
     WHERE g.outcome = 'counted' AND g.watch IS NOT NULL
  ), held AS MATERIALIZED (
    SELECT e.rollout_id, e.stage, e.evidence_stage, e.device_id, e.metric, e.arm, e.segments, e.opened_ms, e.due_ms, e.is_ended,
           e.seen, e.failed, t.clock_ms, s.size, coalesce(s.bad, t.bad_wrong) AS bad,
           CASE s.of WHEN 'predictions' THEN t.predictions WHEN 'timed' THEN t.timed WHEN 'labelled' THEN t.labelled ELSE 0 END AS more,
           CASE s.of WHEN 'predictions' THEN t.failed WHEN 'timed' THEN t.slow WHEN 'labelled' THEN t.wrong ELSE 0 END AS more_failed,
           t.crashes, t.loads_failed, t.downloads_ok, t.downloads_failed, t.total_predictions
      FROM told t
      JOIN ops.evidence_window e
        ON e.rollout_id = t.rollout AND e.stage = t.stage AND e.evidence_stage = t.evidence_stage AND e.device_id = t.device
      LEFT JOIN json_to_recordset(p_samples) AS s (metric text, "of" text, size int, bad int) ON s.metric = e.metric
     WHERE CASE e.metric WHEN 'silence' THEN false WHEN 'crash' THEN NOT e.is_bad AND t.crashes > 0 ELSE NOT e.is_ended END
     ORDER BY e.rollout_id, e.stage, e.evidence_stage, e.device_id, e.metric
       FOR UPDATE OF e
  ), moved AS MATERIALIZED (
    SELECT h.*, h.seen + h.more AS now_seen, h.failed + h.more_failed AS now_failed, b.ends, b.ends AND b.is_bad AS is_bad
      FROM held h
      CROSS JOIN LATERAL (
        SELECT h.seen + h.more >= h.size AS ends,
               h.seen + h.more >= h.size AND ops.drawn_bit(h.seen + h.more, least(h.seen + h.more, greatest(0, h.failed + h.more_failed)),
                 h.size, h.bad, h.rollout_id, h.stage, h.metric, h.device_id) AS is_bad
         WHERE h.size IS NOT NULL
        UNION ALL SELECT h.total_predictions > 0, true WHERE h.metric = 'crash'
        UNION ALL SELECT h.total_predictions > 0 OR h.crashes + h.loads_failed > 0, h.total_predictions = 0 OR h.loads_failed > 0
         WHERE h.metric = 'install'
        UNION ALL SELECT h.downloads_ok + h.downloads_failed > 0, h.downloads_failed > 0 WHERE h.metric = 'download') b
  ), updated AS (
    UPDATE ops.evidence_window e
       SET seen = m.now_seen, failed = m.now_failed, is_ended = e.is_ended OR m.ends, is_bad = m.is_bad,
           due_ms = CASE WHEN NOT m.ends THEN e.due_ms END
      FROM moved m
     WHERE (m.ends OR m.more > 0 OR m.more_failed <> 0)
       AND e.rollout_id = m.rollout_id AND e.stage = m.stage AND e.evidence_stage = m.evidence_stage AND e.device_id = m.device_id
       AND e.metric = m.metric
  ), asked AS (
    SELECT t.*, o.metric,
           CASE o.metric WHEN 'crash' THEN t.crashes > 0 AND t.total_predictions > 0
                         WHEN 'install' THEN t.total_predictions > 0 OR t.crashes + t.loads_failed > 0
                         WHEN 'download' THEN t.downloads_ok + t.downloads_failed > 0
                         ELSE false END AS ends,
           CASE o.metric WHEN 'crash' THEN true
                         WHEN 'install' THEN t.total_predictions = 0 OR t.loads_failed > 0
                         WHEN 'download' THEN t.downloads_failed > 0
                         ELSE false END AS is_bad
      FROM told t
      CROSS JOIN LATERAL (
        SELECT unnest(t.opens) AS metric WHERE t.watched_ms IS NULL
        UNION ALL SELECT unnest(t.late) WHERE t.watched_ms < t.late_ms
        UNION ALL SELECT 'download' WHERE t.arm = 'canary' AND t.downloads > 0) o
     -- Installed before this report: it predicted.
     WHERE o.metric <> 'install' OR t.total_predictions = t.predictions
  ), opened AS (
    INSERT INTO ops.evidence_window (rollout_id, stage, evidence_stage, device_id, metric, arm, is_ended, is_bad, opened_ms, due_ms, seen,
      failed, segments)
    SELECT a.rollout, a.stage, a.evidence_stage, a.device, a.metric, a.arm, a.ends, a.ends AND a.is_bad, a.clock_ms,
           CASE WHEN NOT a.ends AND a.metric IN ('crash', 'download') THEN a.clock_ms + a.after_ms END, 0, 0, a.segments
      FROM asked a
     WHERE NOT EXISTS (SELECT FROM ops.evidence_window e
                        WHERE e.rollout_id = a.rollout AND e.stage = a.stage AND e.evidence_stage = a.evidence_stage
                          AND e.device_id = a.device AND e.metric = a.metric)
     ORDER BY a.rollout, a.stage, a.evidence_stage, a.device, a.metric
    ON CONFLICT DO NOTHING
    RETURNING *
  )
  SELECT array_agg(x.move) INTO moves FROM (
    SELECT ROW (m.rollout_id, m.stage, m.evidence_stage, m.metric, m.arm, m.segments, m.opened_ms, 0, (m.ends AND NOT m.is_ended)::int,
             m.is_bad::int)::ops.window_move AS move
      FROM moved m WHERE m.ends
    UNION ALL
    SELECT ROW (o.rollout_id, o.stage, o.evidence_stage, o.metric, o.arm, o.segments, o.opened_ms, 1, o.is_ended::int, o.is_bad::int)::ops.window_move
      FROM opened o) x;
  PERFORM ops.count_windows(moves, p_shard);
END $$;

-- Devices that were told a version: [{device, at, watch}]. Opens silence where it is not open, and moves the last contact where it is.
-- Idempotent. Locks: windows in the order of their key, then counts. Isolation: READ COMMITTED.
CREATE FUNCTION ops.open_silence(p_marks json, p_shard smallint) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  moves ops.window_move[];
BEGIN
  WITH told AS MATERIALIZED (
    SELECT DISTINCT ON (w.rollout, w.stage, w.evidence_stage, m.device) m.device, m.at, w.*
      FROM json_to_recordset(p_marks) AS m (device uuid, at timestamptz, watch jsonb)
      CROSS JOIN LATERAL jsonb_to_record(m.watch) AS w (rollout bigint, stage int, evidence_stage int, arm text, clock_ms bigint,
        after_ms bigint, segments text[])
     ORDER BY w.rollout, w.stage, w.evidence_stage, m.device, m.at DESC
  ), put AS (
    INSERT INTO ops.evidence_window AS e (rollout_id, stage, evidence_stage, device_id, metric, arm, is_ended, is_bad, opened_ms, due_ms,
      seen, failed, contact_at, segments)
    SELECT t.rollout, t.stage, t.evidence_stage, t.device, 'silence', t.arm, false, false, t.clock_ms, t.clock_ms + t.after_ms, 0, 0, t.at,
           t.segments
      FROM told t ORDER BY t.rollout, t.stage, t.evidence_stage, t.device
    ON CONFLICT (rollout_id, stage, evidence_stage, device_id, metric) DO UPDATE
      SET contact_at = greatest(e.contact_at, excluded.contact_at)
    RETURNING e.*, e.xmax = 0 AS is_new)
  SELECT array_agg(ROW (p.rollout_id, p.stage, p.evidence_stage, p.metric, p.arm, p.segments, p.opened_ms, 1, 0, 0)::ops.window_move)
    INTO moves FROM put p WHERE p.is_new;
  PERFORM ops.count_windows(moves, p_shard);
END $$;

-- Ends what no report ends, at most p_most windows of one evidence stage: silence, a transfer that takes too long, and the age from which
-- crash and silence count for a proof. p_clock_ms is the stage clock now; it ran from p_since, when it stood at p_ran_ms. What is known of
-- contacts before p_since is taken as p_since: while the clock stands nobody is silent. Answers how many it looked at. Two at once share the work.
-- Locks: windows that nobody holds, then counts. Isolation: READ COMMITTED.
CREATE FUNCTION ops.sweep_windows(p_rollout bigint, p_stage int, p_evidence_stage int, p_clock_ms bigint, p_ran_ms bigint, p_since timestamptz,
  p_after_ms bigint, p_most int, p_shard smallint) RETURNS int LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  moves ops.window_move[];
BEGIN
  WITH due AS MATERIALIZED (
    SELECT e.* FROM ops.evidence_window e
     WHERE e.rollout_id = p_rollout AND e.stage = p_stage AND e.evidence_stage = p_evidence_stage AND e.due_ms <= p_clock_ms
     ORDER BY e.due_ms LIMIT p_most
       FOR UPDATE SKIP LOCKED
  ), aged AS MATERIALIZED (
    SELECT d.*, CASE WHEN d.metric <> 'silence' THEN d.opened_ms ELSE greatest(d.opened_ms,
             p_ran_ms + greatest(0, (extract(epoch FROM greatest(d.contact_at,
               (SELECT v.last_seen_at FROM ops.devices v WHERE v.id = d.device_id),
               (SELECT max(t.reported_at) FROM ops.report_total t WHERE t.device_id = d.device_id)) - p_since) * 1000)::bigint)) END AS last_ms
      FROM due d
  ), judged AS MATERIALIZED (
    SELECT a.*, p_clock_ms - a.opened_ms >= p_after_ms AS ends,
           a.metric IN ('silence', 'download') AND p_clock_ms - a.last_ms >= p_after_ms AS now_bad
      FROM aged a
  ), updated AS (
    UPDATE ops.evidence_window e
       SET is_ended = e.is_ended OR j.ends, is_bad = j.now_bad,
           due_ms = CASE WHEN j.metric = 'silence' AND NOT j.now_bad THEN j.last_ms + p_after_ms
                         WHEN NOT j.ends THEN j.opened_ms + p_after_ms END
      FROM judged j
     WHERE e.rollout_id = j.rollout_id AND e.stage = j.stage AND e.evidence_stage = j.evidence_stage AND e.device_id = j.device_id
       AND e.metric = j.metric)
  SELECT array_agg(ROW (j.rollout_id, j.stage, j.evidence_stage, j.metric, j.arm, j.segments, j.opened_ms, 0,
           (j.ends AND NOT j.is_ended)::int, j.now_bad::int)::ops.window_move)
    INTO moves FROM judged j;
  PERFORM ops.count_windows(moves, p_shard);
  RETURN coalesce(cardinality(moves), 0);
END $$;

DROP FUNCTION ops.record_reports;
-- Counts reports of many devices, each device at most once: all that count are durable together. Answers a row for each report whose
-- session is known, by its number `n`: 'counted'; 'duplicate' for a seq that is not above the newest of its session, model and version;
-- 'fell' where a number is below what the session reported before, with those members and by how much, and nothing of it counts.
-- A report without an answer is of a session that is unknown although it was answered (acked > 0): it was forgotten, and counts nothing.
-- Absent numbers: as before in the session. No rollout: only the device's own totals. Every sum of a row stops at 2^40 (`most`).
-- p_shard: where this caller adds up, so that servers rarely wait for each other; readers add the shards.
-- p_samples: the metrics over samples, for reports with a watch (fold_windows).
-- Locks, each kind in the order of its key, so that two callers never wait in a circle: new rows of sessions, rows of sessions, totals,
-- device_model with what its triggers count, devices of stages, counters, latencies, pulses, windows, their counts. Isolation: READ COMMITTED; each statement sees what the locks waited for.
-- Every row is found by its key, whatever the statistics say of a young table.
CREATE FUNCTION ops.record_reports(p_reports json, p_shard smallint, p_samples json DEFAULT '[]')
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
  begun_minutes text[];                                   -- models whose first report of a minute this was, in this shard
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
           END, x.watch)::ops.report_row)
    INTO grown
    FROM (
      SELECT y.*, y.less IS NOT NULL OR least(
               y.predictions_ok, y.predictions_failed, y.downloads_started, y.downloads_ok, y.downloads_failed, y.loads_ok,
               y.loads_failed, y.crashes, y.fallbacks, y.labelled_correct, y.labelled_total) < 0 AS has_fallen
        FROM (
          SELECT r.n, r.device, r.session, r.model, r.version, r.seq, r.acked, r.rollout, r.stage, r.arm, r.platform, r.os_major,
                 r.latency, r.watch, s.seq AS newest, more.buckets, more.added, more.less,
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

  WITH beat AS (
    INSERT INTO ops.report_pulse AS p (model_id, minute, shard, last_at)
    SELECT g.model, date_trunc('minute', clock_timestamp()), p_shard, clock_timestamp() FROM unnest(grown) g
     WHERE g.outcome = 'counted' GROUP BY g.model ORDER BY g.model
    ON CONFLICT (model_id, minute, shard) DO UPDATE SET last_at = excluded.last_at
    RETURNING p.model_id, p.xmax = 0 AS is_new)
  SELECT array_agg(model_id ORDER BY model_id) FILTER (WHERE is_new) INTO begun_minutes FROM beat;
  -- A minute that begins ends one that is no longer asked for.
  IF begun_minutes IS NOT NULL THEN
    DELETE FROM ops.report_pulse p USING unnest(begun_minutes) m
     WHERE p.model_id = m AND p.minute < clock_timestamp() - interval '8 days' AND p.shard = p_shard;
  END IF;

  IF EXISTS (SELECT FROM unnest(grown) g WHERE g.outcome = 'counted' AND g.watch IS NOT NULL) THEN
    PERFORM ops.fold_windows(grown, p_shard, p_samples);
  END IF;

  RETURN QUERY SELECT g.n, g.outcome, g.fell FROM unnest(grown) g;
END $$;

REVOKE EXECUTE ON FUNCTION ops.record_reports, ops.fold_windows, ops.open_silence, ops.sweep_windows, ops.count_windows, ops.drawn_at_least,
  ops.drawn_bit FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ops.record_reports, ops.fold_windows, ops.open_silence, ops.sweep_windows, ops.count_windows, ops.drawn_at_least,
  ops.drawn_bit TO edgeml_app;

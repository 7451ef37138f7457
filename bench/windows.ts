/**
 * What a judged rollout costs the database: a look, a batch of reports and a page of the sweep, with the windows of 200,000 devices (`--full`: a
 * million) in their tables. Exits 1 for a wrong answer, and where a table of windows was read from end to end.
 */
import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import { removeHome, startStack } from '../dev/stack.ts';
import { METRICS, watchReport, type WatchedStage } from '../domain/rollout/verdict/index.ts';
import { createPool } from '../store/connect.ts';
import { queryableOf } from '../store/queryable.ts';
import { createEvidenceReader } from '../store/telemetry/evidenceReader.ts';
import { recordReports } from '../store/telemetry/recordReports.ts';
import type { AttributedReport } from '../store/telemetry/report.ts';
import { check, printConditions, printResult, quantile } from './support/report.ts';

const isFull = process.argv.includes('--full');
const DEVICES = isFull ? 1_000_000 : 200_000;
const HOUR = 3_600_000;
const TIMES = 30;
const BATCH = 256;
/** Quarter hours in which windows opened, and the shards of so many servers. */
const [STRATA, SERVERS] = [48, 4];
const SEGMENTS = [
  ...['ios', 'android'].map((name) => `platform:${name}`),
  ...Array.from({ length: 12 }, (_, i) => `os:ios ${i + 6}`),
  ...Array.from({ length: 15 }, (_, i) => `app:3.${i}`),
  ...Array.from({ length: 12 }, (_, i) => `region:r${i}`),
];
const STAGE: WatchedStage = {
  rolloutId: 1,
  stage: 2,
  evidenceStage: 0,
  to: 5_000,
  rampMs: 0,
  minBakeMs: 24 * HOUR,
  silenceAfterMs: 6 * HOUR,
  measured: METRICS.map((row) => row.name),
  frozenQ: { ios: 50_000 },
  slower: 1.1,
  accuracy: 930_000,
};

const home = resolve('.edgeml', `bench-windows-${process.pid}`);
const stack = await startStack({ home, external: {}, services: ['postgres', 'server'], say: console.error });
const pool = createPool({ connectionString: stack.env['DATABASE_URL']!, max: 2, name: 'bench', waits: 'work' });
const on = queryableOf(pool);

/** Of each device: errors that ended, a crash window and one of silence. Half of them are canary. */
async function fill(): Promise<void> {
  for (let i = 0; i < DEVICES; i += 10_000) {
    await pool.query(
      `INSERT INTO ops.evidence_window (rollout_id, stage, evidence_stage, device_id, metric, arm, is_ended, is_bad, opened_ms, due_ms, seen, failed,
         segments)
       SELECT 1, 2, 0, md5('bench ' || i)::uuid, m.metric, CASE WHEN i % 2 = 0 THEN 'canary' ELSE 'control' END, m.metric = 'errors', false,
              i % $3 * 900000, CASE WHEN m.metric <> 'errors' THEN i % $3 * 900000 + 21600000 END, 0, 0,
              ARRAY['platform:ios', 'os:ios 17', 'app:3.2', 'region:r1']
         FROM generate_series($1::int, $2::int - 1) i, unnest(ARRAY['errors', 'crash', 'silence']) AS m (metric)`,
      [i, Math.min(DEVICES, i + 10_000), STRATA],
    );
  }
  await pool.query(
    `INSERT INTO ops.evidence_count
     SELECT 1, 2, 0, m.metric, s.segment, t.stratum, h.shard, 100, 100, 90, 90, 2, 1
       FROM unnest($1::text[]) AS m (metric), unnest($2::text[]) AS s (segment), generate_series(0, $3::int - 1) AS t (stratum),
            generate_series(0, $4::int - 1) AS h (shard)`,
    [METRICS.map((row) => row.name), ['', ...SEGMENTS], STRATA, SERVERS],
  );
  await pool.query('VACUUM (ANALYZE) ops.evidence_window, ops.evidence_count').catch(() => undefined); // the app may not
}

async function timed<T>(
  what: (i: number) => Promise<T>,
): Promise<{ readonly ms: number[]; readonly cpu: number; readonly last: T }> {
  const ms: number[] = [];
  const before = process.cpuUsage();
  let last: T | undefined;
  for (let i = 0; i < TIMES; i += 1) {
    const began = performance.now();
    last = await what(i);
    ms.push(performance.now() - began);
  }
  const { user, system } = process.cpuUsage(before);
  return { ms, cpu: (user + system) / 1_000 / TIMES, last: last! };
}

/** Full reads of tables whose rows are as many as devices. Statistics of a session are seen a second after it was last asked. */
async function scans(): Promise<number> {
  await new Promise((done) => setTimeout(done, 1_500));
  await Promise.all([pool.query('SELECT 1'), pool.query('SELECT 1')]);
  await new Promise((done) => setTimeout(done, 500));
  const { rows } = await pool.query<{ n: number }>(
    `SELECT sum(seq_scan)::int AS n FROM pg_stat_user_tables WHERE schemaname = 'ops' AND relname IN ('evidence_window', 'report_total', 'report_session')`,
  );
  return rows[0]!.n;
}

/** Reports of devices that are watched: the first opens, the others go on. */
const batchOf = (ids: readonly string[], seq: number, isWatched: boolean): AttributedReport[] =>
  ids.map((id) => ({
    device: { id, platform: 'ios', osVersion: '17' },
    report: {
      ...{ modelId: 'm', version: '2.0.0', session: 's', seq, acked: 0 },
      predictions: { ok: 5 * seq, failed: 0 },
      latency: { '500': 5 * seq },
    },
    attribution: { rolloutId: isWatched ? 1 : 2, stage: 2, arm: 'canary' },
    watch: isWatched
      ? watchReport(
          STAGE,
          {
            arm: 'canary',
            slot: 0,
            leaf: { platform: 'ios', osMajor: '17', app: '3.2', region: 'r1' },
            width: 5_000,
            clockMs: 13 * HOUR,
          },
          { told: 1, active: 1 },
        )
      : undefined,
  }));

async function reports(isWatched: boolean): Promise<{ readonly ms: number[] }> {
  let ids: string[] = [];
  // Six reports of each device, so that its windows open, go on and end.
  return timed(async (i) => {
    if (i % 6 === 0) ids = Array.from({ length: BATCH }, () => randomUUID());
    const answers = await recordReports(on, batchOf(ids, (i % 6) + 1, isWatched), 0);
    check(
      answers.every((answer) => answer === 'counted'),
      `a report was ${String(answers.find((a) => a !== 'counted'))}`,
    );
  });
}

try {
  printConditions({ durability: 'fsync on', preset: isFull ? 'full' : 'quick', devices: String(DEVICES) });
  await fill();
  const before = await scans();
  const reader = createEvidenceReader(on);
  const look = await timed(() =>
    reader.readStage({ rolloutId: 1, stage: 2, evidenceStage: 0, clockMs: 12 * HOUR, segments: SEGMENTS }),
  );
  const { evidence } = look.last;
  check(
    evidence.every(({ whole }) => whole.x === 2 * STRATA * SERVERS),
    'a look counts every bad window once',
  );
  check(
    evidence.every(({ segments }) => segments.length === SEGMENTS.length),
    'a look has every segment',
  );
  const p50 = quantile(look.ms, 0.5);
  const name = `a look, ${METRICS.length} metrics, ${SEGMENTS.length} segments`;
  printResult(
    name,
    `p50 ${p50.toFixed(1)} ms, of it ${look.cpu.toFixed(1)} ms CPU of the worker`,
    '≤ 50 ms, ≤ 5 ms',
    p50 <= 50 && look.cpu <= 5,
  );

  await reports(false);
  const [bare, watched] = [quantile((await reports(false)).ms, 0.5), quantile((await reports(true)).ms, 0.5)];
  printResult(
    `${BATCH} reports, watched`,
    `p50 ${watched.toFixed(1)} ms, not watched ${bare.toFixed(1)} ms`,
    'ratio ≤ 3',
    watched <= 3 * bare,
  );

  const pages = await timed(async (i) => {
    const { rows } = await pool.query<{ n: number }>(
      'SELECT ops.sweep_windows(1, 2, 0, $1, 0, now(), $2, 2000, 0::smallint) AS n',
      [18 * HOUR, 6 * HOUR],
    );
    check(rows[0]!.n === 2_000, `page ${i} of the sweep has ${rows[0]!.n} windows`);
  });
  printResult(
    '2,000 windows swept',
    `p50 ${quantile(pages.ms, 0.5).toFixed(1)} ms`,
    '≤ 200 ms',
    quantile(pages.ms, 0.5) <= 200,
  );
  const read = (await scans()) - before;
  check(read === 0, `tables of windows were read from end to end ${read} times`);
} finally {
  await pool.end();
  await stack.stop();
  removeHome(home);
}

/**
 * Reports of devices become counters. Durable when it returns; concurrent, also between servers; unordered; idempotent by (device,
 * session, model, version, sequence number): a retry after a lost answer, or after a crash at any point, counts once.
 */
import { LifecycleError } from '../../domain/errors.ts';
import { cellOsMajor, cellPlatform } from '../../domain/rollout/counters.ts';
import { METRICS } from '../../domain/rollout/verdict/index.ts';
import type { Queryable } from '../queryable.ts';
import type { AttributedReport, Recorded } from './report.ts';

/** Counters of a leaf are kept in so many rows, which readers add up: each server moves one of them. */
export const SHARDS = 16;

/** The metrics that windows over samples are of, as `ops.fold_windows` reads them. */
const SAMPLES = JSON.stringify(
  METRICS.flatMap(({ name, ends, bad }) =>
    ends.by === 'samples' ? [{ metric: name, of: ends.of, size: ends.size, bad }] : [],
  ),
);

interface Row extends Record<string, unknown> {
  readonly n: number;
  readonly outcome: 'counted' | 'duplicate' | 'fell';
  /** The members that fell, and by how much. */
  readonly fell: Readonly<Record<string, number>> | null;
}

/**
 * Counts reports by their difference to what their session reported before, all in one statement. One that is refused changes nothing, and
 * the others count.
 *
 * @param on      a pool (autocommit), or a transaction of the caller's
 * @param reports checked (`checkReport`); of each device one at most
 * @param shard   below {@link SHARDS}
 * @returns in the order of `reports`; `counter_fell` in place of a report in which a number is lower than before in its session
 */
export async function recordReports(
  on: Queryable,
  reports: readonly AttributedReport[],
  shard: number,
): Promise<(Recorded | LifecycleError)[]> {
  const { rows } = await on.query<Row>('SELECT n, outcome, fell FROM ops.record_reports($1, $2, $3)', [
    JSON.stringify(reports.map(rowOf)),
    shard,
    SAMPLES,
  ]);
  const recorded = reports.map((): Recorded | LifecycleError => 'forgotten');
  for (const { n, outcome, fell } of rows) {
    recorded[n] = outcome === 'fell' ? counterFell(fell ?? {}) : outcome;
  }
  return recorded;
}

/** As `ops.record_reports` reads it; absent members are null there. */
function rowOf({ device, report, attribution, watch }: AttributedReport, n: number) {
  const { predictions, downloads, loads, labelled } = report;
  return {
    n,
    device: device.id,
    session: report.session,
    model: report.modelId,
    version: report.version,
    seq: report.seq,
    acked: report.acked,
    rollout: attribution?.rolloutId,
    stage: attribution?.stage,
    arm: attribution?.arm,
    platform: cellPlatform(device.platform),
    os_major: cellOsMajor(device.osVersion),
    predictions_ok: predictions?.ok,
    predictions_failed: predictions?.failed,
    downloads_started: downloads?.started,
    downloads_ok: downloads?.ok,
    downloads_failed: downloads?.failed,
    loads_ok: loads?.ok,
    loads_failed: loads?.failed,
    crashes: report.crashes,
    fallbacks: report.fallbacks,
    labelled_correct: labelled?.correct,
    labelled_total: labelled?.total,
    latency: report.latency,
    watch,
  };
}

function counterFell(fell: Readonly<Record<string, number>>): LifecycleError {
  const errors = Object.entries(fell).map(([pointer, by]) => ({
    pointer,
    detail: `is lower by ${by} than what this session reported before`,
  }));
  const what = errors.map((e) => `${e.pointer} ${e.detail}`).join(', ');
  const fix = 'Numbers never fall within a session: a process that counts from 0 again draws a new session.';
  return new LifecycleError('counter_fell', `The report was not counted: ${what}. ${fix}`, { errors });
}

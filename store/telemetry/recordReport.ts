/**
 * Reports of devices become counters. Durable when it returns; concurrent; unordered; idempotent by (device, model, version,
 * sequence number): a retry after a lost answer, or after a crash at any point, counts once.
 */
import { LifecycleError } from '../../domain/errors.ts';
import type { Attribution } from '../../domain/rollout/arms.ts';
import { leafOsMajor, leafPlatform } from '../../domain/rollout/counters.ts';
import { isLatencyBucket } from '../../domain/rollout/latency.ts';
import type { Queryable } from '../queryable.ts';

/** Cumulative since the device began to count, for one model and version. Absent members were not reported: as before. */
export interface Report {
  readonly modelId: string;
  readonly version: string;
  /** Grows with each report. */
  readonly seq: number;
  readonly predictions: { readonly ok: number; readonly failed: number };
  readonly downloads?: { readonly ok: number; readonly failed: number } | undefined;
  /** Predictions per bucket of `domain/rollout/latency.ts`. */
  readonly latency?: Readonly<Record<string, number>> | undefined;
}

export interface ReportingDevice {
  /** As the server issued it. */
  readonly id: string;
  readonly platform: string | null;
  readonly osVersion: string | null;
}

/**
 * `duplicate`: this sequence number, or a later one, was counted before; nothing moved. `restarted`: a number fell although the
 * sequence rose, so the device began at zero again and all of its report was new.
 */
export type Recorded = 'counted' | 'duplicate' | 'restarted';

/**
 * Counts a report: the device's row and the counters of the arm move in one statement, by the difference to the last report. A
 * report without attribution moves the row only, so that what came before a stage never counts in it.
 *
 * @param on a pool (one statement in autocommit), or a transaction of the caller's
 * @throws LifecycleError `invalid_input` for numbers that are no counts and for unknown latency buckets
 */
export async function recordReport(
  on: Queryable,
  device: ReportingDevice,
  report: Report,
  attribution: Attribution | undefined,
): Promise<Recorded> {
  checkReport(report);
  const { modelId, version, seq, predictions, downloads, latency } = report;
  const { rows } = await on.query<{ recorded: Recorded }>(
    'SELECT ops.record_report($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) AS recorded',
    [
      ...[device.id, modelId, version, seq, predictions.ok, predictions.failed],
      ...[downloads?.ok ?? null, downloads?.failed ?? null, latency ? JSON.stringify(latency) : null],
      ...[attribution?.rolloutId ?? null, attribution?.stage ?? null, attribution?.arm ?? null],
      ...[leafPlatform(device.platform), leafOsMajor(device.osVersion)],
    ],
  );
  return rows[0]!.recorded;
}

/** Far above any device. `ops.record_report` keeps the sums below 2^53, whatever is reported how often. */
const MOST = 2 ** 40;

function checkReport({ seq, predictions, downloads, latency }: Report): void {
  const errors: { pointer: string; detail: string }[] = [];
  const count = (pointer: string, value: number, most = MOST) => {
    if (Number.isInteger(value) && value >= 0 && value <= most) return;
    errors.push({ pointer, detail: `must be a whole number from 0 to ${most}, not ${value}` });
  };
  count('/seq', seq, Number.MAX_SAFE_INTEGER);
  count('/predictions/ok', predictions.ok);
  count('/predictions/failed', predictions.failed);
  if (downloads) {
    count('/downloads/ok', downloads.ok);
    count('/downloads/failed', downloads.failed);
  }
  for (const [bucket, n] of Object.entries(latency ?? {})) {
    if (isLatencyBucket(bucket)) count(`/latency/${bucket}`, n);
    else errors.push({ pointer: `/latency/${bucket}`, detail: 'is no bucket index' });
  }
  if (errors.length === 0) return;
  const first = `${errors[0]!.pointer} ${errors[0]!.detail}`;
  throw new LifecycleError('invalid_input', `The report was not counted: ${first}. Correct it and send it again.`, {
    errors,
  });
}

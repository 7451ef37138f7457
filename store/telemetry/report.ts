/** What a device says of one model and version, and which numbers cannot be counted. */
import type { ModelId, Semver } from '../../domain/brands.ts';
import type { Attribution } from '../../domain/rollout/arms.ts';
import { LifecycleError } from '../../domain/errors.ts';
import { isLatencyBucket } from '../../domain/rollout/latency.ts';
import type { Watch } from '../../domain/rollout/verdict/index.ts';

/**
 * Whole numbers, cumulative within the session: 0 when it begins, never lower than before. Absent members were not reported: as before in
 * this session.
 */
export interface Report {
  readonly modelId: ModelId;
  readonly version: Semver;
  /** A random id that the device drew when its process started. */
  readonly session: string;
  /** From 1; grows with each report of the session. Compared per model and version, so these may arrive in any order. */
  readonly seq: number;
  /** The newest `seq` of the session that was answered; 0 before the first answer. */
  readonly acked: number;
  readonly predictions?: { readonly ok: number; readonly failed: number } | undefined;
  readonly downloads?: { readonly started: number; readonly ok: number; readonly failed: number } | undefined;
  /** Into memory, ready to predict. */
  readonly loads?: { readonly ok: number; readonly failed: number } | undefined;
  /** Predictions per bucket of `domain/rollout/latency.ts`. */
  readonly latency?: Readonly<Record<string, number>> | undefined;
  /** The app died while this version was loaded. */
  readonly crashes?: number | undefined;
  /** It was given up for another version. */
  readonly fallbacks?: number | undefined;
  /** Predictions whose right answer became known. */
  readonly labelled?: { readonly correct: number; readonly total: number } | undefined;
}

export interface ReportingDevice {
  /** As the server issued it. */
  readonly id: string;
  readonly platform: string | null;
  readonly osVersion: string | null;
}

/** A report on its way to the counters. Without attribution it moves the device's totals only, and no stage's. */
export interface AttributedReport {
  readonly device: ReportingDevice;
  readonly report: Report;
  readonly attribution: Attribution | undefined;
  /** Where its rollout is judged by evidence and the device is in an arm of it. */
  readonly watch?: Watch | undefined;
}

/**
 * `duplicate`: this sequence number, or a later one, was counted before; nothing moved. `forgotten`: the session was answered before
 * (`acked` > 0) and is not known any more, so nobody can tell what of it was counted; nothing moved.
 */
export type Recorded = 'counted' | 'duplicate' | 'forgotten';

/** Far above any device. `ops.record_reports` keeps the sums below 2^53, whatever is reported how often. */
const MOST = 2 ** 40;
const SESSION = /^[A-Za-z0-9._:-]{1,64}$/;

/** @throws LifecycleError `invalid_input` for numbers that are no counts, unknown latency buckets, and what contradicts itself */
export function checkReport(report: Report): void {
  const { session, seq, acked, latency, labelled } = report;
  const errors: { pointer: string; detail: string }[] = [];
  const count = (pointer: string, value: number, least = 0, most = MOST) => {
    if (Number.isInteger(value) && value >= least && value <= most) return;
    errors.push({ pointer, detail: `must be a whole number from ${least} to ${most}, not ${value}` });
  };
  if (!SESSION.test(session)) {
    errors.push({ pointer: '/session', detail: 'must be 1 to 64 letters, digits or ".", "_", ":", "-"' });
  }
  count('/seq', seq, 1, Number.MAX_SAFE_INTEGER);
  count('/acked', acked, 0, Number.MAX_SAFE_INTEGER);
  if (acked > seq)
    errors.push({ pointer: '/acked', detail: `must not be above seq (${seq}): what is not sent was not answered` });
  for (const member of ['predictions', 'downloads', 'loads', 'labelled'] as const) {
    for (const [name, n] of Object.entries(report[member] ?? {})) count(`/${member}/${name}`, n);
  }
  if (report.crashes !== undefined) count('/crashes', report.crashes);
  if (report.fallbacks !== undefined) count('/fallbacks', report.fallbacks);
  if (labelled && labelled.correct > labelled.total) {
    errors.push({ pointer: '/labelled/correct', detail: `must not be above total (${labelled.total})` });
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

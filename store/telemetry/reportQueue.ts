/**
 * Reports of concurrent requests share commits: while one batch is under way, the next gathers; an idle queue takes a report at once. Each
 * is answered after the commit that holds it. Nothing is kept between batches, so a process that dies loses only what it has not answered.
 */
import { randomInt } from 'node:crypto';
import { LifecycleError } from '../../domain/errors.ts';
import { codeOf, isConnectionLost } from '../connect.ts';
import type { Queryable } from '../queryable.ts';
import { recordReports, SHARDS } from './recordReports.ts';
import { checkReport, type AttributedReport, type Recorded } from './report.ts';

export interface ReportQueue {
  /**
   * Counts it, durable when it resolves.
   *
   * @throws LifecycleError `invalid_input` as `checkReport`; `counter_fell`; `unavailable` where too many wait
   * @throws the driver's error where Postgres does not answer: whether it was counted is unknown, and to send it again is safe
   */
  record(report: AttributedReport): Promise<Recorded>;
}

export interface QueueLimits {
  /** Reports of one commit. */
  readonly batch: number;
  /** Reports that wait for theirs. */
  readonly room: number;
}

interface Waiting {
  readonly report: AttributedReport;
  readonly resolve: (recorded: Recorded) => void;
  readonly reject: (error: unknown) => void;
}

/** A second try would find the same: no connection, or no time. */
const isAway = (error: unknown) => isConnectionLost(error) || ['57014', '53300'].includes(codeOf(error) ?? '');

/** @param on a pool as `edgeml_app`; at most one of its connections is used at a time */
export function createReportQueue(on: Queryable, limits: QueueLimits = { batch: 256, room: 4_096 }): ReportQueue {
  const shard = randomInt(SHARDS);
  let waiting: Waiting[] = [];
  let isAtWork = false;

  /** Of each device the first that waits: a batch holds no two of one. */
  function nextBatch(): Waiting[] {
    const batch = new Map<string, Waiting>();
    const later: Waiting[] = [];
    for (const one of waiting) {
      const { id } = one.report.device;
      if (batch.size < limits.batch && !batch.has(id)) batch.set(id, one);
      else later.push(one);
    }
    waiting = later;
    return [...batch.values()];
  }

  /** Where one report of a batch cannot be stored, halves find it, and the others count. */
  async function settle(batch: readonly Waiting[]): Promise<void> {
    let recorded: Awaited<ReturnType<typeof recordReports>>;
    try {
      const reports = batch.map((one) => one.report);
      recorded = await recordReports(on, reports, shard);
    } catch (error) {
      if (batch.length > 1 && !isAway(error)) {
        const half = batch.length >> 1;
        await settle(batch.slice(0, half));
        await settle(batch.slice(half));
        return;
      }
      // Who waits behind it has waited as long as one statement may take; with Postgres away, a turn each would take minutes.
      const behind = isAway(error) ? waiting : [];
      if (isAway(error)) waiting = [];
      for (const { reject } of [...batch, ...behind]) reject(error);
      return;
    }
    batch.forEach(({ resolve, reject }, i) => {
      const answer = recorded[i]!;
      if (answer instanceof LifecycleError) reject(answer);
      else resolve(answer);
    });
  }

  async function work(): Promise<void> {
    isAtWork = true;
    while (waiting.length > 0) await settle(nextBatch());
    isAtWork = false;
  }

  return {
    async record(report) {
      checkReport(report.report);
      if (waiting.length >= limits.room) {
        const detail = `${waiting.length} reports wait to be stored. Send it again shortly: it was not counted.`;
        throw new LifecycleError('unavailable', detail, { retry_after_s: 1 });
      }
      return new Promise<Recorded>((resolve, reject) => {
        waiting.push({ report, resolve, reject });
        if (!isAtWork) void work();
      });
    },
  };
}

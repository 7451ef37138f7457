/**
 * Compares what the log says is open with what runs in Temporal, and mends Temporal. It writes no facts. In the relay's leader;
 * not a Temporal schedule, which would be lost with Temporal's database.
 */
import type { Bell } from '../store/bell.ts';
import type { Logger } from '../store/leader.ts';
import type { EventStore } from '../store/log/eventStore.ts';
import type { ProcessRecord, ProcessTable, UnsettledProcess } from '../store/processes/processTable.ts';
import type { TemporalCalls } from './temporalCalls.ts';
import { memoOf } from './temporalMemo.ts';
import { together } from './together.ts';

const PAGE = 200;
/** Calls under way at once: an outage may leave thousands of processes, and each call waits some 10 ms for Temporal. */
const AT_ONCE = 16;
/** A run whose subject is closed ends by itself; where it has not heard, it is rung, and in the end cancelled. */
const RING_CLOSED_MS = 5 * 60_000;
const CANCEL_CLOSED_MS = 10 * 60_000;
/** After a pass that Temporal did not answer to its end. */
const AGAIN_MS = 2_000;
const ALARM_RESTARTS = 3;
const HOUR_MS = 3_600_000;

export interface ReconcilerDesk {
  readonly log: Pick<EventStore, 'readPart'>;
  readonly table: ProcessTable;
  readonly calls: TemporalCalls;
  readonly signal: AbortSignal;
  readonly logger: Logger;
}

export interface Reconciled {
  readonly restarted: readonly string[];
  readonly rung: readonly string[];
  readonly cancelled: readonly string[];
  /** False: Temporal did not answer, and the pass ended there. */
  readonly whole: boolean;
}

/** The last fact of the stream as a ring: whichever it was, the process reloads. */
async function lastFact(desk: ReconcilerDesk, { stream }: ProcessRecord) {
  const [last] = await desk.log.readPart(stream, { limit: 1, fromEnd: true });
  if (!last) throw new Error(`${stream} has a process and no facts`);
  return {
    v: 1 as const,
    stream,
    streamVersion: last.version,
    type: last.fact.type,
    eventId: last.id,
    logIndex: last.logIndex ?? -1,
  };
}

type Act = 'restarted' | 'rung' | 'cancelled' | 'away' | undefined;

async function mendOpen(desk: ReconcilerDesk, process: ProcessRecord): Promise<Act> {
  const life = await desk.calls.life(process.id);
  if (life === 'away') return 'away';
  if (typeof life === 'object') {
    desk.logger.error({ alarm: 'temporal_reconciler', process: process.id, why: life.failed }, 'cannot be described');
    return undefined;
  }
  if (life !== 'alive') {
    // Between the read of the row and now it may have closed; a needless run would only reload and end.
    if ((await desk.table.find([process.id])).get(process.id)?.state !== 'open') return undefined;
    const result = await desk.calls.start(process.id, await memoOf(desk.log, process), 'again');
    if (result !== 'done') return result === 'away' ? 'away' : undefined;
    await desk.table.rung(process.id, process.dueVersion);
    return 'restarted';
  }
  if (process.rungVersion >= process.dueVersion) return undefined;
  if ((await desk.calls.ring(process.id, await lastFact(desk, process))) !== 'done') return undefined;
  await desk.table.rung(process.id, process.dueVersion);
  return 'rung';
}

async function mendClosed(desk: ReconcilerDesk, process: ProcessRecord, closedMs: number): Promise<Act> {
  const life = await desk.calls.life(process.id);
  if (life === 'away') return 'away';
  if (life !== 'alive') {
    if (typeof life !== 'object') await desk.table.settle(process.id);
    return undefined;
  }
  if (closedMs > CANCEL_CLOSED_MS) return (await desk.calls.cancel(process.id)) === 'done' ? 'cancelled' : undefined;
  return (await desk.calls.ring(process.id, await lastFact(desk, process))) === 'done' ? 'rung' : undefined;
}

/**
 * Every row that `page` has, page by page, each looked at once. @returns false where Temporal did not answer, or we are to stop
 *
 * @param page rows after the last one of the page before
 */
async function mendAll<P extends ProcessRecord>(
  desk: ReconcilerDesk,
  page: (last: P | undefined) => Promise<P[]>,
  mend: (process: P) => Promise<Act>,
  note: (act: Act, id: string) => void,
): Promise<boolean> {
  let last: P | undefined;
  for (;;) {
    const rows = await page(last);
    const isWhole = await together(rows, AT_ONCE, async (process) => {
      if (desk.signal.aborted) return false;
      const act = await mend(process);
      note(act, process.id);
      return act !== 'away';
    });
    if (!isWhole) return false;
    if (rows.length < PAGE) return true;
    last = rows.at(-1);
  }
}

/** One pass over all that may need it. Idempotent; the caller repeats it. Ends early where Temporal does not answer. */
export async function reconcile(desk: ReconcilerDesk): Promise<Reconciled> {
  const { table } = desk;
  const done: Record<'restarted' | 'rung' | 'cancelled', string[]> = { restarted: [], rung: [], cancelled: [] };
  const note = (act: Act, id: string) => void (act !== undefined && act !== 'away' && done[act].push(id));
  const whole =
    (await mendAll(
      desk,
      (last) => table.open(last?.id ?? '', PAGE),
      (process) => mendOpen(desk, process),
      note,
    )) &&
    (await mendAll(
      desk,
      (last: UnsettledProcess | undefined) => table.unsettled(RING_CLOSED_MS, last, PAGE),
      (process) => mendClosed(desk, process, process.closedMs),
      note,
    ));
  return { ...done, whole };
}

/** Tells an operator of an id that had to be started three times within an hour: something ends it again and again. */
function createRestartAlarm(logger: Logger) {
  const restarts = new Map<string, number[]>();
  return (id: string) => {
    const now = performance.now();
    const recent = [...(restarts.get(id) ?? []).filter((at) => now - at < HOUR_MS), now];
    restarts.set(id, recent);
    if (recent.length < ALARM_RESTARTS) return;
    logger.error({ alarm: 'temporal_restarts', process: id, restarts: recent.length }, 'restarted again and again');
  };
}

/**
 * A pass every `everyMs` and whenever `bell` rings, the first at once, until the signal aborts.
 *
 * @throws what the database throws
 */
export async function keepReconciling(desk: ReconcilerDesk, everyMs: number, bell: Bell): Promise<void> {
  const alarm = createRestartAlarm(desk.logger);
  while (!desk.signal.aborted) {
    const { restarted, rung, cancelled, whole } = await reconcile(desk);
    restarted.forEach(alarm);
    if (restarted.length + rung.length + cancelled.length > 0) {
      desk.logger.warn({ loop: 'temporal reconciler', restarted, rung, cancelled }, 'mended what Temporal had lost');
    }
    await bell.wait(whole ? everyMs : Math.min(AGAIN_MS, everyMs), desk.signal);
  }
}

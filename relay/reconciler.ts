/**
 * Compares what the log says is open with what runs in Temporal, and mends Temporal. It writes no facts. In the relay's leader;
 * not a Temporal schedule, which would be lost with Temporal's database.
 */
import type { WakeUp } from '../store/wakeUp.ts';
import type { Logger } from '../store/leader.ts';
import type { EventStore } from '../store/log/eventStore.ts';
import type { ProcessRecord, ProcessTable, UnsettledProcess } from '../store/processes/processTable.ts';
import type { TemporalCalls } from './temporalCalls.ts';
import { memoOf } from './temporalMemo.ts';
import { together } from './together.ts';

const PAGE = 200;
/** Calls under way at once: an outage may leave thousands of processes, and each call waits some 10 ms for Temporal. */
const AT_ONCE = 16;
/** A run whose subject is closed ends by itself; where it has not heard, it is signalled, and in the end cancelled. */
const RING_CLOSED_MS = 5 * 60_000;
const CANCEL_CLOSED_MS = 10 * 60_000;
/** After a pass that Temporal did not answer to its end. */
const AGAIN_MS = 2_000;
const ALARM_RESTARTS = 3;
const HOUR_MS = 3_600_000;

export interface ReconcilerParts {
  readonly log: Pick<EventStore, 'readPart'>;
  readonly table: ProcessTable;
  readonly calls: TemporalCalls;
  readonly signal: AbortSignal;
  readonly logger: Logger;
}

export interface Reconciled {
  readonly restarted: readonly string[];
  readonly signalled: readonly string[];
  readonly cancelled: readonly string[];
  /** False: Temporal did not answer, and the pass ended there. */
  readonly whole: boolean;
}

/** The last fact of the stream as a signal: whichever it was, the process reloads. */
async function lastFact(parts: ReconcilerParts, { stream }: ProcessRecord) {
  const [last] = await parts.log.readPart(stream, { limit: 1, fromEnd: true });
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

type Act = 'restarted' | 'signalled' | 'cancelled' | 'away' | undefined;

async function mendOpen(parts: ReconcilerParts, process: ProcessRecord): Promise<Act> {
  const life = await parts.calls.life(process.id);
  if (life === 'away') return 'away';
  if (typeof life === 'object') {
    parts.logger.error({ alarm: 'temporal_reconciler', process: process.id, why: life.failed }, 'cannot be described');
    return undefined;
  }
  if (life !== 'alive') {
    // Between the read of the row and now it may have closed; a needless run would only reload and end.
    if ((await parts.table.find([process.id])).get(process.id)?.state !== 'open') return undefined;
    const result = await parts.calls.start(process.id, await memoOf(parts.log, process), 'again');
    if (result !== 'done') return result === 'away' ? 'away' : undefined;
    await parts.table.signalled(process.id, process.dueVersion);
    return 'restarted';
  }
  if (process.signalledVersion >= process.dueVersion) return undefined;
  if ((await parts.calls.signal(process.id, await lastFact(parts, process))) !== 'done') return undefined;
  await parts.table.signalled(process.id, process.dueVersion);
  return 'signalled';
}

async function mendClosed(parts: ReconcilerParts, process: ProcessRecord, closedMs: number): Promise<Act> {
  const life = await parts.calls.life(process.id);
  if (life === 'away') return 'away';
  if (life !== 'alive') {
    if (typeof life !== 'object') await parts.table.settle(process.id);
    return undefined;
  }
  if (closedMs > CANCEL_CLOSED_MS) return (await parts.calls.cancel(process.id)) === 'done' ? 'cancelled' : undefined;
  return (await parts.calls.signal(process.id, await lastFact(parts, process))) === 'done' ? 'signalled' : undefined;
}

/**
 * Every row that `page` has, page by page, each looked at once. @returns false where Temporal did not answer, or we are to stop
 *
 * @param page rows after the last one of the page before
 */
async function mendAll<P extends ProcessRecord>(
  parts: ReconcilerParts,
  page: (last: P | undefined) => Promise<P[]>,
  mend: (process: P) => Promise<Act>,
  note: (act: Act, id: string) => void,
): Promise<boolean> {
  let last: P | undefined;
  for (;;) {
    const rows = await page(last);
    const isWhole = await together(rows, AT_ONCE, async (process) => {
      if (parts.signal.aborted) return false;
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
export async function reconcile(parts: ReconcilerParts): Promise<Reconciled> {
  const { table } = parts;
  const done: Record<'restarted' | 'signalled' | 'cancelled', string[]> = {
    restarted: [],
    signalled: [],
    cancelled: [],
  };
  const note = (act: Act, id: string) => void (act !== undefined && act !== 'away' && done[act].push(id));
  const whole =
    (await mendAll(
      parts,
      (last) => table.open(last?.id ?? '', PAGE),
      (process) => mendOpen(parts, process),
      note,
    )) &&
    (await mendAll(
      parts,
      (last: UnsettledProcess | undefined) => table.unsettled(RING_CLOSED_MS, last, PAGE),
      (process) => mendClosed(parts, process, process.closedMs),
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
 * A pass every `everyMs` and whenever `wakeUp` is woken, the first at once, until the signal aborts.
 *
 * @throws what the database throws
 */
export async function keepReconciling(parts: ReconcilerParts, everyMs: number, wakeUp: WakeUp): Promise<void> {
  const alarm = createRestartAlarm(parts.logger);
  while (!parts.signal.aborted) {
    const { restarted, signalled, cancelled, whole } = await reconcile(parts);
    restarted.forEach(alarm);
    if (restarted.length + signalled.length + cancelled.length > 0) {
      parts.logger.warn(
        { loop: 'temporal reconciler', restarted, signalled, cancelled },
        'mended what Temporal had lost',
      );
    }
    await wakeUp.wait(whole ? everyMs : Math.min(AGAIN_MS, everyMs), parts.signal);
  }
}

/**
 * Compares what the log says is open with what runs in Temporal, and mends Temporal. It writes no facts. In the relay's leader;
 * not a Temporal schedule, which would be lost with Temporal's database.
 */
import type { Bell } from '../store/bell.ts';
import type { Logger } from '../store/leader.ts';
import type { EventStore } from '../store/log/eventStore.ts';
import type { ProcessRecord, ProcessTable } from '../store/processes/processTable.ts';
import type { TemporalCalls } from './temporalCalls.ts';
import { memoOf } from './temporalMemo.ts';

const PAGE = 200;
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

/** One pass. Idempotent; the caller repeats it. Ends early where Temporal does not answer. */
export async function reconcile(desk: ReconcilerDesk): Promise<Reconciled> {
  const done: Record<'restarted' | 'rung' | 'cancelled', string[]> = { restarted: [], rung: [], cancelled: [] };
  const note = (act: Act, id: string) => act !== undefined && act !== 'away' && done[act].push(id);
  let after = '';
  for (;;) {
    const page = await desk.table.open(after, PAGE);
    for (const process of page) {
      if (desk.signal.aborted) return { ...done, whole: false };
      const act = await mendOpen(desk, process);
      if (act === 'away') return { ...done, whole: false };
      note(act, process.id);
    }
    if (page.length < PAGE) break;
    after = page.at(-1)!.id;
  }
  for (const process of await desk.table.unsettled(RING_CLOSED_MS, PAGE)) {
    if (desk.signal.aborted) return { ...done, whole: false };
    const act = await mendClosed(desk, process, process.closedMs);
    if (act === 'away') return { ...done, whole: false };
    note(act, process.id);
  }
  return { ...done, whole: true };
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

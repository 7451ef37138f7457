/**
 * Log → Temporal. Facts start workflows and signal them; the log decides, Temporal waits (docs/design/temporal.md "Relay").
 *
 * One leader follows `log_index`: per batch it makes its calls first, then moves cursor and table `processes` in one statement.
 * So each call is made at least once: a start finds the run that is there, a second signal is old news. While Temporal is away it
 * stays where it is and keeps trying; commands never wait for it.
 */
import { createWakeUp, type WakeUp } from '../store/wakeUp.ts';
import { lead, type Logger } from '../store/leader.ts';
import { listen } from '../store/listen.ts';
import { pause } from '../store/pause.ts';
import type { EventStore } from '../store/log/eventStore.ts';
import { readPast } from '../store/log/readPast.ts';
import {
  createProcessTable,
  type ProcessChange,
  type ProcessRecord,
  type ProcessTable,
} from '../store/processes/processTable.ts';
import { newsOf, type ProcessNews } from './processBatch.ts';
import { keepReconciling } from './reconciler.ts';
import { createTemporalCalls, type CallResult, type TemporalAddress, type TemporalCalls } from './temporalCalls.ts';
import { memoOf } from './temporalMemo.ts';
import { watchReturn } from './temporalReturn.ts';
import { together } from './together.ts';

/** Facts between two moves of the cursor: with {@link AT_ONCE}, a page in which each fact starts a process takes a second or so. */
const PAGE = 500;
/** Calls under way at once, each for another process. */
const AT_ONCE = 16;
const IDLE_POLL_MS = 1_000;
const AWAY_MS = { least: 200, most: 2_000 };
/** A call that Temporal answers with another error for this long is left to the reconciler, so that one id cannot stop all. */
const PARK_AFTER_MS = 60_000;

export interface TemporalRelayOptions {
  readonly log: Pick<EventStore, 'readLog' | 'readPart'>;
  /** As `edgeml_app`, direct: its session holds the leader's lock and makes every write. */
  readonly connectionString: string;
  readonly temporal: TemporalAddress;
  readonly taskQueue: string;
  readonly signal: AbortSignal;
  readonly logger: Logger;
  /** How often the reconciler compares open processes with live runs; at once as well when Temporal comes back. */
  readonly reconcileEveryMs?: number;
  /** Told after the cursor moved. */
  readonly onMove?: (logIndex: number) => void;
  /** For tests of faults: stands between the relay and its calls. */
  readonly intercept?: (calls: TemporalCalls) => TemporalCalls;
  readonly parkAfterMs?: number;
}

interface RelayParts {
  readonly log: TemporalRelayOptions['log'];
  readonly table: ProcessTable;
  readonly calls: TemporalCalls;
  readonly signal: AbortSignal;
  readonly logger: Logger;
  readonly parkAfterMs: number;
}

/** Makes one call until it is answered. `parked`: Temporal refuses it; the row stays behind and the reconciler tries again. */
async function insist(
  parts: RelayParts,
  id: string,
  call: () => Promise<CallResult>,
): Promise<'done' | 'missing' | 'parked'> {
  const began = performance.now();
  let waitMs = AWAY_MS.least;
  for (let tries = 1; !parts.signal.aborted; tries += 1) {
    const result = await call();
    if (result === 'done' || result === 'missing') return result;
    const why = result === 'away' ? 'Temporal does not answer' : result.failed;
    if (tries === 1) parts.logger.warn({ loop: 'temporal relay', process: id, why }, 'a call failed; trying again');
    if (result !== 'away' && performance.now() - began > parts.parkAfterMs) {
      parts.logger.error({ alarm: 'temporal_relay_parked', process: id, why }, 'left to the reconciler');
      return 'parked';
    }
    await pause(waitMs, parts.signal);
    waitMs = Math.min(AWAY_MS.most, waitMs * 2);
  }
  throw new Error('stopped while a call was under way');
}

/** Starts or signals one process. @returns its change, with the version that Temporal took the signal of */
async function advance(
  parts: RelayParts,
  { change, signal }: ProcessNews,
  known: ProcessRecord | undefined,
): Promise<ProcessChange> {
  const { id } = change;
  const signalled: ProcessChange = { ...change, signalled: change.due };
  const start = async (how: 'once' | 'again') => {
    const memo = await memoOf(parts.log, known ?? change);
    return insist(parts, id, () => parts.calls.start(id, memo, how));
  };
  const open = change.opened || known?.state === 'open';
  // What began and ended within one batch needs no run, but for a rollback: people must still be told.
  const isWanted = change.opened && (!change.closed || change.kind === 'rollback');
  if (isWanted && (await start('once')) === 'parked') return change;
  // No run waits for what was over before this batch, or never began.
  if (!signal || !open) return signalled;
  const result = await insist(parts, id, () => parts.calls.signal(id, signal));
  if (result === 'parked') return change;
  // Without a run: moot if the subject is closed; else the run was lost, and its start reloads everything.
  if (result === 'missing' && !change.closed && (await start('again')) === 'parked') return change;
  return signalled;
}

async function follow(parts: RelayParts, wakeUp: WakeUp, onMove: (logIndex: number) => void): Promise<void> {
  let cursor = await parts.table.cursor();
  while (!parts.signal.aborted) {
    const { events, upTo, unread, isEnd } = await readPast(parts.log, cursor, PAGE);
    // Its own process cannot fold it either; the others must not wait for it. `audit verify` and the read models name it.
    if (unread) parts.logger.error({ alarm: 'undecodable_fact', log_index: upTo, why: unread.message }, 'passed over');
    if (upTo > cursor) {
      const news = newsOf(events);
      const known = news.length > 0 ? await parts.table.find(news.map((n) => n.change.id)) : new Map<string, never>();
      const changes: ProcessChange[] = [];
      // A crash here makes these calls again: starts find their runs, signals are old news.
      await together(news, AT_ONCE, async (one) => {
        changes.push(await advance(parts, one, known.get(one.change.id)));
        return true;
      });
      await parts.table.move(cursor, upTo, changes);
      cursor = upTo;
      onMove(cursor);
    }
    if (isEnd) await wakeUp.wait(IDLE_POLL_MS, parts.signal);
  }
}

/**
 * Relays and reconciles until `signal` aborts; never throws. Any number may run: one leads. Survives that Temporal is not there
 * at the start or goes later (it waits), and that Temporal's database is deleted (the reconciler starts the open processes again).
 */
export function runTemporalRelay(options: TemporalRelayOptions): Promise<void> {
  const { connectionString, signal, logger, log, onMove = () => undefined, intercept = (calls) => calls } = options;
  return lead({ connectionString, name: 'temporal relay', signal, logger }, async (session, until) => {
    const wakeUp = createWakeUp();
    await listen(session, 'edgeml_log', wakeUp.wake);
    const failed = new AbortController();
    const calls = intercept(createTemporalCalls(options.temporal, options.taskQueue));
    const parts: RelayParts = {
      log,
      calls,
      logger,
      table: createProcessTable(session.client),
      signal: AbortSignal.any([until, failed.signal]),
      parkAfterMs: options.parkAfterMs ?? PARK_AFTER_MS,
    };
    const orStop = (loop: Promise<void>) =>
      loop.catch((error: unknown) => {
        failed.abort();
        throw error;
      });
    try {
      const returned = createWakeUp();
      const loops = [
        orStop(follow(parts, wakeUp, onMove)),
        orStop(keepReconciling(parts, options.reconcileEveryMs ?? 60_000, returned)),
        watchReturn(calls, parts.signal, returned.wake),
      ];
      const results = await Promise.allSettled(loops);
      const fault = results.find((r) => r.status === 'rejected');
      if (fault && !until.aborted) throw fault.reason;
    } finally {
      await calls.close();
    }
  });
}

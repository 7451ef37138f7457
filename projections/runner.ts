/** Keeps every read model at the log's tail: one leader each, woken by notifications, polling each second if there is none. */
import { createWakeUp, type WakeUp } from '../store/wakeUp.ts';
import type { Session } from '../store/connect.ts';
import { lead, type Logger } from '../store/leader.ts';
import { listen } from '../store/listen.ts';
import { pause } from '../store/pause.ts';
import { readCheckpoint } from './checkpoint.ts';
import { dropEarlier, fillFirst } from './firstFill.ts';
import type { LogReader } from './applying.ts';
import { createFollower, type Step } from './follower.ts';
import { projections } from './registry.ts';
import { shareReading } from './sharedReading.ts';
import { nextOf, schemaOf, type Projection } from './table.ts';

/** Subscribes to "the log grew"; the answer unsubscribes. It may call too often, late, or never. */
export type OnGrowth = (notify: (logIndex?: number) => void) => () => void;

export interface ProjectionState {
  readonly name: string;
  readonly schema: string;
  readonly role: 'standby' | 'leading';
  /** As this process last saw it; -1 before the first fact, or while another process leads. */
  readonly position: number;
  /** The gap in the log at which it stands; null while it runs. */
  readonly stopped: { readonly at: number; readonly why: string } | null;
  /** Facts that this process has set aside since it leads. */
  readonly setAside: number;
}

export interface ProjectionsOptions {
  /** As `edgeml_app`, direct. */
  readonly connectionString: string;
  readonly log: LogReader;
  readonly onGrowth?: OnGrowth;
  readonly signal: AbortSignal;
  readonly logger: Logger;
  /** Told of each change of state: metrics, readiness. */
  readonly onState?: (state: ProjectionState) => void;
  /** Those of this build, unless a test brings its own. */
  readonly projections?: readonly Projection[];
}

export interface RunningProjections {
  states(): readonly ProjectionState[];
  /** Resolves when `signal` has aborted and all of them have ended. Never rejects. */
  readonly done: Promise<void>;
}

const MAX_EVENTS = 1_000;
const BUDGET_MS = 50;
const POLL_MS = 1_000;
const RETRY_STOPPED_MS = 5_000;

async function follow(
  session: Session,
  signal: AbortSignal,
  options: {
    projection: Projection;
    log: LogReader;
    wakeUp: WakeUp;
    notify: (logIndex?: number) => void;
    logger: Logger;
    update: (change: Partial<ProjectionState>) => void;
  },
): Promise<void> {
  const { projection, log, wakeUp, notify, logger, update } = options;
  const { client } = session;
  const schema = schemaOf(projection);
  let stoppedAt: number | undefined;
  let setAside = 0;

  function note(step: Step): void {
    if (step.kind === 'moved') return;
    update({ position: step.position, stopped: step.kind === 'stopped' ? { at: step.at, why: step.why } : null });
    if (step.kind === 'stopped' && stoppedAt !== step.at) {
      logger.error({ projection: projection.name, log_index: step.at, why: step.why }, 'the projection stopped');
    }
    stoppedAt = step.kind === 'stopped' ? step.at : undefined;
    if (step.kind !== 'applied') return;
    update({ setAside: (setAside += step.setAside.length) });
    for (const { subject, first, why } of step.setAside.filter((one) => one.isFirst)) {
      const detail = { projection: projection.name, subject, log_index: first, why };
      logger.error(detail, 'a fact could not be applied: its subject is set aside');
    }
  }
  const fill = () => fillFirst(session, { projection, log, signal, logger, onStep: note });

  const start = (await readCheckpoint(client, schema)) ?? (await readCheckpoint(client, nextOf(schema)));
  update({ role: 'leading', position: start?.log_index ?? -1, stopped: null });
  await fill();
  if (signal.aborted) return;
  await dropEarlier(session, projection, logger).catch((error: unknown) => {
    logger.warn({ err: error, projection: projection.name }, 'what an earlier version left could not be dropped');
  });
  // The sequencer notifies here as well, so a silent NATS costs nothing.
  await listen(session, 'edgeml_log', (payload) => notify(Number(payload)));
  const follower = createFollower({ client, schema, projection, log, budgetMs: BUDGET_MS, maxEvents: MAX_EVENTS });
  while (!signal.aborted) {
    const step = await follower.advance();
    note(step);
    switch (step.kind) {
      case 'applied':
        break;
      case 'idle':
        await wakeUp.wait(POLL_MS, signal);
        break;
      case 'moved':
        logger.info({ projection: projection.name }, 'the checkpoint was moved by another; going on from there');
        await fill(); // dropped by hand: begin anew
        await pause(20, signal);
        break;
      case 'stopped':
        await pause(RETRY_STOPPED_MS, signal);
    }
  }
}

/**
 * Starts every projection. Needs Postgres only: a missing notification costs at most a second. A fact that a projection cannot
 * apply is set aside with its subject (`setAside.ts`) and told to the log; before a gap in the log it stands, says so in its state
 * and its checkpoint row, and tries again every 5 s.
 */
export function startProjections(options: ProjectionsOptions): RunningProjections {
  const { connectionString, onGrowth, signal, logger, onState } = options;
  const log = shareReading(options.log);
  const states = new Map<string, ProjectionState>();
  const loops = (options.projections ?? projections).map((projection) => {
    const schema = schemaOf(projection);
    const wakeUp = createWakeUp();
    const idle: ProjectionState = {
      name: projection.name,
      schema,
      role: 'standby',
      position: -1,
      stopped: null,
      setAside: 0,
    };
    const update = (change: Partial<ProjectionState>) => {
      const state = { ...(states.get(projection.name) ?? idle), ...change };
      states.set(projection.name, state);
      onState?.(state);
    };
    update({});
    // A relay far behind notifies for what is applied long ago.
    const notify = (logIndex?: number) => {
      if (logIndex === undefined || logIndex > (states.get(projection.name) ?? idle).position) wakeUp.wake();
    };
    const unsubscribe = onGrowth?.(notify);
    return lead({ connectionString, name: schema, signal, logger }, async (session, until) => {
      try {
        await follow(session, until, { projection, log, wakeUp, notify, logger, update });
      } finally {
        update({ role: 'standby' });
      }
    }).finally(() => unsubscribe?.());
  });
  return {
    states: () => [...states.values()],
    done: Promise.all(loops).then(() => undefined),
  };
}

/**
 * Pure. The clock of a rollout's stage (docs/design/rollout.md "Stage clock"): it counts the time that the stage was active. Ramp and bake are
 * both measured by it, in the chart, in what devices are told, in the list and in the plan: so it is counted here alone.
 */
import type { PauseCause } from '../events/rollout.ts';

export interface RunningClock {
  /** Milliseconds that ran before `since`. */
  readonly ranMs: number;
  /** Unix milliseconds; null while the clock stands. */
  readonly since: number | null;
}

export interface StageClock extends RunningClock {
  /** Unix milliseconds since when it stands; null while it runs, and before the first stage. */
  readonly stoodAt: number | null;
  /** How often the stage began anew, from 0: each time with fresh windows and a fresh bake. */
  readonly evidenceStage: number;
}

/** Before the first stage. */
export const NOT_RUNNING: StageClock = { ranMs: 0, since: null, stoodAt: null, evidenceStage: 0 };

/** A stage is entered at `at`. */
export const startClock = (at: number): StageClock => ({ ranMs: 0, since: at, stoodAt: null, evidenceStage: 0 });

/** Milliseconds that the stage has run by `now`; a clock never runs backwards. */
export const clockMs = ({ ranMs, since }: RunningClock, now: number): number =>
  ranMs + (since === null ? 0 : Math.max(0, now - since));

/** Held, paused or ended at `at`. One that stands already goes on standing. */
export const stopClock = (clock: StageClock, at: number): StageClock => ({
  ...clock,
  ranMs: clockMs(clock, at),
  since: null,
  stoodAt: clock.stoodAt ?? at,
});

export interface Resumption {
  /** Why it was paused; null: it was held. */
  readonly cause: PauseCause | null;
  readonly rampMs: number;
  /** A longer standstill begins the stage anew; null: nothing does, since fixed limits have no windows. */
  readonly silenceAfterMs: number | null;
  /** A person sets aside what the windows showed. */
  readonly setsAside: boolean;
}

/**
 * Goes on at `at`. An inconclusive stage bakes once more, as does one that begins anew; its ramp goes on where it stood, so that no device
 * changes sides (docs/adr/0004-an-inconclusive-stage-bakes-again.md).
 */
export function resumeClock(clock: StageClock, at: number, { cause, rampMs, ...of }: Resumption): StageClock {
  const stoodMs = clock.stoodAt === null ? 0 : at - clock.stoodAt;
  const beginsAnew = of.silenceAfterMs !== null && (of.setsAside || stoodMs > of.silenceAfterMs);
  return {
    ranMs: beginsAnew || cause === 'inconclusive' ? Math.min(clock.ranMs, rampMs) : clock.ranMs,
    since: at,
    stoodAt: null,
    evidenceStage: clock.evidenceStage + (beginsAnew ? 1 : 0),
  };
}

/** As rows and documents write it: times are RFC 3339 in UTC, with milliseconds. */
export interface WrittenClock {
  readonly clock_ms: number;
  readonly clock_since: string | null;
  readonly clock_stood: string | null;
  readonly evidence_stage: number;
}
const read = (instant: string | null): number | null => (instant === null ? null : Date.parse(instant));
const write = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

export const readClock = ({ clock_ms, clock_since, clock_stood, evidence_stage }: WrittenClock): StageClock => ({
  ranMs: clock_ms,
  since: read(clock_since),
  stoodAt: read(clock_stood),
  evidenceStage: evidence_stage,
});
export const writeClock = ({ ranMs, since, stoodAt, evidenceStage }: StageClock): WrittenClock => ({
  clock_ms: ranMs,
  clock_since: write(since),
  clock_stood: write(stoodAt),
  evidence_stage: evidenceStage,
});

/**
 * Pure. The clock of a rollout's stage (docs/design/rollout.md "Stage clock"): it counts the time that the stage was active. Ramp and bake are
 * both measured by it, in the chart, in what devices are told, in the list and in the plan: so it is counted here alone.
 */
import type { PauseCause, RolloutSpec, Verdict } from '../events/rollout.ts';

export interface StageClock {
  /** Milliseconds that ran before `since`. */
  readonly ranMs: number;
  /** Unix milliseconds; null while the clock stands. */
  readonly since: number | null;
}

/** Before the first stage. */
export const NOT_RUNNING: StageClock = { ranMs: 0, since: null };

/** A stage is entered at `at`. */
export const startClock = (at: number): StageClock => ({ ranMs: 0, since: at });

/** Milliseconds that the stage has run by `now`; a clock never runs backwards. */
export const clockMs = ({ ranMs, since }: StageClock, now: number): number =>
  ranMs + (since === null ? 0 : Math.max(0, now - since));

/** Held, paused or ended at `at`. */
export const stopClock = (clock: StageClock, at: number): StageClock => ({ ranMs: clockMs(clock, at), since: null });

/**
 * Resumed at `at`. An inconclusive stage bakes once more, and its ramp goes on where it stood, so that no device changes sides
 * (docs/adr/0004-an-inconclusive-stage-bakes-again.md).
 */
export const resumeClock = (
  { ranMs }: StageClock,
  at: number,
  { cause, rampMs }: { readonly cause: PauseCause | null; readonly rampMs: number },
): StageClock => ({ ranMs: cause === 'inconclusive' ? Math.min(ranMs, rampMs) : ranMs, since: at });

/** Whether a judgement stops the stage where it is, and asks a person: the spec says what a conviction does. */
export const holdsOn = (verdict: Verdict, onRegressed: RolloutSpec['on_regressed'] | undefined): boolean =>
  verdict === 'REGRESSED' && onRegressed === 'hold';

/** As rows and documents write it: `clock_since` is RFC 3339 in UTC, with milliseconds. */
export interface WrittenClock {
  readonly clock_ms: number;
  readonly clock_since: string | null;
}
export const readClock = ({ clock_ms, clock_since }: WrittenClock): StageClock => ({
  ranMs: clock_ms,
  since: clock_since === null ? null : Date.parse(clock_since),
});
export const writeClock = ({ ranMs, since }: StageClock): WrittenClock => ({
  clock_ms: ranMs,
  clock_since: since === null ? null : new Date(since).toISOString(),
});

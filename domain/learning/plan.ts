/**
 * Pure. What a training run does next (docs/design/learning.md "What a run does next"): a function of its fold, its open round's
 * row and the time.
 */
import { durationMs } from '../duration.ts';
import type { TrainingSpec } from '../events/training.ts';

/** Where a run stands, as plain data. Times are Unix ms on the database's clock. */
export type TrainingStanding = OfRun &
  (
    | { readonly phase: 'collecting'; readonly current: RoundStanding }
    /** `ending`: a person stopped it and the last facts are to come. `over`: succeeded or aborted. */
    | { readonly phase: 'between' | 'closed' | 'ending' | 'over' }
  );

interface OfRun {
  readonly spec: TrainingSpec;
  readonly now: number;
  readonly isPaused: boolean;
  /** Paused since a step failed the same way each time. */
  readonly isFaulty: boolean;
  /** Aggregated rounds. */
  readonly rounds: number;
  /** The last aggregated round waits for its held-out figures. */
  readonly isUnevaluated: boolean;
  /** Attempts of the next round so far. */
  readonly attempts: number;
  /** Abandoned in a row since the last aggregate or resume. */
  readonly missedInRow: number;
  readonly lastAbandoned: { readonly reason: string; readonly at: number } | null;
}

/** The round that is open. */
export interface RoundStanding {
  readonly round: number;
  readonly attempt: number;
  readonly deadline: number;
  readonly hardDeadline: number;
  readonly minUpdates: number;
  /** Updates that count towards goal and quorum. */
  readonly counted: number;
}

export type TrainingStep =
  | { readonly kind: 'open'; readonly round: number; readonly attempt: number }
  /** Until `leftMs` have passed, or the round closes. */
  | { readonly kind: 'collect'; readonly leftMs: number }
  | { readonly kind: 'close' }
  | { readonly kind: 'abandon'; readonly reason: 'quorum_miss' }
  | { readonly kind: 'aggregate' }
  | { readonly kind: 'evaluate' }
  | { readonly kind: 'pause'; readonly reason: string }
  | { readonly kind: 'finish' }
  /** Until `leftMs` have passed, or something happens; null: only the latter. */
  | { readonly kind: 'wait'; readonly leftMs: number | null }
  | { readonly kind: 'done' };

/** Milliseconds before the next attempt: the first pause, doubled with each further miss, at most the last. */
export function backoffMs(spec: TrainingSpec, missedInRow: number): number {
  // The fact's schema has exactly two.
  const [first, most] = spec.on_quorum_miss.backoff.map(durationMs) as [number, number];
  return Math.min(most, first * 2 ** Math.min(30, Math.max(0, missedInRow - 1)));
}

/**
 * The next step. Never throws. A pause opens no further round; an open one is still closed and aggregated, so no work is lost.
 * Its evaluation waits for the resume: one that fails pauses the run with its reason, which a paused run cannot record, and would
 * be tried for ever; after a fault everything waits for it. `retry` abandoned attempts in a row pause the run; resuming counts anew.
 */
export function planTraining(run: TrainingStanding): TrainingStep {
  if (run.isFaulty && run.phase !== 'over') return { kind: 'wait', leftMs: null };
  switch (run.phase) {
    case 'over':
      return { kind: 'done' };
    case 'ending':
      return { kind: 'finish' };
    case 'closed':
      return { kind: 'aggregate' };
    case 'collecting':
      return planCollecting(run.current, run.now);
    case 'between':
      return planBetween(run);
  }
}

function planCollecting(current: RoundStanding, now: number): TrainingStep {
  const hasQuorum = current.counted >= current.minUpdates;
  if (now < current.deadline) return { kind: 'collect', leftMs: current.deadline - now };
  if (hasQuorum) return { kind: 'close' };
  if (now < current.hardDeadline) return { kind: 'collect', leftMs: current.hardDeadline - now };
  return { kind: 'abandon', reason: 'quorum_miss' };
}

function planBetween(run: OfRun): TrainingStep {
  const { spec, missedInRow, lastAbandoned } = run;
  if (run.isPaused) return { kind: 'wait', leftMs: null };
  if (run.isUnevaluated && spec.evaluation) return { kind: 'evaluate' };
  if (run.rounds >= spec.rounds) return { kind: 'finish' };
  if (missedInRow > 0 && lastAbandoned) {
    if (missedInRow >= spec.on_quorum_miss.retry) return { kind: 'pause', reason: lastAbandoned.reason };
    const leftMs = lastAbandoned.at + backoffMs(spec, missedInRow) - run.now;
    if (leftMs > 0) return { kind: 'wait', leftMs };
  }
  return { kind: 'open', round: run.rounds + 1, attempt: run.attempts + 1 };
}

/** Pure. Whether a look may be believed: a fleet that has gone quiet, or a monitor that says we are blind, judges nobody. */
import { durationMs } from '../../duration.ts';
import type { EvidenceJudgement, EvidencePolicy } from '../../events/verdict.ts';

/** Looks in a row that must be good before a look is believed again. */
export const GOOD_LOOKS = 10;

export type Distrust = EvidenceJudgement['distrust'];

export interface Reading {
  /** Since the newest report of anyone. */
  readonly silentMs: number;
  /** The longest such silence of the last 7 days; null: nothing is known. */
  readonly longestGapMs: number | null;
  /** A signal is open that says the telemetry cannot be believed. */
  readonly blind: boolean;
  /** Good looks that are still owed after the last bad one; 0: trusted. */
  readonly owed: number;
}

/**
 * `owed` is what the next look is given.
 *
 * @source docs/design/judge.md "One look"
 */
export function trustOf(
  { silentMs, longestGapMs, blind, owed }: Reading,
  { stale_after: staleAfter }: EvidencePolicy['trust'],
): { readonly distrust: Distrust; readonly owed: number } {
  const answer = (distrust: Distrust) => ({ distrust, owed: owedAfter(distrust, owed) });
  if (blind) return answer('blind');
  const isStale =
    (longestGapMs !== null && silentMs >= 2 * longestGapMs) ||
    (staleAfter !== null && silentMs >= durationMs(staleAfter));
  if (isStale) return answer('stale');
  return answer(owed > 1 ? 'recovering' : null);
}

/** Good looks that are owed after a judgement: what the next one is given. */
export const owedAfter = (distrust: Distrust, owed: number): number => {
  if (distrust === 'stale' || distrust === 'blind') return GOOD_LOOKS;
  return Math.max(0, owed - 1);
};

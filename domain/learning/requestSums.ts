/** Pure. Numbers of a training request that fit one by one, but whose sums no fact could hold and no run could end in. */
import { durationMs, LONGEST_PLAN_MS } from '../duration.ts';
import type { TrainingSpec } from '../events/training.ts';

/** Most updates of a round without a goal, unless its quorum is higher. */
const ROOM = 4096;

/** Updates that a round of this spec takes before it is full. */
export const roomOf = ({ goal, min_updates }: Pick<TrainingSpec, 'goal' | 'min_updates'>): number =>
  goal ?? Math.max(ROOM, min_updates);

type Summed = Pick<
  TrainingSpec,
  'rounds' | 'goal' | 'min_updates' | 'windows' | 'on_quorum_miss' | 'aggregation' | 'admission'
>;

/**
 * What exceeds: ten years of rounds or of pauses between them; 2^53 samples in a run or weight in a round, which are summed
 * exactly. Every duration has been parsed.
 */
export function requestSums(request: Summed): { pointer: string; detail: string }[] {
  const { rounds, windows, on_quorum_miss, aggregation, admission } = request;
  const errors: { pointer: string; detail: string }[] = [];
  const days = (ms: number) =>
    `${Math.ceil(ms / 86_400_000)} days; at most ${LONGEST_PLAN_MS / 86_400_000} are planned`;
  const roundsMs = rounds * (durationMs(windows.report) + durationMs(windows.extend));
  if (roundsMs > LONGEST_PLAN_MS)
    errors.push({ pointer: '/rounds', detail: `times windows.report and windows.extend come to ${days(roundsMs)}` });
  const [, longest] = on_quorum_miss.backoff;
  const pausesMs = on_quorum_miss.retry * durationMs(longest);
  if (pausesMs > LONGEST_PLAN_MS)
    errors.push({ pointer: '/on_quorum_miss/retry', detail: `times the longest pause comes to ${days(pausesMs)}` });
  const room = roomOf(request);
  const exceeds = (n: number) => !Number.isSafeInteger(n);
  if (exceeds(room * aggregation.weight_cap))
    errors.push({
      pointer: '/aggregation/weight_cap',
      detail: `times ${room} updates of a round exceeds 2^53 - 1, the largest weight that is summed exactly`,
    });
  if (exceeds(rounds * room * admission.max_samples))
    errors.push({
      pointer: '/admission/max_samples',
      detail: `times ${room} updates of each of ${rounds} rounds exceeds 2^53 - 1, the most samples that are counted exactly`,
    });
  return errors;
}

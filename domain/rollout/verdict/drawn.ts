/**
 * Pure. The bit of a window over samples: a fixed number is drawn from what was seen, without replacement, so that a bit means the same whether
 * a report jumps to 20 or to 2,000 predictions (docs/design/judge.md "Metrics").
 */
import { hashWords } from '../assignment.ts';

/** ln of n·(n − 1)·…·(n − k + 1), k ≤ n. */
function lnFalling(n: number, k: number): number {
  let sum = 0;
  for (let i = 0; i < k; i += 1) sum += Math.log(n - i);
  return sum;
}

/** ln of n over k. */
const lnChoose = (n: number, k: number): number => lnFalling(n, k) - lnFalling(k, k);

/**
 * P(at least `bad` of `size` that are drawn without replacement are failures). Sums what is wanted, so a small answer is as exact as a large one.
 *
 * @param seen   samples, seen ≥ size
 * @param failed failures among them, 0 ≤ failed ≤ seen
 * @returns 0 to 1
 */
export function drawnAtLeast(seen: number, failed: number, size: number, bad: number): number {
  const good = seen - failed;
  const first = Math.max(bad, size - good);
  const last = Math.min(size, failed);
  if (first > last) return 0;
  if (size - good >= bad) return 1;
  let term = Math.exp(lnChoose(failed, first) + lnChoose(good, size - first) - lnChoose(seen, size));
  let sum = term;
  for (let j = first; j < last; j += 1) {
    term *= ((failed - j) / (j + 1)) * ((size - j) / (good - size + j + 1));
    sum += term;
  }
  return Math.min(1, sum);
}

/** The device's own number for this window, 0 ≤ u < 1: the same whenever and by whomever the bit is decided. */
export const uniformOf = (rollout: string, stage: number, metric: string, device: string): number =>
  hashWords(`${rollout}:${stage}:${metric}:${device}`)[0] / 2 ** 32;

/**
 * Pure. Figures that devices report, as sums: pooled by adding, never as a mean of means
 * (docs/design/learning.md "Lineage of a trained version").
 */

/** Over `n` samples; null where not reported. */
export interface MetricSums {
  readonly n: number;
  readonly loss_sum: number | null;
  readonly correct: number | null;
}

export interface PooledFigures {
  readonly loss: number | null;
  readonly accuracy: number | null;
  readonly n: number;
}

const isCount = (value: unknown, most: number): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most;

/**
 * The known figures of an update's `metrics` text. Others are dropped, and so are figures that are no sums over 1 to
 * `mostSamples` samples: metrics never refuse an update.
 *
 * @param wanted the spec's `metrics`: `loss` takes loss_sum, `accuracy` takes correct
 */
export function readMetrics(
  text: string | undefined,
  wanted: readonly string[],
  mostSamples: number,
): MetricSums | null {
  let value: unknown;
  try {
    value = JSON.parse(text ?? '');
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const n = 'n' in value ? value.n : undefined;
  if (!isCount(n, mostSamples) || n === 0) return null;
  const loss = 'loss_sum' in value ? value.loss_sum : undefined;
  const correct = 'correct' in value ? value.correct : undefined;
  return {
    n,
    loss_sum: wanted.includes('loss') && typeof loss === 'number' && Number.isFinite(loss) ? loss : null,
    correct: wanted.includes('accuracy') && isCount(correct, n) ? correct : null,
  };
}

/**
 * Pooled figures of a round. Each is over the samples of those that reported it; `n` counts all that reported anything.
 *
 * @param sums in manifest order: float additions depend on it
 */
export function poolMetrics(sums: Iterable<MetricSums | null>): PooledFigures {
  let n = 0;
  let lossSum = 0;
  let lossN = 0;
  let correct = 0;
  let correctN = 0;
  for (const one of sums) {
    if (!one) continue;
    n += one.n;
    if (one.loss_sum !== null) {
      lossSum += one.loss_sum;
      lossN += one.n;
    }
    if (one.correct !== null) {
      correct += one.correct;
      correctN += one.n;
    }
  }
  const loss = lossN > 0 ? lossSum / lossN : null;
  return {
    loss: loss !== null && Number.isFinite(loss) ? loss : null,
    accuracy: correctN > 0 ? correct / correctN : null,
    n,
  };
}

/**
 * Pure. Latency as counts per bucket of exponentially growing width, so that counts of devices add up and a quantile is within
 * 1 %. Bounds are exact integers: every engine puts a value into the same bucket.
 *
 * @source Masson, Rim, Lee 2019 (DDSketch), relative accuracy 0.01: γ = 1.01 / 0.99 = 101 / 99; docs/design/rollout.md "Reports and counters"
 */

/** Index of the last bucket, which also holds everything longer: about 7 hours. */
export const LAST_LATENCY_BUCKET = 1200;

interface Table {
  /** floor(γ^i): bucket i holds whole microseconds up to this one. */
  readonly bounds: readonly number[];
  /** The value that stands for the bucket, µs: 2·γ^i / (γ + 1), rounded. */
  readonly values: readonly number[];
}

let table: Table | undefined;

function tableOf(): Table {
  if (table) return table;
  const bounds: number[] = [];
  const values: number[] = [];
  let up = 1n; // 101^i
  let down = 1n; // 99^i
  for (let i = 0; i <= LAST_LATENCY_BUCKET; i += 1) {
    bounds.push(Number(up / down));
    // 2γ^i / (γ + 1) = 99 · 101^i / (100 · 99^i); adding a half rounds.
    values.push(Number((2n * 99n * up + 100n * down) / (200n * down)));
    up *= 101n;
    down *= 99n;
  }
  return (table = { bounds, values });
}

/**
 * Index ⌈ln x / ln γ⌉ of a latency in whole microseconds: 50,000 → 541. Below 1 counts as 1, beyond the last bucket as the last.
 *
 * @throws RangeError for what is no integer
 */
export function latencyBucket(micros: number): number {
  if (!Number.isInteger(micros)) throw new RangeError(`latency must be whole microseconds, not ${micros}`);
  const { bounds } = tableOf();
  let low = 0;
  let high = LAST_LATENCY_BUCKET;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (bounds[middle]! >= micros) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Whether `key` is the index of a bucket, written as decimal. */
export function isLatencyBucket(key: string): boolean {
  return /^(0|[1-9]\d{0,3})$/.test(key) && Number(key) <= LAST_LATENCY_BUCKET;
}

/** The whole microseconds that stand for a bucket; they are within 1 % of what it holds, up to rounding. */
export function bucketMicros(index: number): number {
  return tableOf().values[Math.min(Math.max(0, index), LAST_LATENCY_BUCKET)]!;
}

/** How many latencies the counts hold. */
export function latencyTotal(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, n) => sum + n, 0);
}

/**
 * The `percent`-th percentile of counted latencies, in whole microseconds: the bucket of rank ⌈percent · n / 100⌉.
 *
 * @param counts  predictions per bucket index
 * @param percent 1 to 100, an integer
 * @returns undefined where nothing was counted
 */
export function latencyQuantile(counts: Readonly<Record<string, number>>, percent: number): number | undefined {
  const total = latencyTotal(counts);
  if (total === 0) return undefined;
  const rank = Math.max(1, Math.ceil((percent * total) / 100));
  const buckets = Object.keys(counts)
    .map(Number)
    .sort((a, b) => a - b);
  let seen = 0;
  for (const bucket of buckets) {
    seen += counts[bucket] ?? 0;
    if (seen >= rank) return bucketMicros(bucket);
  }
  return undefined;
}

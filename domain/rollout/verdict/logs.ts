/** Pure. Logs as they decide and as they are kept. */

/** ln of the mean of e^v; the largest v is taken out first, so nothing overflows. @param values one or more */
export function lnMeanExp(values: ArrayLike<number>): number {
  let most = -Infinity;
  for (let i = 0; i < values.length; i += 1) most = Math.max(most, values[i]!);
  if (most === -Infinity) return most;
  let sum = 0;
  for (let i = 0; i < values.length; i += 1) sum += Math.exp(values[i]! - most);
  return most + Math.log(sum / values.length);
}

/** Whole millionths. Verdicts compare these, so what is recorded is what decided. */
export const millionths = (value: number): number => Math.round(value * 1_000_000);

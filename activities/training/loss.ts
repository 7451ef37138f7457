/** Loss and hits of logits against labels, as float64 sums. From logits: a sure error costs much, never infinity. */
import type { LossKind } from '../../domain/formats/evaluationSet.ts';

export interface Scores {
  readonly lossSum: number;
  readonly correct: number;
}

/** −y ln σ(z) − (1 − y) ln(1 − σ(z)), without overflow. */
function binary(logits: Float32Array, labels: Float64Array): Scores {
  let lossSum = 0;
  let correct = 0;
  for (let i = 0; i < labels.length; i += 1) {
    const z = logits[i]!;
    const y = labels[i]!;
    lossSum += Math.log1p(Math.exp(-Math.abs(z))) + Math.max(z, 0) - y * z;
    if (z > 0 === y > 0.5) correct += 1;
  }
  return { lossSum, correct };
}

/** ln Σ exp of one row, without overflow. */
function logSumExp(row: Float32Array): number {
  const most = row.reduce((a, b) => Math.max(a, b), -Infinity);
  return most + Math.log(row.reduce((s, z) => s + Math.exp(z - most), 0));
}

function classes(logits: Float32Array, labels: Float64Array, columns: number): Scores {
  let lossSum = 0;
  let correct = 0;
  for (let i = 0; i < labels.length; i += 1) {
    const row = logits.subarray(i * columns, (i + 1) * columns);
    const y = labels[i]!;
    lossSum += logSumExp(row) - row[y]!;
    let best = 0;
    for (let c = 1; c < columns; c += 1) if (row[c]! > row[best]!) best = c;
    if (best === y) correct += 1;
  }
  return { lossSum, correct };
}

/**
 * Sums over a batch. The first of equal logits is the class; a logit of 0 says no.
 *
 * @param logits [n, columns], before Sigmoid or Softmax
 * @param labels n of them: 0 to 1 for `binary`, else classes below `columns` (checked by the caller)
 */
export function scoreOf(logits: Float32Array, labels: Float64Array, columns: number, loss: LossKind): Scores {
  return loss === 'binary' ? binary(logits, labels) : classes(logits, labels, columns);
}

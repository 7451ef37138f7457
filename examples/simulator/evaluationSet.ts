/** Held-out mails as the dense tensors that the server's evaluation runs on. */
import { FEATURES, type Mail } from './mails.ts';

export interface DenseSet {
  /** float32 [n, FEATURES] */
  readonly input: Float32Array;
  /** float32 [n], 0 or 1 */
  readonly labels: Float32Array;
  readonly n: number;
}

export function denseSet(mails: readonly Mail[]): DenseSet {
  const input = new Float32Array(mails.length * FEATURES);
  mails.forEach((mail, row) => {
    for (const i of mail.at) input[row * FEATURES + i] = mail.weight;
  });
  return { input, labels: Float32Array.from(mails, (mail) => mail.label), n: mails.length };
}

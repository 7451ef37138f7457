/** Logistic regression on sparse mails, by plain SGD: what a device does with its own mails. Deterministic by seed. */
import { FEATURES, type Mail } from './mails.ts';

/** `weight`: float32 [1, FEATURES]; `bias`: float32 [1]. Tensor names of the model file. */
export interface Parameters {
  readonly weight: Float32Array;
  readonly bias: Float32Array;
}

export interface LocalPlan {
  readonly epochs: number;
  readonly batchSize: number;
  readonly lr: number;
  readonly seed: number;
}

export interface LocalResult {
  readonly delta: Parameters;
  readonly samples: number;
  /** Sums over the mails, after training: `loss_sum` is binary cross-entropy. */
  readonly metrics: { readonly n: number; readonly loss_sum: number; readonly correct: number };
}

export const zeroParameters = (): Parameters => ({ weight: new Float32Array(FEATURES), bias: new Float32Array(1) });

function score({ weight, bias }: Parameters, mail: Mail): number {
  let z = bias[0]!;
  for (const i of mail.at) z += weight[i]! * mail.weight;
  return z;
}

const sigmoid = (z: number) => 1 / (1 + Math.exp(-z));

/** mulberry32: a small seeded generator, enough to shuffle. */
function randomOf(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function shuffled(n: number, random: () => number): number[] {
  const order = Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/** Loss and accuracy of a model over mails, as sums. */
export function measure(parameters: Parameters, mails: readonly Mail[]) {
  let lossSum = 0;
  let correct = 0;
  for (const mail of mails) {
    const z = score(parameters, mail);
    lossSum += Math.log1p(Math.exp(-Math.abs(z))) + Math.max(z, 0) - (mail.label === 1 ? z : 0);
    if (z > 0 === (mail.label === 1)) correct += 1;
  }
  return { n: mails.length, loss_sum: lossSum, correct };
}

/** Trains on the mails and gives the change against `base`. */
export function trainLocally(base: Parameters, mails: readonly Mail[], plan: LocalPlan): LocalResult {
  const local: Parameters = { weight: base.weight.slice(), bias: base.bias.slice() };
  const random = randomOf(plan.seed);
  for (let epoch = 0; epoch < plan.epochs; epoch += 1) {
    const order = shuffled(mails.length, random);
    for (let start = 0; start < order.length; start += plan.batchSize) {
      const batch = order.slice(start, start + plan.batchSize).map((i) => mails[i]!);
      const errors = batch.map((mail) => sigmoid(score(local, mail)) - mail.label);
      batch.forEach((mail, k) => {
        const step = (plan.lr * errors[k]!) / batch.length;
        for (const i of mail.at) local.weight[i]! -= step * mail.weight;
        local.bias[0]! -= step;
      });
    }
  }
  return {
    delta: {
      weight: local.weight.map((w, i) => w - base.weight[i]!),
      bias: local.bias.map((b, i) => b - base.bias[i]!),
    },
    samples: mails.length,
    metrics: measure(local, mails),
  };
}

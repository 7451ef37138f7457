/** Random numbers that come again: one seed, one run. */

export interface Random {
  /** 0 ≤ u < 1. */
  (): number;
}

/** sfc32. @source PractRand, Chris Doty-Humphrey */
export function createRandom(seed: number): Random {
  let a = 0x9e3779b9 ^ seed;
  let b = (0x243f6a88 + seed * 7919) | 0;
  let c = 0xb7e15162 ^ (seed << 7);
  let d = 1;
  const next = (): number => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + t;
    c |= 0;
    return (t >>> 0) / 4_294_967_296;
  };
  for (let i = 0; i < 20; i += 1) next();
  return next;
}

export const exponential = (random: Random): number => -Math.log(1 - random());

/** Two independent ones. @source Box and Muller 1958 */
export function twoNormals(random: Random): readonly [number, number] {
  const radius = Math.sqrt(2 * exponential(random));
  const angle = 2 * Math.PI * random();
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}

export const normal = (random: Random): number => twoNormals(random)[0];

/** Sum of `k` exponentials: when the k-th of a stream of events comes. */
export function gamma(random: Random, k: number): number {
  let sum = 0;
  // Ten at a time: the product of their uniforms does not come near the smallest double.
  for (let left = k; left > 0; left -= 10) {
    let product = 1;
    for (let i = Math.min(left, 10); i > 0; i -= 1) product *= 1 - random();
    sum -= Math.log(product);
  }
  return sum;
}

export function poisson(random: Random, mean: number): number {
  if (mean <= 0) return 0;
  if (mean > 30) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal(random)));
  const least = Math.exp(-mean);
  let n = 0;
  for (let p = random(); p > least; p *= random()) n += 1;
  return n;
}

export function binomial(random: Random, n: number, p: number): number {
  if (p <= 0 || n <= 0) return 0;
  if (p >= 1) return n;
  if (n * p > 30 && n * (1 - p) > 30) {
    return Math.min(n, Math.max(0, Math.round(n * p + normal(random) * Math.sqrt(n * p * (1 - p)))));
  }
  if (p > 0.5) return n - binomial(random, n, 1 - p);
  // From one success to the next.
  const scale = Math.log1p(-p);
  let found = 0;
  for (let i = Math.floor(Math.log(1 - random()) / scale); i < n; i += 1 + Math.floor(Math.log(1 - random()) / scale)) {
    found += 1;
  }
  return found;
}

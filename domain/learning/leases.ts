/** Pure. How many devices a round asks, and which plan each of them gets (docs/design/learning.md "Devices asked for and seeds"). */
import { bytesToHex, sha256, utf8ToBytes } from '../hash/sha256.ts';

/** Chance that a round which asked `need` devices reaches its goal. */
const CONFIDENCE = 0.99;

/** P(Binomial(n, p) ≥ goal), by summing the upper tail's ratios from its largest terms. */
function upperTail(n: number, p: number, goal: number): number {
  if (p >= 1) return n >= goal ? 1 : 0;
  let logTerm = n * Math.log1p(-p); // P(X = 0)
  let below = 0;
  for (let x = 0; x < goal; x += 1) {
    below += Math.exp(logTerm);
    logTerm += Math.log((n - x) / (x + 1)) + Math.log(p) - Math.log1p(-p);
  }
  return 1 - below;
}

/**
 * Least n with P(Binomial(n, 1 − dropout) ≥ goal) ≥ 0.99, at most max(2 goal, goal + 3).
 *
 * @param goal    updates wanted, ≥ 1
 * @param dropout share of devices expected to fall silent, 0 to below 1
 */
export function leasesNeeded(goal: number, dropout: number): number {
  const most = Math.max(2 * goal, goal + 3);
  let low = goal;
  let high = most;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (upperTail(middle, 1 - dropout, goal) >= CONFIDENCE) high = middle;
    else low = middle + 1;
  }
  return low;
}

const drawText = (seed: string, round: number, attempt: number, deviceId: string) =>
  `${seed}|${round}.${attempt}|${deviceId}`;

/** 32 bits that decide the draw: in when below the round's threshold. @param seed the run's seed, hex */
export function drawOf(seed: string, round: number, attempt: number, deviceId: string): number {
  const digest = sha256(utf8ToBytes(drawText(seed, round, attempt, deviceId)));
  return new DataView(digest.buffer, digest.byteOffset).getUint32(0);
}

/** The seed of a device's own randomness (shuffling), hex. No run id goes in, so that a golden run can be pinned. */
export function planSeed(seed: string, round: number, attempt: number, deviceId: string): string {
  return bytesToHex(sha256(utf8ToBytes(`${drawText(seed, round, attempt, deviceId)}|plan`)));
}

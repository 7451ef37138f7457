/** What the windows of a stage did, in the order in which the judge learns of it. One number an event, since a stage has millions. */
import { METRICS } from '../../domain/rollout/verdict/index.ts';

export const OPENED = 0;
export const GOOD = 1;
export const BAD = 2;
export type Kind = typeof OPENED | typeof GOOD | typeof BAD;

export const CANARY = 0;
export const CONTROL = 1;
export type ArmIndex = typeof CANARY | typeof CONTROL;

export const METRIC_INDEX: ReadonlyMap<string, number> = new Map(METRICS.map((row, i) => [row.name, i]));
/** Quarter hours of stage clock; a stage of ten days has fewer. */
export const STRATA = 1024;

export const leafOf = (code: number): number => code & 255;
export const kindOf = (code: number): Kind => ((code >> 8) & 3) as Kind;
export const armOf = (code: number): ArmIndex => ((code >> 10) & 1) as ArmIndex;
export const metricOf = (code: number): number => (code >> 11) & 15;
export const stratumAt = (code: number): number => code >> 15;

export interface WindowLog {
  /** Events after the last look are left out. */
  add(look: number, metric: number, kind: Kind, arm: ArmIndex, stratum: number, leaf: number): void;
  /** Events by look; each is called once, in rising order. */
  eachLook(visit: (look: number, codes: Int32Array) => void): void;
}

/** @param looks how many looks the stage has at most */
export function createWindowLog(looks: number): WindowLog {
  let size = 0;
  let at = new Uint16Array(1 << 14);
  let codes = new Int32Array(1 << 14);
  return {
    add(look, metric, kind, arm, stratum, leaf) {
      if (!(look < looks)) return;
      if (size === at.length) {
        const [wider, longer] = [new Uint16Array(size * 2), new Int32Array(size * 2)];
        wider.set(at);
        longer.set(codes);
        [at, codes] = [wider, longer];
      }
      at[size] = Math.max(0, look);
      codes[size] = leaf | (kind << 8) | (arm << 10) | (metric << 11) | (stratum << 15);
      size += 1;
    },
    eachLook(visit) {
      // Counting sort: looks are few, events are many.
      const starts = new Uint32Array(looks + 1);
      for (let i = 0; i < size; i += 1) starts[at[i]! + 1]! += 1;
      for (let k = 0; k < looks; k += 1) starts[k + 1]! += starts[k]!;
      const next = starts.slice();
      const sorted = new Int32Array(size);
      for (let i = 0; i < size; i += 1) {
        const place = next[at[i]!]!;
        next[at[i]!] = place + 1;
        sorted[place] = codes[i]!;
      }
      for (let k = 0; k < looks; k += 1) visit(k, sorted.subarray(starts[k], starts[k + 1]));
    },
  };
}

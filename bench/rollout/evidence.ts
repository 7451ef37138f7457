/** Counts of a stage as the store will keep them, folded from its windows: by metric, segment and quarter hour. */
import {
  METRICS,
  segmentsOf,
  tallyOf,
  without,
  type MetricEvidence,
  type Stratum,
  type Tally,
} from '../../domain/rollout/verdict/index.ts';
import type { Fault } from './faults.ts';
import { LEAVES } from './fleet.ts';
import { armOf, BAD, CANARY, kindOf, leafOf, metricOf, OPENED, STRATA, stratumAt } from './windows.ts';

/** A test: one metric, whole or in one segment. */
interface Cell {
  readonly strata: (Mutable | undefined)[];
  /** Those with a bad window: only they are in the tally. */
  readonly bad: Mutable[];
  tally: Tally;
  isStale: boolean;
}
type Mutable = { -readonly [K in keyof Stratum]: Stratum[K] };

export interface Evidence {
  /** Takes the events of one look; answers whether a bad window is among them. */
  take(codes: Int32Array): boolean;
  read(): MetricEvidence[];
  restOf(metric: string, segment: string): Tally;
}

const emptyCell = (): Cell => ({ strata: [], bad: [], tally: { x: 0, y: 0, theta: 0 }, isStale: false });

/** @param share of the design: canary's buckets by those of both arms; for the fault `design-theta` */
export function createEvidence(segments: readonly string[], share: number, fault?: Fault): Evidence {
  const index = new Map(segments.map((segment, i) => [segment, i + 1]));
  /** Tests that a leaf is in; 0 is everyone. */
  const ofLeaf = LEAVES.map((leaf) => [0, ...segmentsOf(leaf).flatMap((segment) => index.get(segment) ?? [])]);
  const cells = METRICS.map(() => Array.from({ length: segments.length + 1 }, emptyCell));
  const opened = METRICS.map((): [number, number] => [0, 0]);
  const ended = METRICS.map((): [number, number] => [0, 0]);
  const counts = METRICS.map((row) => row.counts === 'opened');

  const designed = (tally: Tally): Tally =>
    fault === 'design-theta' ? { ...tally, theta: (tally.x + tally.y) * Math.round(share * 1e6) } : tally;
  function tallyAt(cell: Cell): Tally {
    if (cell.isStale) {
      cell.tally = designed(tallyOf(cell.bad));
      cell.isStale = false;
    }
    return cell.tally;
  }

  const segmentsAt = (m: number): MetricEvidence['segments'] =>
    segments.flatMap((segment, i) => {
      const tally = tallyAt(cells[m]![i + 1]!);
      return tally.x > 0 ? [{ segment, ...tally }] : [];
    });

  return {
    take(codes) {
      let hasBad = false;
      for (const code of codes) {
        const [metric, arm, kind] = [metricOf(code), armOf(code), kindOf(code)];
        const isBad = kind === BAD;
        if (kind === OPENED) opened[metric]![arm] += 1;
        else ended[metric]![arm] += 1;
        const isCounted = counts[metric] ? kind === OPENED : kind !== OPENED;
        if (!isCounted && !isBad) continue;
        hasBad ||= isBad;
        const stratum = Math.min(STRATA - 1, stratumAt(code));
        for (const test of ofLeaf[leafOf(code)]!) {
          const cell = cells[metric]![test]!;
          const at = (cell.strata[stratum] ??= { canary: 0, control: 0, x: 0, y: 0 });
          if (isCounted) arm === CANARY ? (at.canary += 1) : (at.control += 1);
          if (isBad) {
            if (at.x + at.y === 0) cell.bad.push(at);
            arm === CANARY ? (at.x += 1) : (at.y += 1);
          }
          if (at.x + at.y > 0) cell.isStale = true;
        }
      }
      return hasBad;
    },
    read: () =>
      METRICS.map((row, m) => ({
        metric: row.name,
        whole: tallyAt(cells[m]![0]!),
        opened: opened[m]!,
        ended: ended[m]!,
        segments: tallyAt(cells[m]![0]!).x === 0 ? [] : segmentsAt(m),
      })),
    restOf(metric, segment) {
      const ofMetric = cells[METRICS.findIndex((row) => row.name === metric)]!;
      if (fault === 'no-attribution') return tallyAt(ofMetric[0]!);
      const part = ofMetric[index.get(segment)!]!;
      const none: Stratum = { canary: 0, control: 0, x: 0, y: 0 };
      return designed(
        tallyOf(ofMetric[0]!.strata.flatMap((whole, i) => (whole ? [without(whole, part.strata[i] ?? none)] : []))),
      );
    },
  };
}

/** Pure. Before the start: what each stage will be able to show on this fleet, and what it cannot (docs/design/judge.md "Proven healthy"). */
import { BUCKETS } from '../assignment.ts';
import { lnG } from './comparison.ts';
import { gating, type EvidenceSpec } from './judge.ts';
import { lnA } from './limit.ts';
import { METRICS, type Metric } from './metrics.ts';
import { lnIfWorse, negligibleOf, proofLevel } from './proof.ts';
import { testedSegments, type EvidenceCell } from './segments.ts';
import { binomialQuantile, lnAtLeast, lnAtMost } from './tails.ts';
import { lnThreshold, testsOf } from './threshold.ts';

/** How many times as bad: the smallest that would be convicted is told. */
const MULTIPLES = [1.5, 2, 3, 5, 10, 20] as const;
/** "In 9 runs of 10." */
const SURE = 0.9;
/** Devices whose windows end within the bake: some are told and never seen again, some are hardly used. */
const WATCHED = 0.8;
/** Runs of control that stand for all of them, one for each twentieth. */
const RUNS = Array.from({ length: 20 }, (_, i) => (i + 0.5) / 20);

export interface StagePreflight {
  readonly stage: number;
  /** Of 10,000, that the stage will have told. */
  readonly buckets: number;
  /** Devices expected in each arm. */
  readonly canary: number;
  readonly control: number;
  readonly segments: readonly string[];
  readonly metrics: readonly {
    readonly metric: string;
    /** The smallest multiple of control that is convicted in 9 runs of 10; null: none of them. */
    readonly convicts: number | null;
    /** Chance that a version like control is proven. */
    readonly proof: number;
  }[];
  /** Whether a healthy version is proven in 9 runs of 10: if not, a quiet stage may go on. */
  readonly canProve: boolean;
}

export interface Fleet {
  /** Devices of the cohort that were seen of late. */
  readonly leaves: readonly (EvidenceCell & { readonly devices: number })[];
  readonly hasControl: boolean;
  readonly measured: readonly string[];
  /** Share of bad devices under the stable version, where it is known. */
  readonly usual?: Readonly<Record<string, number>>;
}

/** Buckets that a stage ends with; the holdback stays outside. */
export const stageBuckets = (percent: number, holdback: number): number =>
  Math.min(Math.round(percent * 100), BUCKETS - Math.round(holdback * 100));

/** The smallest whole number in [0, most + 1] from which on `holds`; `holds` must not become false again. */
function firstFrom(most: number, holds: (x: number) => boolean): number {
  let [low, high] = [0, most + 1];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** One entry a stage. Deterministic; takes some milliseconds a stage. */
export const preflight = (spec: EvidenceSpec, fleet: Fleet, table: readonly Metric[] = METRICS): StagePreflight[] =>
  spec.stages.map((_, stage) => preflightStage(spec, stage, fleet, table));

/** @throws RangeError where the spec has no such stage (a bug) */
export function preflightStage(
  spec: EvidenceSpec,
  stage: number,
  fleet: Fleet,
  table: readonly Metric[] = METRICS,
): StagePreflight {
  const percent = spec.stages[stage]?.percent;
  if (percent === undefined) throw new RangeError(`the spec has no stage ${stage}`);
  const devices = fleet.leaves.reduce((sum, leaf) => sum + leaf.devices, 0);
  const rows = gating(table, fleet.measured, spec.evidence);
  const buckets = stageBuckets(percent, spec.evidence.holdback);
  const canary = Math.round((devices * buckets) / BUCKETS);
  const control = fleet.hasControl ? devices - canary : 0;
  const segments = testedSegments(fleet.leaves, buckets);
  const tests = testsOf(rows, spec.evidence, control > 0, segments.length);
  const threshold = lnThreshold(tests, spec.stages.length, spec.evidence.verdict.alpha);
  const arms = { canary: Math.round(canary * WATCHED), control: Math.round(control * WATCHED), threshold };
  const metrics = rows
    .filter((row) => row.proves)
    .map((row) => {
      const usual = fleet.usual?.[row.name] ?? row.usual;
      return {
        metric: row.name,
        convicts: MULTIPLES.find((k) => conviction(row, spec, arms, usual, k) >= SURE) ?? null,
        proof: proofChance(row, spec, arms, usual),
      };
    });
  const sure = metrics.reduce((product, { proof }) => product * proof, 1);
  return { stage, buckets, canary, control, segments, metrics, canProve: metrics.length > 0 && sure >= SURE };
}

interface Arms {
  readonly canary: number;
  readonly control: number;
  readonly threshold: number;
}

/** Chance that a version `k` times as bad is convicted at the end of the stage. */
function conviction(row: Metric, { evidence }: EvidenceSpec, arms: Arms, usual: number, k: number): number {
  const { canary, control, threshold } = arms;
  const own = evidence.metrics[row.policy];
  if (!own || !row.blames || canary === 0) return 0;
  const limit = own.on_limit === 'rollback' ? own.limit : null;
  const byA =
    limit === null ? canary + 1 : firstFrom(canary, (x) => lnA(x, canary, limit) >= threshold && x >= canary * limit);
  const rate = Math.min(0.99, usual * k);
  const theta = canary / (canary + control);
  const chanceFrom = (x: number): number => Math.exp(lnAtLeast(x, canary, rate));
  if (!row.compared || control === 0) return chanceFrom(byA);
  return meanOf(
    RUNS.map((q) => {
      const y = binomialQuantile(q, control, usual);
      return chanceFrom(
        Math.min(
          byA,
          firstFrom(canary, (x) => lnG(x, y, theta, own.tolerated) >= threshold),
        ),
      );
    }),
  );
}

/** Chance that a version like control is proven at one look. */
function proofChance(row: Metric, { evidence, stages }: EvidenceSpec, arms: Arms, usual: number): number {
  const { canary, control } = arms;
  const level = proofLevel(stages.length, evidence.verdict.beta);
  const negligible = negligibleOf(row, evidence);
  const below = (x: number): number => Math.exp(lnAtMost(x - 1, canary, usual));
  const harmless = negligible === null ? 0 : firstFrom(canary, (x) => lnAtMost(x, canary, negligible) > level);
  if (!row.compared || control === 0 || canary === 0) return below(harmless);
  const theta = canary / (canary + control);
  return meanOf(
    RUNS.map((q) => {
      const y = binomialQuantile(q, control, usual);
      const tally = (x: number) => ({ x, y, theta: (x + y) * theta * 1e6 });
      const relative = firstFrom(
        canary,
        (x) => lnIfWorse(tally(x), [canary, control], evidence.verdict.proven) > level,
      );
      return below(Math.max(harmless, relative));
    }),
  );
}

/**
 * Pure. `verdict@1`: one look at a stage. The ladder is read top to bottom in one sitting, so it stands in one file; each rung's arithmetic has a
 * file of its own.
 */
import { durationMs, formatDuration } from '../../duration.ts';
import type { Stage } from '../../events/rollout.ts';
import type {
  EvidenceJudgement,
  EvidencePolicy,
  EvidenceVerdict,
  Guilt,
  JudgedMetric,
  JudgedSegment,
} from '../../events/verdict.ts';
import { canonicalSha } from '../../hash/canonicalJson.ts';
import { attribute, byGuilt } from './attribution.ts';
import { lnG, shareOf, type Tally } from './comparison.ts';
import { lnA } from './limit.ts';
import { millionths } from './logs.ts';
import { METRICS, type Metric } from './metrics.ts';
import { isProven } from './proof.ts';
import { lnThreshold, suspicion, testsOf, type Tests } from './threshold.ts';
import { trustOf } from './trust.ts';

/** Segments that a judgement records. The largest ln G come first, so what is cut off decides nothing. */
const MOST_SEGMENTS = 150;
/** Windows of canary that a quiet stage must have seen, if it has so many devices. */
const QUIET_WINDOWS = 10;

export interface EvidenceSpec {
  readonly stages: readonly Stage[];
  readonly evidence: EvidencePolicy;
}

/** Windows of a metric in both arms, canary first. Integers. */
export interface MetricEvidence {
  readonly metric: string;
  readonly whole: Tally;
  readonly opened: readonly [canary: number, control: number];
  /** Of `crash` and `silence`: bad, or older than `silence.after`. */
  readonly ended: readonly [canary: number, control: number];
  /** Segments with a bad window of canary; others say nothing against it. */
  readonly segments: readonly (Tally & { readonly segment: string })[];
}

export interface EvidenceLook {
  readonly spec: EvidenceSpec;
  readonly stage: number;
  readonly evidenceStage: number;
  /** Number that this HealthJudged would have in its stage, from 1. */
  readonly look: number;
  /** Stage clock, milliseconds. */
  readonly clockMs: number;
  readonly given: EvidenceJudgement['given'];
  /** In the order of the table; metrics that are not measured may be there and decide nothing. */
  readonly evidence: readonly MetricEvidence[];
  /** The tally of a metric outside one segment; asked at a conviction only. */
  readonly restOf: (metric: string, segment: string) => Tally;
  /** The table of metrics. */
  readonly table?: readonly Metric[];
}

/** Names the policy that was in force, by content. */
export function evidenceSha(policy: EvidencePolicy): string {
  const sha = shas.get(policy) ?? canonicalSha(policy);
  shas.set(policy, sha);
  return sha;
}
/** Of policies, which are never changed: thousands of judgements name the same one. */
const shas = new WeakMap<EvidencePolicy, string>();

/** A metric that decides at this look. */
interface Judged {
  readonly row: Metric;
  readonly policy: EvidencePolicy['metrics'][string];
  readonly seen: MetricEvidence;
  readonly record: JudgedMetric;
  readonly segments: readonly JudgedSegment[];
}

/** Metrics of the table that were measured and gate, in its order. */
export const gating = (
  table: readonly Metric[],
  measured: readonly string[],
  policy: EvidencePolicy,
): readonly Metric[] => table.filter((row) => measured.includes(row.name) && policy.metrics[row.policy]?.gate === true);

const EMPTY: Omit<MetricEvidence, 'metric'> = {
  whole: { x: 0, y: 0, theta: 0 },
  opened: [0, 0],
  ended: [0, 0],
  segments: [],
};

function judgeMetric(row: Metric, seen: MetricEvidence, policy: EvidencePolicy, hasControl: boolean): Judged {
  const own = policy.metrics[row.policy]!;
  const isCompared = hasControl && row.compared;
  const g = (tally: Tally): number => millionths(lnG(tally.x, tally.y, shareOf(tally), own.tolerated));
  const [canary, control] = row.counts === 'opened' ? seen.opened : seen.ended;
  const a = (bad: number, windows: number): number | null =>
    own.limit === null ? null : millionths(lnA(bad, windows, own.limit));
  const { x, y, theta } = seen.whole;
  const record: JudgedMetric = {
    metric: row.name,
    x,
    y,
    theta,
    opened: [...seen.opened],
    ended: [...seen.ended],
    ln_g: isCompared ? g(seen.whole) : null,
    ln_a: a(x, canary),
    ln_a_control: row.compared ? a(y, control) : null,
  };
  const segments = isCompared
    ? seen.segments
        .filter((segment) => segment.x > 0)
        .map((s) => ({ metric: row.name, segment: s.segment, x: s.x, y: s.y, theta: s.theta, ln_g: g(s) }))
    : [];
  return { row, policy: own, seen, record, segments };
}

/** The largest ln G of a metric, whole or in a segment. */
const worstG = ({ record, segments }: Judged): number =>
  segments.reduce((most, s) => Math.max(most, s.ln_g), record.ln_g ?? -Infinity);

/** A is at the threshold, and control's is not: a baseline that is sick itself says nothing. */
const isOverLimit = ({ record }: Judged, threshold: number): boolean =>
  record.ln_a !== null && record.ln_a >= threshold && (record.ln_a_control === null || record.ln_a_control < threshold);

function guiltOf(judged: readonly Judged[], threshold: number, look: EvidenceLook): Guilt | null {
  const worst = judged
    .filter(({ row }) => row.blames)
    .reduce<Judged | undefined>((most, one) => (most && worstG(most) >= worstG(one) ? most : one), undefined);
  if (worst && worstG(worst) >= threshold) {
    const { row, policy, segments } = worst;
    return attribute(row.name, segments, (segment) => look.restOf(row.name, segment), policy.tolerated);
  }
  const over = judged.find(
    (one) => one.row.blames && one.policy.on_limit === 'rollback' && isOverLimit(one, threshold),
  );
  return over ? { metric: over.row.name, by: 'A', named: null, rest: null } : null;
}

/** No log of any test is suspicious. */
const isCalm = (judged: readonly Judged[], tests: Tests): boolean =>
  judged.every((one) => Math.max(worstG(one), one.record.ln_a ?? -Infinity) < suspicion(tests));

const plural = (n: number, what: string) => `${n} ${what}${n === 1 ? '' : 's'}`;

/** What HEALTHY lacks, in words, one line a metric. */
function lacking(
  judged: readonly Judged[],
  proven: readonly string[],
  { told, active }: EvidenceLook['given'],
): string[] {
  const unproven = judged.filter(({ row }) => row.proves && !proven.includes(row.name));
  const lines = unproven.map(
    ({ row, seen }) => `${row.name}: not proven by ${plural(seen.ended[0], 'window')} of canary`,
  );
  if (judged.length === 0) lines.push('nothing is measured');
  if (2 * active < told) lines.push(`active: ${active} of ${plural(told, 'told device')}`);
  return lines;
}

/**
 * One look. Never throws for numbers that fit their types; the same look gives the same judgement.
 *
 * 1. Not trusted: UNTRUSTED.
 * 2. G convicts, or A where a person asked for that: REGRESSED. A otherwise: HELD.
 * 3. Before ramp + min_bake: PENDING.
 * 4. Every metric proven, and half of the told devices active: HEALTHY.
 * 5. A stage that could not prove, has seen something and nothing suspicious: QUIET.
 * 6. PENDING until ramp + max_bake, then INCONCLUSIVE.
 *
 * @throws RangeError where the spec has no such stage (a bug)
 * @source docs/design/judge.md "One look"
 */
export function judgeEvidence(look: EvidenceLook): EvidenceJudgement {
  const { spec, given, evidence, clockMs, table = METRICS } = look;
  const policy = spec.evidence;
  const stage = spec.stages[look.stage];
  if (!stage) throw new RangeError(`the spec has no stage ${look.stage}`);

  const rows = gating(table, given.measured, policy);
  const tests = testsOf(rows, policy, given.has_control, given.segments);
  const threshold = millionths(lnThreshold(tests, spec.stages.length, policy.verdict.alpha));
  const judged = rows.map((row) => {
    const seen = evidence.find((e) => e.metric === row.name) ?? { metric: row.name, ...EMPTY };
    return judgeMetric(row, seen, policy, given.has_control);
  });

  const { distrust } = trustOf(
    {
      silentMs: given.silent_ms,
      longestGapMs: given.longest_gap_ms,
      blind: given.blind,
      owed: given.good_looks_owed,
    },
    policy.trust,
  );
  const guilt = distrust === null ? guiltOf(judged, threshold, look) : null;
  const over = judged.filter((one) => isOverLimit(one, threshold)).map(({ row }) => row.name);
  const context = { policy, stages: spec.stages.length, hasControl: given.has_control };
  const proven = judged
    .filter(
      ({ row, seen }) =>
        row.proves &&
        (given.proven_before.includes(row.name) ||
          (given.proof_look && distrust === null && isProven(row, seen, context))),
    )
    .map(({ row }) => row.name);
  const missing = lacking(judged, proven, given);

  const rampMs = durationMs(stage.ramp);
  const verdict = ((): EvidenceVerdict => {
    if (distrust !== null) return 'UNTRUSTED';
    if (guilt) return 'REGRESSED';
    if (over.length > 0) return 'HELD';
    if (clockMs < rampMs + durationMs(stage.min_bake)) return 'PENDING';
    if (missing.length === 0) return 'HEALTHY';
    const least = Math.min(QUIET_WINDOWS, given.told);
    const hasSeen = least > 0 && judged.every(({ row, seen }) => !row.proves || seen.ended[0] >= least);
    if (!given.can_prove && judged.length > 0 && hasSeen && isCalm(judged, tests)) return 'QUIET';
    return clockMs < rampMs + durationMs(stage.max_bake) ? 'PENDING' : 'INCONCLUSIVE';
  })();

  const left = rampMs + durationMs(stage.min_bake) - clockMs;
  return {
    algorithm: 'verdict@1',
    stage: look.stage,
    evidence_stage: look.evidenceStage,
    look: look.look,
    clock_ms: clockMs,
    policy_sha: evidenceSha(policy),
    verdict,
    distrust,
    guilt,
    over_limit: distrust === null ? over : [],
    proven,
    missing: left > 0 ? [`${formatDuration(left)} of the least bake`, ...missing] : missing,
    tests,
    threshold,
    metrics: judged.map(({ record }) => record),
    segments: judged
      .flatMap(({ segments }) => segments)
      .sort(byGuilt)
      .slice(0, MOST_SEGMENTS),
    given,
  };
}

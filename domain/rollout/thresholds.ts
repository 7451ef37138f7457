/**
 * Pure. `thresholds@1`: is the stage healthy, by fixed thresholds over its totals (docs/design/rollout.md "Thresholds"). Integers
 * decide; what is recorded is enough to divide again, so an auditor recomputes every judgement from the log.
 */
import { durationMs } from '../duration.ts';
import type { ArmCounters, Conviction, Judgement, RolloutSpec, Rule, SetAside, Verdict } from '../events/rollout.ts';
import { canonicalJson, canonicalSha } from '../hash/canonicalJson.ts';
import { rulesPolicy } from './policies.ts';
import { latencyQuantile, latencyTotal } from './latency.ts';

export interface Look {
  readonly spec: RolloutSpec;
  readonly stage: number;
  /** Number that this HealthJudged would have in its stage, from 1. */
  readonly look: number;
  /** The stage's totals. Only the canary is judged; control is recorded for the reader. */
  readonly counters: { readonly canary: ArmCounters; readonly control: ArmCounters };
  /** Downloads that no longer count against the stage; they still count as seen. */
  readonly setAside: SetAside | null;
  /** Stage clock, milliseconds. */
  readonly clockMs: number;
  readonly rampMs: number;
  readonly minBakeMs: number;
  readonly maxBakeMs: number;
}

/** Names the thresholds that were in force, by content. */
export function policySha({ policy }: RolloutSpec): string {
  const sha = shas.get(policy) ?? canonicalSha(policy);
  shas.set(policy, sha);
  return sha;
}
/** Of policies, which are never changed: thousands of judgements name the same one. */
const shas = new WeakMap<RolloutSpec['policy'], string>();

interface Measured {
  readonly numerator: number;
  readonly denominator: number;
  /** What `min_predictions` counts: the metric's own denominator. */
  readonly samples: number;
  readonly unit: string;
}

/** A metric as a fraction of integers; latency in milliseconds is microseconds over 1000. */
function measure(metric: Rule['metric'], canary: ArmCounters): Measured {
  switch (metric) {
    case 'error_rate':
      return {
        numerator: canary.errors,
        denominator: canary.predictions,
        samples: canary.predictions,
        unit: 'predictions',
      };
    case 'download_failure_rate':
      return {
        numerator: canary.download_failures,
        denominator: canary.downloads,
        samples: canary.downloads,
        unit: 'downloads',
      };
    case 'latency_p95':
      return {
        numerator: latencyQuantile(canary.latency, 95) ?? 0,
        denominator: 1000,
        samples: latencyTotal(canary.latency),
        unit: 'timed predictions',
      };
    default:
      return metric satisfies never;
  }
}

/** Equal fractions and decimals give equal doubles (both are rounded once), so 5 of 100 is not above 0.05. */
function exceeds({ op, value }: Rule, { numerator, denominator }: Measured): boolean {
  const measured = numerator / denominator;
  return op === '>' ? measured > value : measured >= value;
}

/** What the rule still lacks, in words; undefined once both its minimums are met. */
function lacking(rule: Rule, canary: ArmCounters, { samples, unit }: Measured): string | undefined {
  // `devices` counts those that predicted; a fleet whose downloads all fail has none, and each of its downloads speaks for one.
  const spoke = rule.metric === 'download_failure_rate' ? canary.downloads : canary.devices;
  if (spoke >= rule.min_devices && samples >= rule.min_predictions) return undefined;
  const devices = `${spoke} of ${rule.min_devices} devices`;
  return `${rule.metric}: ${devices}, ${samples} of ${rule.min_predictions} ${unit}`;
}

/** A fault of the way to the device says nothing about the model: it stops the rollout, and never marks the version. */
const blamesModel = (rule: Rule) => rule.metric !== 'download_failure_rate';

interface Ruled {
  readonly breach: { readonly rule: Rule; readonly conviction: Conviction } | undefined;
  readonly missing: string[];
}

/** What may break a rule: all of the stage, less the downloads that a person set aside. */
const counted = (canary: ArmCounters, setAside: SetAside | null): ArmCounters =>
  setAside === null
    ? canary
    : {
        ...canary,
        downloads: canary.downloads - setAside.downloads,
        download_failures: canary.download_failures - setAside.download_failures,
      };

/** The first true rule, one about the model before one about the way there; and what the rules lack. */
function applyRules(rules: readonly Rule[], canary: ArmCounters, setAside: SetAside | null): Ruled {
  const since = counted(canary, setAside);
  const breaches: { rule: Rule; conviction: Conviction }[] = [];
  const missing: string[] = [];
  for (const [index, rule] of rules.entries()) {
    const lacks = lacking(rule, canary, measure(rule.metric, canary));
    if (lacks !== undefined) missing.push(lacks);
    const measured = measure(rule.metric, since);
    const { numerator, denominator } = measured;
    if (!exceeds(rule, measured)) continue;
    if (lacking(rule, since, measured) !== undefined) {
      if (lacks === undefined) missing.push(`${rule.metric}: ${numerator} of ${denominator} since the resume`);
    } else {
      const { metric, value: limit, op } = rule;
      breaches.push({ rule, conviction: { index, metric, numerator, denominator, limit, op } });
    }
  }
  if (rules.length === 0 && (canary.devices < 1 || canary.predictions < 1)) {
    missing.push(`no rules: ${canary.devices} of 1 devices, ${canary.predictions} of 1 predictions`);
  }
  return { breach: breaches.find((b) => blamesModel(b.rule)) ?? breaches[0], missing };
}

/**
 * One look at a stage. Never throws.
 *
 * - A rule about the model that is true, with its minimums met: REGRESSED, at any time.
 * - `download_failure_rate` likewise, but INCONCLUSIVE: the rollout pauses and nobody is rolled back.
 * - Before ramp + min_bake: PENDING. After it HEALTHY, if every rule has its minimums and none is true.
 * - Otherwise PENDING until ramp + max_bake, then INCONCLUSIVE. No data is never good news.
 *
 * @source docs/design/rollout.md "Thresholds"
 */
export function judge(given: Look): Judgement {
  const { spec, stage, look, counters, setAside, clockMs, rampMs, minBakeMs, maxBakeMs } = given;
  const { breach, missing } = applyRules(rulesPolicy(spec)?.rules ?? [], counters.canary, setAside);
  const answer = (verdict: Verdict, rule: Conviction | null, lacks: readonly string[]): Judgement => ({
    stage,
    look,
    verdict,
    algorithm: 'thresholds@1',
    rule,
    missing: [...lacks],
    counters,
    ...(setAside === null ? {} : { set_aside: setAside }),
    clock_ms: clockMs,
    policy_sha: policySha(spec),
  });

  if (breach && blamesModel(breach.rule)) return answer('REGRESSED', breach.conviction, []);
  if (breach) return answer('INCONCLUSIVE', breach.conviction, [downloadsFail(breach.conviction), ...missing]);
  if (clockMs < rampMs + minBakeMs) return answer('PENDING', null, missing);
  if (missing.length === 0) return answer('HEALTHY', null, []);
  return answer(clockMs < rampMs + maxBakeMs ? 'PENDING' : 'INCONCLUSIVE', null, missing);
}

const downloadsFail = ({ numerator, denominator, op, limit }: Conviction) =>
  `download_failure_rate: ${numerator} of ${denominator} downloads failed (limit ${op} ${limit}); ` +
  'see to the downloads, then resume: only downloads after that count';

/**
 * Recomputes a recorded judgement from its own integers and the spec of its rollout: for audit, which never decides again. Total:
 * whatever a stored fact or spec holds, it answers and does not throw.
 *
 * @returns `expected` is what the judgement should have been; undefined where the spec has no such stage, or where nothing can be
 *   computed from what is recorded
 */
export function recheck(
  judgement: Judgement,
  spec: RolloutSpec,
): { readonly equal: boolean; readonly expected: Judgement | undefined } {
  try {
    const expected = expectedOf(judgement, spec);
    return { equal: expected !== undefined && canonicalJson(expected) === canonicalJson(judgement), expected };
  } catch {
    // A member of another kind than its schema says, or a duration that is none: no honest judgement looks so.
    return { equal: false, expected: undefined };
  }
}

/** @throws TypeError, RangeError for a judgement or spec that does not fit its schema */
function expectedOf(judgement: Judgement, spec: RolloutSpec): Judgement | undefined {
  const stage = spec.stages[judgement.stage];
  if (!stage) return undefined;
  return judge({
    spec,
    stage: judgement.stage,
    look: judgement.look,
    counters: judgement.counters,
    setAside: judgement.set_aside ?? null,
    clockMs: judgement.clock_ms,
    rampMs: durationMs(stage.ramp),
    minBakeMs: durationMs(stage.min_bake),
    maxBakeMs: durationMs(stage.max_bake),
  });
}

/**
 * Pure. A rollout spec from what people and SDKs ask for: defaults filled in, mistakes named by JSON pointer
 * (docs/design/rollout.md "The spec").
 */
import { durationMs, formatDuration, LONGEST_MS, LONGEST_PLAN_MS } from '../duration.ts';
import type { RolloutSpec, Rule, RulesPolicy, Stage } from '../events/rollout.ts';
import { versionProblem } from '../semver.ts';
import { DEFAULT_POLICY } from './defaultPolicy.ts';
import { readFilter } from './filterReader.ts';
import { AskedRule, AskedRules, AskedStage, CreateRollout, MAX_RULES, MAX_STAGES, membersOf } from './requestSchema.ts';
import { createReader, type Problem, type Reader } from './specReader.ts';
import { EVIDENCE_MEMBERS, readEvidence } from './verdict/index.ts';

export type { Problem } from './specReader.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const SHORTEST_LOOK_MS = 50;
/** A verdict is as late as the look that gives it. */
const LONGEST_LOOK_MS = 7 * DAY;
/** Limits of a latency rule, ms. */
const SLOWEST_MS = DAY;

const PRESETS = { canary: [10, 25, 50, 75, 100], immediate: [100] } as const;
const DEFAULT_LOOK = '60s';
const DEFAULT_RAMP = formatDuration(2 * HOUR);
/** Low, so that small fleets can meet them; what they cost is in docs/design/rollout.md "Thresholds". */
const DEFAULT_MIN_DEVICES = 10;
/** A device makes many predictions, and one download. */
const SAMPLES_PER_DEVICE = { error_rate: 20, latency_p95: 20, download_failure_rate: 1 } as const;
const METRICS = ['error_rate', 'latency_p95', 'download_failure_rate'] as const;

/** At most 5 % errors. */
export const DEFAULT_RULE: Rule = {
  metric: 'error_rate',
  op: '>',
  value: 0.05,
  min_predictions: DEFAULT_MIN_DEVICES * SAMPLES_PER_DEVICE.error_rate,
  min_devices: DEFAULT_MIN_DEVICES,
};

export type ParsedSpec = { readonly spec: RolloutSpec } | { readonly errors: readonly Problem[] };
export type ParsedRequest =
  { readonly spec: RolloutSpec; readonly start: boolean } | { readonly errors: readonly Problem[] };

/** The model that a spec is for. */
export interface ForModel {
  /** A version is stable: some devices may be kept on it. */
  readonly hasStable?: boolean;
}

type Bakes = Pick<Stage, 'min_bake' | 'max_bake'>;

/** The first and the last stage bake a day to two, those between a quarter to a whole one. */
const bakes = (index: number, count: number): Bakes =>
  index === 0 || index === count - 1
    ? { min_bake: formatDuration(DAY), max_bake: formatDuration(2 * DAY) }
    : { min_bake: formatDuration(6 * HOUR), max_bake: formatDuration(DAY) };

/**
 * The body of `POST /models/{m}/rollouts` on the own door. Never throws; every mistake found is listed, unknown members too.
 *
 * `stages` or `preset` (canary by default), not both. A stage without durations ramps 2 h and bakes by its place; preset `canary`
 * bakes each stage 24–48 h. A rule without minimums gets 10 devices and 20 samples a device (downloads: 1). Under `evidence` 1 % is held
 * back, and nobody in a rollout of one stage or of a first release.
 */
export function parseRolloutRequest(body: unknown, { hasStable = true }: ForModel = {}): ParsedRequest {
  const read = createReader();
  const request = read.object(body, '', membersOf(CreateRollout));
  if (!request) return { errors: read.problems };
  const cohort = readFilter(read, request['cohort'], '/cohort');
  const exclude = readFilter(read, request['exclude'], '/exclude');
  const version = readVersion(read, request['version']);
  const stages = readStages(read, request['stages'], request['preset']);
  const spec: RolloutSpec = {
    version,
    stages,
    ...(cohort === undefined ? {} : { cohort }),
    ...(exclude === undefined ? {} : { exclude }),
    look: read.duration(request['look'], '/look', DEFAULT_LOOK, SHORTEST_LOOK_MS, LONGEST_LOOK_MS),
    policy: readPolicy(read, request, hasStable ? stages.length : 1),
    on_regressed: read.oneOf(request['on_regressed'], '/on_regressed', ['rollback', 'hold'] as const, 'rollback'),
  };
  const start = read.flag(request['start'], '/start', false);
  return read.problems.length > 0 ? { errors: read.problems } : { spec, start };
}

function readVersion(read: Reader, value: unknown): string {
  if (typeof value !== 'string') {
    read.problem('/version', 'a published version is required, such as "1.4.0"');
    return '';
  }
  const problem = versionProblem(value);
  if (problem !== undefined) read.problem('/version', problem);
  return value;
}

function readStages(read: Reader, value: unknown, preset: unknown): Stage[] {
  if (value === undefined || value === null) {
    const name = read.oneOf(preset, '/preset', ['canary', 'immediate'] as const, 'canary');
    return PRESETS[name].map((percent) => ({ percent, ramp: DEFAULT_RAMP, ...bakes(0, 1) }));
  }
  if (preset !== undefined && preset !== null) read.problem('/preset', 'name stages or a preset, not both');
  const items = read.list(value, '/stages', MAX_STAGES) ?? [];
  const stages = items.map((item, index) => readStage(read, item, index, items.length));
  stages.forEach(({ percent }, index) => {
    const before = stages[index - 1]?.percent;
    if (before !== undefined && !Number.isNaN(before) && percent <= before) {
      read.problem(`/stages/${index}/percent`, `percents must rise: ${percent} follows ${before}`);
    }
  });
  const planned = stages.reduce((sum, { ramp, max_bake }) => sum + durationMs(ramp) + durationMs(max_bake), 0);
  if (planned > LONGEST_PLAN_MS) {
    const [days, most] = [Math.ceil(planned / DAY), LONGEST_PLAN_MS / DAY];
    read.problem('/stages', `ramps and bakes come to ${days} days; at most ${most} are planned`);
  }
  return stages;
}

function readStage(read: Reader, value: unknown, index: number, count: number): Stage {
  const at = `/stages/${index}`;
  const stage = read.object(value, at, membersOf(AskedStage)) ?? {};
  return {
    percent: readPercent(read, stage['percent'], `${at}/percent`),
    ramp: read.duration(stage['ramp'], `${at}/ramp`, DEFAULT_RAMP, 0, LONGEST_MS),
    ...readBakes(read, stage, at, bakes(index, count)),
  };
}

/** Where only one of the two is given and passes the other's default, it moves that default along. */
function readBakes(read: Reader, stage: Readonly<Record<string, unknown>>, at: string, standard: Bakes): Bakes {
  const min_bake = read.duration(stage['min_bake'], `${at}/min_bake`, standard.min_bake, 0, LONGEST_MS);
  const max_bake = read.duration(stage['max_bake'], `${at}/max_bake`, standard.max_bake, 0, LONGEST_MS);
  if (durationMs(max_bake) >= durationMs(min_bake)) return { min_bake, max_bake };
  if (stage['max_bake'] === undefined) return { min_bake, max_bake: min_bake };
  if (stage['min_bake'] === undefined) return { min_bake: max_bake, max_bake };
  read.problem(`${at}/max_bake`, `must be at least min_bake: ${max_bake} is shorter than ${min_bake}`);
  return { min_bake, max_bake };
}

/** A percent is a whole number of buckets: 0.01 % is one of 10,000. */
const isPercent = (value: number) => value > 0 && value <= 100 && Math.round(value * 100) / 100 === value;

function readPercent(read: Reader, value: unknown, pointer: string): number {
  if (typeof value === 'number' && isPercent(value)) return value;
  read.problem(pointer, `must be a number above 0 and at most 100, in steps of 0.01, not ${JSON.stringify(value)}`);
  return Number.NaN;
}

/** Members that only the policy `evidence` reads. */
const EVIDENCE_ONLY = EVIDENCE_MEMBERS.filter((name) => name !== 'on_regressed');
const isGiven = (value: unknown): boolean => value !== undefined && value !== null;

/**
 * `{rules}` are fixed limits, `evidence` the judge with stated rates of error; a member of the latter asks for it too.
 *
 * @param stages how many keep some back by default; 1: none
 */
function readPolicy(read: Reader, request: Readonly<Record<string, unknown>>, stages: number): RolloutSpec['policy'] {
  const { policy } = request;
  const asked = EVIDENCE_ONLY.filter((name) => isGiven(request[name]));
  if (typeof policy === 'object' && policy !== null) {
    for (const name of asked) read.problem(`/${name}`, 'belongs to the policy "evidence", and policy gives rules');
    return readRules(read, policy);
  }
  const wanted = asked.length > 0 ? 'evidence' : DEFAULT_POLICY;
  const named = isGiven(policy) ? read.oneOf(policy, '/policy', ['evidence']) : wanted;
  return named === 'evidence' ? readEvidence(read, request, stages) : { rules: [DEFAULT_RULE] };
}

function readRules(read: Reader, value: object): RulesPolicy {
  const policy = read.object(value, '/policy', membersOf(AskedRules));
  // No rules at all is a choice that must be written down: `rules: []`.
  const rules = policy && read.list(policy['rules'], '/policy/rules', MAX_RULES, 0);
  return { rules: (rules ?? []).map((rule, index) => readRule(read, rule, `/policy/rules/${index}`)) };
}

function readRule(read: Reader, value: unknown, at: string): Rule {
  const rule = read.object(value, at, membersOf(AskedRule)) ?? {};
  const metric = read.oneOf(rule['metric'], `${at}/metric`, METRICS);
  const limit = rule['value'];
  const isRate = metric !== 'latency_p95';
  if (typeof limit !== 'number' || !(limit >= 0 && limit <= (isRate ? 1 : SLOWEST_MS))) {
    read.problem(
      `${at}/value`,
      isRate ? 'must be a ratio from 0 to 1' : `must be milliseconds from 0 to ${SLOWEST_MS}`,
    );
  }
  const minDevices = read.count(rule['min_devices'], `${at}/min_devices`, DEFAULT_MIN_DEVICES);
  return {
    metric,
    op: read.oneOf(rule['op'], `${at}/op`, ['>', '>='] as const, '>'),
    value: typeof limit === 'number' ? limit : 0,
    min_predictions: read.count(
      rule['min_predictions'],
      `${at}/min_predictions`,
      minDevices * SAMPLES_PER_DEVICE[metric],
    ),
    min_devices: minDevices,
  };
}

/** What the SDKs' deploy call can say (docs/design/http.md "Deploy"). */
export interface SdkRolloutCall {
  readonly version: string;
  readonly rollout_percentage?: number;
  readonly target_percentage?: number;
  readonly increment_step?: number;
}

/**
 * Percents p, p + step, …, the last exactly the target. The first percentage was asked for by number, so all of it is told at
 * once; the others ramp 2 h. Refused: p above the target, a step of 0 or less, more than 100 stages. Never throws.
 */
export function specFromSdkCall(call: SdkRolloutCall, { hasStable = true }: ForModel = {}): ParsedSpec {
  const { version, rollout_percentage: first = 10, target_percentage: target = 100, increment_step: step = 10 } = call;
  const read = createReader();
  readVersion(read, version);
  readPercent(read, first, '/rollout_percentage');
  readPercent(read, target, '/target_percentage');
  if (first > target) {
    read.problem('/rollout_percentage', `must be at most target_percentage: ${first} is above ${target}`);
  }
  if (!isPercent(step)) {
    read.problem('/increment_step', `must be above 0 and at most 100, in steps of 0.01, not ${step}`);
  }
  if (read.problems.length > 0) return { errors: read.problems };

  const percents: number[] = [];
  // In whole buckets: sums of decimals would miss the target by a hair.
  const [end, stride] = [Math.round(target * 100), Math.round(step * 100)];
  for (let at = Math.round(first * 100); at < end && percents.length <= MAX_STAGES; at += stride)
    percents.push(at / 100);
  percents.push(target);
  if (percents.length > MAX_STAGES) {
    const why = `gives more than ${MAX_STAGES} stages from ${first} to ${target}; take larger steps`;
    return { errors: [{ pointer: '/increment_step', detail: why }] };
  }
  const stages = percents.map((percent, index) => ({
    percent,
    ramp: index === 0 ? '0ms' : DEFAULT_RAMP,
    ...bakes(index, percents.length),
  }));
  const policy = readPolicy(read, {}, hasStable ? stages.length : 1);
  return { spec: { version, stages, look: DEFAULT_LOOK, policy, on_regressed: 'rollback' } };
}

/** Pure. The policy `evidence` from what people ask for: defaults of the table filled in, mistakes named by JSON pointer. */
import { LONGEST_MS } from '../../duration.ts';
import type { EvidencePolicy, MetricPolicy } from '../../events/verdict.ts';
import { AskedTrust, AskedVerdict, membersOf } from '../requestSchema.ts';
import type { Reader } from '../specReader.ts';
import { deviceLimit } from './limit.ts';
import { METRICS, type Metric } from './metrics.ts';

/** Members of a request that are the policy's own. */
export const EVIDENCE_MEMBERS = ['metrics', 'trust', 'verdict', 'if_unproven', 'on_regressed', 'holdback'] as const;

const TOLERATED = 1.1;
/** From there on all of A's alternatives are below the limit. */
const LARGEST_LIMIT = 0.9;
const HOLDBACK = 1;

type Members = Readonly<Record<string, unknown>>;

/**
 * Never throws; every mistake is listed by the reader.
 *
 * @param request the whole request, or any object with members of {@link EVIDENCE_MEMBERS}
 * @param stages  how many the rollout has: one stage keeps nobody back by default
 */
export function readEvidence(
  read: Reader,
  request: Members,
  stages: number,
  table: readonly Metric[] = METRICS,
): EvidencePolicy {
  const trust = objectOf(read, request['trust'], '/trust', membersOf(AskedTrust));
  const verdict = objectOf(read, request['verdict'], '/verdict', membersOf(AskedVerdict));
  const share = (name: string, fallback: number): number =>
    numberOf(read, verdict[name], `/verdict/${name}`, fallback, 0.000_001, 0.5);
  const staleAfter = trust['stale_after'];
  return {
    metrics: readMetrics(read, request['metrics'], table),
    trust: {
      stale_after: isAbsent(staleAfter) ? null : read.duration(staleAfter, '/trust/stale_after', '1h', 1, LONGEST_MS),
    },
    verdict: {
      alpha: share('alpha', 0.01),
      beta: share('beta', 0.05),
      proven: numberOf(read, verdict['proven'], '/verdict/proven', 1.5, 1.01, 100),
      negligible: isAbsent(verdict['negligible']) ? null : share('negligible', 0.01),
    },
    if_unproven: read.oneOf(request['if_unproven'], '/if_unproven', ['auto', 'advance', 'ask'], 'auto'),
    on_regressed: read.oneOf(request['on_regressed'], '/on_regressed', ['rollback', 'hold'], 'rollback'),
    holdback: readHoldback(read, request['holdback'], stages),
  };
}

function readMetrics(read: Reader, value: unknown, table: readonly Metric[]): EvidencePolicy['metrics'] {
  const rows = table.filter((row) => row.policy === row.name);
  const given = objectOf(
    read,
    value,
    '/metrics',
    rows.map((row) => row.name),
  );
  return Object.fromEntries(rows.map((row) => [row.name, readMetric(read, given[row.name], row)]));
}

function readMetric(read: Reader, value: unknown, row: Metric): MetricPolicy {
  const at = `/metrics/${row.name}`;
  const members = [
    'gate',
    'limit',
    ...(row.blames ? ['on_limit'] : []),
    ...(row.compared ? ['tolerated'] : []),
    ...(row.slower === undefined ? [] : ['slower']),
    ...(row.after === undefined ? [] : ['after']),
  ];
  const given = objectOf(read, value, at, members);
  // `null` switches the limit off; left out it is the table's.
  const limit = given['limit'] === undefined ? row.limit : given['limit'];
  return {
    gate: read.flag(given['gate'], `${at}/gate`, true),
    limit: limit === null ? null : numberOf(read, limit, `${at}/limit`, 0.01, 0.000_001, LARGEST_LIMIT),
    on_limit: read.oneOf(given['on_limit'], `${at}/on_limit`, ['hold', 'rollback'], 'hold'),
    tolerated: numberOf(read, given['tolerated'], `${at}/tolerated`, TOLERATED, 1, 100),
    ...(row.slower === undefined
      ? {}
      : { slower: numberOf(read, given['slower'], `${at}/slower`, row.slower, 1, 100) }),
    ...(row.after === undefined
      ? {}
      : { after: read.duration(given['after'], `${at}/after`, row.after, 1, LONGEST_MS) }),
  };
}

function readHoldback(read: Reader, value: unknown, stages: number): number {
  const percent = numberOf(read, value, '/holdback', stages > 1 ? HOLDBACK : 0, 0, 50);
  if (Math.round(percent * 100) / 100 !== percent)
    read.problem('/holdback', `must be in steps of 0.01, not ${percent}`);
  return percent;
}

/** What `--max-error-rate` asks for: a rate of predictions as a limit on devices, in whole millionths, and a rollback above it. */
export function maxErrorRate(rate: number): Pick<MetricPolicy, 'limit' | 'on_limit'> {
  return { limit: Math.round(deviceLimit(rate, 20, 2) * 1e6) / 1e6, on_limit: 'rollback' };
}

const isAbsent = (value: unknown): boolean => value === undefined || value === null;
const objectOf = (read: Reader, value: unknown, pointer: string, known: readonly string[]): Members =>
  isAbsent(value) ? {} : (read.object(value, pointer, known) ?? {});

function numberOf(read: Reader, value: unknown, pointer: string, fallback: number, min: number, max: number): number {
  if (isAbsent(value)) return fallback;
  if (typeof value === 'number' && value >= min && value <= max) return value;
  read.problem(pointer, `must be a number from ${min} to ${max}, not ${JSON.stringify(value)}`);
  return fallback;
}

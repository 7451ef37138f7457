/** Pure. The members of a training request: what each may be, its default, and what this release does not offer yet. */
import { parseDuration } from '../duration.ts';
import { versionProblem } from '../semver.ts';

/** One sentence on what is wrong with a value, or undefined. */
export type Check = (value: unknown) => string | undefined;

export interface Field {
  readonly check: Check;
  /** Undefined: the member is required. */
  readonly fallback: unknown;
}

export interface Group {
  readonly members: Readonly<Record<string, Field>>;
}

const field = (fallback: unknown, check: Check): Field => ({ fallback, check });

const integer =
  (min: number, max = Number.MAX_SAFE_INTEGER): Check =>
  (v) =>
    typeof v === 'number' && Number.isSafeInteger(v) && v >= min && v <= max
      ? undefined
      : `must be a whole number ${max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`}`;

const positive =
  (max: number): Check =>
  (v) =>
    typeof v === 'number' && v > 0 && v <= max ? undefined : `must be a number above 0 and at most ${max}`;

const oneOf =
  (values: readonly unknown[], why = ''): Check =>
  (v) =>
    values.includes(v) ? undefined : `must be ${values.map((x) => JSON.stringify(x)).join(' or ')}${why}`;

const orNull =
  (check: Check): Check =>
  (v) =>
    v === null ? undefined : check(v);

const sha256: Check = (v) =>
  typeof v === 'string' && /^[0-9a-f]{64}$/.test(v) ? undefined : 'must be 64 lower-case hex digits';

const version: Check = (v) => (typeof v === 'string' ? versionProblem(v) : 'must be a version such as 1.1.0');

const duration: Check = (v) =>
  typeof v === 'string' && (parseDuration(v) ?? 0) > 0
    ? undefined
    : 'must be a duration such as 500ms, 2m or 7d, at most 365d';

/** Updates of one round: each is a row, and all of them are read when it closes. */
const MOST_UPDATES = 1_000_000;
const MOST_RATE = 1_000;
const MOST_NORM = 1e12;
const MODEL_METRICS = ['loss', 'accuracy'];
const later = (what: string) => `; this release offers no ${what}`;

/** Members and groups of members that this release supports, in the order of docs/design/learning.md "The spec of a run". */
export const FIELDS: Readonly<Record<string, Field | Group>> = {
  base_version: field(null, orNull(version)),
  init_artifact: field(null, orNull(sha256)),
  new_version: field(undefined, version),
  rounds: field(20, integer(1, 10_000)),
  min_updates: field(100, integer(1, MOST_UPDATES)),
  goal: field(undefined, orNull(integer(1, MOST_UPDATES))), // default: min_updates
  seed: field(null, orNull(sha256)),
  selection: {
    members: {
      strategy: field('open', oneOf(['open'], later('draw'))),
      dropout: field(0.1, (v) => (typeof v === 'number' && v >= 0 && v <= 0.95 ? undefined : 'must be from 0 to 0.95')),
    },
  },
  windows: {
    members: { selection: field('2m', duration), report: field('10m', duration), extend: field('10m', duration) },
  },
  on_quorum_miss: {
    members: {
      retry: field(3, integer(0, 1_000)),
      backoff: field(['1m', '30m'], (v) =>
        Array.isArray(v) && v.length === 2 && v.every((d) => duration(d) === undefined)
          ? undefined
          : 'must be two durations: the first pause and the longest',
      ),
    },
  },
  client: {
    members: {
      epochs: field(1, integer(1, 10_000)),
      batch_size: field(10, integer(1, 1_000_000)),
      lr: field(0.1, positive(MOST_RATE)),
      proximal_mu: field(0, oneOf([0], later('FedProx'))),
    },
  },
  aggregation: {
    members: {
      rule: field('fedavg', oneOf(['fedavg'], later('robust rules'))),
      weight: field('samples', oneOf(['samples', 'uniform'])),
      weight_cap: field(10_000, integer(1, 2 ** 40)),
    },
  },
  server_optimizer: {
    members: {
      name: field('sgd', oneOf(['sgd'], later('adaptive server optimisers'))),
      lr: field(1, positive(MOST_RATE)),
    },
  },
  admission: {
    members: {
      max_norm: field(
        null,
        orNull((v) =>
          v === 'adaptive' ? `must be a number or null${later('adaptive norm')}` : positive(MOST_NORM)(v),
        ),
      ),
      max_samples: field(100_000, integer(1, 2 ** 40)),
      zero_samples: field('reject', oneOf(['reject'], later('updates of unknown size'))),
      per_device: field(1, oneOf([1], later('more than one update a device and round'))),
    },
  },
  metrics: field(MODEL_METRICS, (v) =>
    Array.isArray(v) && v.every((m) => typeof m === 'string' && m.length <= 64) && v.length <= 16
      ? undefined
      : 'must be a list of names, such as ["loss", "accuracy"]',
  ),
  retention: {
    members: {
      updates: field('keep', oneOf(['keep'], later('deletion of updates, all are kept'))),
    },
  },
  publish: field(false, oneOf([true, false])),
  evaluation: field(null, (v) => {
    if (v === null) return undefined;
    const isSet = typeof v === 'object' && 'set' in v && Object.keys(v).length === 1;
    return isSet && sha256(v.set) === undefined ? undefined : 'must be null or {"set": <SHA-256 of an uploaded blob>}';
  }),
  allow_rolled_back_base: field(null, (v) => {
    if (v === null) return undefined;
    const isReason = typeof v === 'object' && 'reason' in v && Object.keys(v).length === 1;
    return isReason && typeof v.reason === 'string' && v.reason !== '' ? undefined : 'must be {"reason": "…"}';
  }),
};

/** Members of the full design that this release refuses by name. */
export const NOT_YET: Readonly<Record<string, string>> = {
  stop: 'early stopping is not in this release: leave it out, and stop the run by hand',
  select: 'choosing the best checkpoint is not in this release: leave it out, the last round becomes the version',
  privacy: 'differential privacy is not in this release: leave it out',
};

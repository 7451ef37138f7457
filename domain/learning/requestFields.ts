/**
 * Pure. The members of a training request, each said once: what it may be, its default, and what this release does not offer yet.
 */
import Type, { type TProperties } from 'typebox';
import {
  durationText,
  evaluationSet,
  flag,
  integer,
  names,
  literalOf,
  orNull,
  positive,
  sha256Text,
  share,
  twoDurations,
  version,
  withReason,
  type Kind,
} from './requestKinds.ts';
import { closed } from '../requestSchemas.ts';

export interface Field extends Kind {
  /** Undefined: the member is required. */
  readonly fallback: unknown;
}

export interface Group {
  readonly members: Readonly<Record<string, Field>>;
}

export const isGroup = (rule: Field | Group): rule is Group => 'members' in rule;

const field = (fallback: unknown, kind: Kind): Field => ({ ...kind, fallback });

/** Updates of one round: each is a row, and all of them are read when it closes. */
const MOST_UPDATES = 1_000_000;
const MOST_RATE = 1_000;
const MOST_NORM = 1e12;
const MODEL_METRICS = ['loss', 'accuracy'];
const later = (what: string) => `; this release offers no ${what}`;

const norm: Kind = {
  schema: positive(MOST_NORM).schema,
  check: (v) => (v === 'adaptive' ? `must be a number or null${later('adaptive norm')}` : positive(MOST_NORM).check(v)),
};

/** Members and groups of members that this release supports, in the order of docs/design/learning.md "The spec of a run". */
export const FIELDS: Readonly<Record<string, Field | Group>> = {
  base_version: field(null, orNull(version)),
  init_artifact: field(null, orNull(sha256Text)),
  new_version: field(undefined, version),
  rounds: field(20, integer(1, 10_000)),
  min_updates: field(100, integer(1, MOST_UPDATES)),
  goal: field(undefined, orNull(integer(1, MOST_UPDATES))), // default: min_updates
  seed: field(null, orNull(sha256Text)),
  selection: {
    members: {
      strategy: field('open', literalOf(['open'], later('draw'))),
      dropout: field(0.1, share(0.95)),
    },
  },
  windows: {
    members: {
      selection: field('2m', durationText),
      report: field('10m', durationText),
      extend: field('10m', durationText),
    },
  },
  on_quorum_miss: {
    members: {
      retry: field(3, integer(0, 1_000)),
      backoff: field(['1m', '30m'], twoDurations),
    },
  },
  client: {
    members: {
      epochs: field(1, integer(1, 10_000)),
      batch_size: field(10, integer(1, 1_000_000)),
      lr: field(0.1, positive(MOST_RATE)),
      proximal_mu: field(0, literalOf([0], later('FedProx'))),
    },
  },
  aggregation: {
    members: {
      rule: field('fedavg', literalOf(['fedavg'], later('robust rules'))),
      weight: field('samples', literalOf(['samples', 'uniform'])),
      weight_cap: field(10_000, integer(1, 2 ** 40)),
    },
  },
  server_optimizer: {
    members: {
      name: field('sgd', literalOf(['sgd'], later('adaptive server optimisers'))),
      lr: field(1, positive(MOST_RATE)),
    },
  },
  admission: {
    members: {
      max_norm: field(null, orNull(norm)),
      max_samples: field(100_000, integer(1, 2 ** 40)),
      zero_samples: field('reject', literalOf(['reject'], later('updates of unknown size'))),
      per_device: field(1, literalOf([1], later('more than one update a device and round'))),
    },
  },
  metrics: field(MODEL_METRICS, names(16, 64)),
  retention: {
    members: {
      updates: field('keep', literalOf(['keep'], later('deletion of updates, all are kept'))),
    },
  },
  publish: field(false, flag),
  evaluation: field(null, orNull(evaluationSet)),
  allow_rolled_back_base: field(null, orNull(withReason)),
};

const optional = (members: Readonly<Record<string, Field>>): TProperties =>
  Object.fromEntries(Object.entries(members).map(([name, { schema }]) => [name, Type.Optional(schema)]));

/** The request as the HTTP interface shows it. What two members say together is left to `parseTrainingRequest`. */
export const trainRequestSchema = Type.Object(
  Object.fromEntries(
    Object.entries(FIELDS).map(([name, rule]) => {
      if (isGroup(rule)) return [name, Type.Optional(Type.Object(optional(rule.members), closed))];
      return [name, name === 'new_version' ? rule.schema : Type.Optional(rule.schema)];
    }),
  ),
  closed,
);

/** Members of the full design that this release refuses by name. */
export const NOT_YET: Readonly<Record<string, string>> = {
  stop: 'early stopping is not in this release: leave it out, and stop the run by hand',
  select: 'choosing the best checkpoint is not in this release: leave it out, the last round becomes the version',
  privacy: 'differential privacy is not in this release: leave it out',
};

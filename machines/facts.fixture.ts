/** Pure. The keyboard story as facts, for tests of machines: every fact of every stream once (so it is long), valid by its schema. */
import type { ModelFact } from '../domain/events/model.ts';
import type { Judgement, RolloutFact, RolloutSpec } from '../domain/events/rollout.ts';
import type { RoundClosedData, RoundOpenedData, TrainingFact, TrainingSpec } from '../domain/events/training.ts';
import type { TrainingCompletedData, VersionFact } from '../domain/events/version.ts';
import { trainingSpec as defaultSpec } from '../domain/learning/trainingSpec.fixture.ts';
import type { StreamState } from '../domain/states.ts';
import type { Folded, Machine } from './fold.ts';

export const MODEL = '0a8f7d9e-52b4-5f0c-8f6e-2b1a4b6f7c11';
export const RUN = '019ab000-0000-7000-8000-000000000001';
export const sha = (digit: string) => digit.repeat(64);
export const T0 = Date.parse('2026-01-01T00:00:00.000Z');
/** Facts of a given are this far apart: longer than the bake of {@link stage}. */
const STEP_MS = 20_000;
export const NOW = T0 + 100 * STEP_MS;

/** The state after `facts`, {@link STEP_MS} apart from {@link T0}. @throws Error where the chart refuses one (a wrong test) */
export function given<C, S extends StreamState>(
  machine: Machine<C, S>,
  facts: readonly { readonly type: string; readonly data: unknown }[],
): Folded<C, S> {
  const folded = facts.reduce(
    (state, fact, i) => machine.step(state, { ...fact, at: T0 + i * STEP_MS, eventId: `e${i}`, version: i + 1 }),
    machine.initial(),
  );
  if (folded.divergence) throw new Error(`${folded.divergence.type} is refused in ${folded.divergence.state}`);
  return folded;
}

const rolloutId = 42;
const file = { format: 'safetensors', sha256: sha('a'), bytes: 144, media_type: 'application/octet-stream' };
export const onnxFile = { ...file, format: 'onnx', sha256: sha('b') };

export const model = {
  registered: {
    type: 'ModelRegistered',
    data: { org_id: 'org_local', name: 'keyboard', framework: 'pytorch', use_case: 'nlp', description: '' },
  },
  declared: { type: 'ModelContractDeclared', data: { contract: null, digest: sha('c') } },
  listed: (version: string): ModelFact => ({ type: 'VersionListed', data: { version } }),
  changed: (version: string, previous: string | null): ModelFact => ({
    type: 'StableVersionChanged',
    data: { version, previous, rollout_id: rolloutId },
  }),
  restored: (version: string, from: string): ModelFact => ({
    type: 'StableVersionRestored',
    data: { version, from_version: from, rollout_id: rolloutId, reason: 'iOS fails' },
  }),
} satisfies Record<string, ModelFact | ((...args: never[]) => ModelFact)>;

export const trainingCompleted: TrainingCompletedData = {
  run_id: RUN,
  base: { version: '1.0.0', sha: sha('a') },
  spec_sha: sha('d'),
  rounds_planned: 2,
  rounds: 2,
  rounds_abandoned: 0,
  participants: 3,
  updates: 6,
  refused: {},
  samples: 60,
  bytes_up: 864,
  loss: 0.5,
  accuracy: 0.9,
  first: { loss: 0.7, accuracy: 0.8 },
  best_round: 2,
  selected_round: 2,
  stop: { rule: 'rounds', numbers: { rounds: 2 } },
  converged: null,
  chain: [],
  artifact_sha: sha('e'),
  artifact_bytes: 144,
};

export const version = {
  drafted: {
    type: 'VersionDrafted',
    data: { model_id: MODEL, version: '1.1.0', parent: '1.0.0', contract_digest: null },
  },
  trainingStarted: { type: 'TrainingStarted', data: { run_id: RUN, base_version: '1.0.0' } },
  trainingCompleted: { type: 'TrainingCompleted', data: trainingCompleted },
  trainingFailed: { type: 'TrainingFailed', data: { run_id: RUN, reason: 'aborted' } },
  uploaded: { type: 'ArtifactUploaded', data: { files: [file] } },
  publishRequested: { type: 'PublishRequested', data: { n: 1, formats: ['safetensors'] } },
  publishRefused: { type: 'PublishRefused', data: { n: 1, code: 'gate_failed', checks: [] } },
  published: {
    type: 'VersionPublished',
    data: { n: 1, files: [file], tensors_sha: sha('a'), report_sha: sha('f') },
  },
  deploymentStarted: { type: 'DeploymentStarted', data: { rollout_id: rolloutId } },
  deploymentCompleted: { type: 'DeploymentCompleted', data: { rollout_id: rolloutId } },
  superseded: { type: 'VersionSuperseded', data: { by: '1.1.1', rollout_id: rolloutId } },
  restored: { type: 'VersionRestored', data: { rollout_id: rolloutId } },
  rolledBack: { type: 'VersionRolledBack', data: { rollout_id: rolloutId, reason: 'iOS fails' } },
} satisfies Record<string, VersionFact>;

export const stage = (percent: number) => ({ percent, ramp: '0s', min_bake: '10s', max_bake: '30s' });
export const rolloutSpec = (
  percents: readonly number[],
  onRegressed: RolloutSpec['on_regressed'] = 'rollback',
): RolloutSpec => ({
  version: '1.1.0',
  stages: percents.map(stage),
  look: '1s',
  policy: { rules: [] },
  on_regressed: onRegressed,
});

const arm = { devices: 10, predictions: 100, errors: 1, downloads: 10, download_failures: 0, latency: {} };
export const judgement = (verdict: Judgement['verdict'], at: Partial<Judgement> = {}): Judgement => ({
  stage: 0,
  look: 1,
  verdict,
  algorithm: 'thresholds@1',
  rule: null,
  missing: [],
  counters: { canary: arm, control: arm },
  clock_ms: 1000,
  policy_sha: sha('1'),
  ...at,
});

export const rollout = {
  created: (spec: RolloutSpec = rolloutSpec([10, 100])): RolloutFact => ({
    type: 'RolloutCreated',
    data: { model_id: MODEL, version: '1.1.0', previous: '1.0.0', spec, spec_sha: sha('2') },
  }),
  started: { type: 'RolloutStarted', data: { seed: '42', lo: 0 } },
  entered: (index: number, to = 1000): RolloutFact => ({
    type: 'StageEntered',
    data: { stage: index, from: 0, to, ramp_ms: 0, min_bake_ms: 10_000, max_bake_ms: 30_000, basis: 'auto' },
  }),
  judged: (verdict: Judgement['verdict'], at: Partial<Judgement> = {}): RolloutFact => ({
    type: 'HealthJudged',
    data: judgement(verdict, at),
  }),
  paused: { type: 'RolloutPaused', data: { cause: 'manual', reason: 'lunch' } },
  resumed: { type: 'RolloutResumed', data: {} },
  completed: { type: 'RolloutCompleted', data: { basis: 'auto' } },
  aborted: { type: 'RolloutAborted', data: { reason: 'changed our mind' } },
  rolledBack: {
    type: 'RolloutRolledBack',
    data: { target: '1.0.0', trigger: 'manual', reason: 'iOS fails', evidence: null },
  },
  rootCause: { type: 'RootCauseRecorded', data: { text: 'a layer iOS 14 does not have' } },
} satisfies Record<string, RolloutFact | ((...args: never[]) => RolloutFact)>;

export const trainingSpec: TrainingSpec = {
  ...defaultSpec,
  model_id: MODEL,
  rounds: 2,
  min_updates: 2,
  goal: 3,
  seed: sha('0'),
};

export const roundOpened = (round = 1, attempt = 1): RoundOpenedData => ({
  round,
  attempt,
  base_sha: round === 1 ? sha('a') : sha('e'),
  base_label: '1.0.0',
  opt_state_sha: null,
  goal: 3,
  min_updates: 2,
  need: 3,
  draw: { threshold: 2 ** 32, population: 0 },
  opened_at: '2026-01-01T00:00:00.000Z',
  deadline: '2026-01-01T00:10:00.000Z',
  hard_deadline: '2026-01-01T00:20:00.000Z',
  max_norm: null,
  limit: 2 ** 18,
});

export const roundClosed = (round = 1, attempt = 1, counted = 3): RoundClosedData => ({
  round,
  attempt,
  cause: 'goal',
  accepted: counted,
  counted,
  weight_sum: 30,
  participants: counted,
  accepted_root: sha('3'),
  refused: { non_finite: 1 },
  leased: 4,
  aborted: 0,
  bytes_up: 432,
});

type Data<T extends TrainingFact['type']> = Extract<TrainingFact, { type: T }>['data'];
export const aggregated = (round = 1, attempt = 1): Data<'RoundAggregated'> => ({
  round,
  attempt,
  manifest_sha: sha('4'),
  model_sha: sha('e'),
  model_bytes: 144,
  opt_state_sha: null,
  grid: { k: 2, L: 1, q: 40 },
  update_norm: 0.5,
  samples: 30,
  metrics: { loss: 0.6, accuracy: 0.8, n: 30 },
});
export const evaluated = (round = 1, attempt = 1): Data<'RoundEvaluated'> => ({
  round,
  attempt,
  source: 'held_out',
  set_sha: sha('5'),
  n: 100,
  loss: 0.5,
  accuracy: 0.85,
  finite: true,
});
export const abandoned = (round = 1, attempt = 1): Data<'RoundAbandoned'> => ({
  round,
  attempt,
  reason: 'quorum_miss',
  counted: 1,
  needed: 2,
});

export const requested: Data<'TrainingRequested'> = {
  source: 'own',
  spec: trainingSpec,
  spec_sha: sha('d'),
  request_sha: sha('6'),
  base: { version: '1.0.0', sha: sha('a') },
};

export const training = {
  requested: { type: 'TrainingRequested', data: requested },
  opened: (round = 1, attempt = 1): TrainingFact => ({ type: 'RoundOpened', data: roundOpened(round, attempt) }),
  closed: (round = 1, attempt = 1): TrainingFact => ({ type: 'RoundClosed', data: roundClosed(round, attempt) }),
  aggregated: (round = 1, attempt = 1): TrainingFact => ({ type: 'RoundAggregated', data: aggregated(round, attempt) }),
  evaluated: (round = 1, attempt = 1): TrainingFact => ({ type: 'RoundEvaluated', data: evaluated(round, attempt) }),
  abandoned: (round = 1, attempt = 1): TrainingFact => ({ type: 'RoundAbandoned', data: abandoned(round, attempt) }),
  paused: { type: 'TrainingPaused', data: { reason: 'night', by: 'key_1' } },
  resumed: { type: 'TrainingResumed', data: { reason: null, by: 'key_1' } },
  stopped: {
    type: 'TrainingStopped',
    data: { rule: 'manual', round: 1, numbers: { rounds: 1, planned: 2 }, selected_round: 1 },
  },
  succeeded: { type: 'TrainingSucceeded', data: { selected_round: 1, model_sha: sha('e') } },
  aborted: { type: 'TrainingAborted', data: { reason: 'no_round' } },
} satisfies Record<string, TrainingFact | ((...args: never[]) => TrainingFact)>;

/** Facts that a random history draws from: legal here, illegal there. */
export const pools = {
  model: [
    model.registered,
    model.declared,
    model.listed('1.0.0'),
    model.listed('1.1.0'),
    model.changed('1.0.0', null),
    model.changed('1.1.0', '1.0.0'),
    model.restored('1.0.0', '1.1.0'),
  ],
  version: Object.values(version),
  training: [
    ...[1, 2].flatMap((round) =>
      [1, 2].flatMap((attempt) => [
        training.opened(round, attempt),
        training.closed(round, attempt),
        training.aggregated(round, attempt),
        training.abandoned(round, attempt),
      ]),
    ),
    training.requested,
    training.evaluated(1),
    training.evaluated(2),
    training.paused,
    training.resumed,
    training.stopped,
    training.succeeded,
    training.aborted,
  ],
  rollout: [
    rollout.created(),
    rollout.created(rolloutSpec([10, 100], 'hold')),
    rollout.started,
    ...[0, 1, 2].map((index) => rollout.entered(index)),
    rollout.judged('HEALTHY'),
    rollout.judged('REGRESSED'),
    rollout.paused,
    { type: 'RolloutPaused', data: { cause: 'inconclusive', reason: 'too few', missing: ['devices'] } } as const,
    rollout.resumed,
    rollout.completed,
    rollout.aborted,
    rollout.rolledBack,
    rollout.rootCause,
  ],
};

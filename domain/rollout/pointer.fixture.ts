/** Pure. For tests: facts of one model with places in the log, and the pointer that they fold to. */
import { asLogIndex, asStreamVersion } from '../brands.ts';
import type { SequencedEvent } from '../events/envelope.ts';
import type { Judgement, RolloutSpec, Verdict } from '../events/rollout.ts';
import type { AnyFact } from '../events/streams.ts';
import type { EvidenceJudgement, EvidenceVerdict } from '../events/verdict.ts';
import { createReader } from './specReader.ts';
import { readEvidence } from './verdict/policy.ts';
import { applyFact } from './pointerFold.ts';
import type { Pointer } from './pointer.ts';
import { createMemory } from './pointerMemory.ts';

export const MODEL = '5f1e2c9a-0000-5000-8000-000000000001';
export const T0 = Date.parse('2026-01-01T00:00:00.000Z');
const instant = (ms: number) => new Date(T0 + ms).toISOString();

export const emptyArm = { devices: 0, predictions: 0, errors: 0, downloads: 0, download_failures: 0, latency: {} };

export const specOf = (version: string, more: Partial<RolloutSpec> = {}): RolloutSpec => ({
  version,
  stages: [
    { percent: 10, ramp: '10s', min_bake: '10s', max_bake: '20s' },
    { percent: 100, ramp: '10s', min_bake: '10s', max_bake: '20s' },
  ],
  look: '1s',
  policy: { rules: [] },
  on_regressed: 'rollback',
  ...more,
});

export const judgementOf = (verdict: Verdict, more: Partial<Judgement> = {}): Judgement => ({
  stage: 0,
  look: 1,
  verdict,
  algorithm: 'thresholds@1',
  rule: null,
  missing: [],
  counters: { canary: emptyArm, control: emptyArm },
  clock_ms: 0,
  policy_sha: '0'.repeat(64),
  ...more,
});

/** The same rollout under the policy `evidence`: a device may be silent for 30 s. */
export const evidenceSpecOf = (version: string, members: Record<string, unknown> = {}): RolloutSpec => {
  const asked = { metrics: { silence: { after: '30s' } }, ...members };
  const policy = readEvidence(createReader(), asked, 2);
  return specOf(version, { policy, on_regressed: policy.on_regressed });
};

export const evidenceOf = (verdict: EvidenceVerdict, more: Partial<EvidenceJudgement> = {}): EvidenceJudgement => ({
  algorithm: 'verdict@1',
  stage: 0,
  evidence_stage: 0,
  look: 1,
  clock_ms: 0,
  policy_sha: '0'.repeat(64),
  verdict,
  distrust: verdict === 'UNTRUSTED' ? 'stale' : null,
  guilt: verdict === 'REGRESSED' ? { metric: 'errors', by: 'G', named: null, rest: null } : null,
  over_limit: verdict === 'HELD' ? ['download'] : [],
  proven: [],
  missing: [],
  tests: { whole: 1, segments: 0 },
  threshold: 9_000_000,
  metrics: [],
  segments: [],
  given: {
    has_control: true,
    measured: [],
    told: 0,
    active: 0,
    can_prove: false,
    proof_look: false,
    proven_before: [],
    segments: 0,
    frozen_q: {},
    silent_ms: 0,
    longest_gap_ms: null,
    blind: false,
    good_looks_owed: 0,
  },
  ...more,
});

/** A fact on its stream at `atMs` after T0. */
export interface Step {
  readonly stream: string;
  readonly fact: AnyFact;
  readonly atMs: number;
}

type DataOf<T extends AnyFact['type']> = Extract<AnyFact, { type: T }>['data'];

export const onModel = <T extends AnyFact['type']>(type: T, data: DataOf<T>, atMs = 0): Step => ({
  stream: `model-${MODEL}`,
  fact: { type, data } as AnyFact, // safe: `data` is that of `type`
  atMs,
});
export const onVersion = <T extends AnyFact['type']>(version: string, type: T, data: DataOf<T>, atMs = 0): Step => ({
  stream: `version-${MODEL}@${version}`,
  fact: { type, data } as AnyFact, // safe: `data` is that of `type`
  atMs,
});
export const onRollout = <T extends AnyFact['type']>(id: number, type: T, data: DataOf<T>, atMs = 0): Step => ({
  stream: `rollout-${id}`,
  fact: { type, data } as AnyFact, // safe: `data` is that of `type`
  atMs,
});

export const registered = (): Step =>
  onModel('ModelRegistered', { org_id: 'org_local', name: 'm', framework: 'onnx', use_case: '', description: '' });

export const created = (id: number, spec: RolloutSpec, atMs = 0): Step =>
  onRollout(
    id,
    'RolloutCreated',
    { model_id: MODEL, version: spec.version, previous: null, spec, spec_sha: '0'.repeat(64) },
    atMs,
  );

export const entered = (id: number, stage: number, from: number, to: number, atMs: number, rampMs = 10_000): Step =>
  onRollout(
    id,
    'StageEntered',
    { stage, from, to, ramp_ms: rampMs, min_bake_ms: 10_000, max_bake_ms: 20_000, basis: 'auto' },
    atMs,
  );

/** One start: its three facts. */
export const startedWith = (id: number, version: string, atMs: number, to = 1000): Step[] => [
  onRollout(id, 'RolloutStarted', { seed: String(id), lo: 0 }, atMs),
  entered(id, 0, 0, to, atMs),
  onVersion(version, 'DeploymentStarted', { rollout_id: id }, atMs),
];

/** One completion: its four facts. */
export const completedWith = (id: number, version: string, previous: string | null, atMs: number): Step[] => [
  onRollout(id, 'RolloutCompleted', { basis: 'auto' }, atMs),
  onVersion(version, 'DeploymentCompleted', { rollout_id: id }, atMs),
  onModel('StableVersionChanged', { version, previous, rollout_id: id }, atMs),
  ...(previous === null ? [] : [onVersion(previous, 'VersionSuperseded', { by: version, rollout_id: id }, atMs)]),
];

export const sequenced = (steps: readonly Step[]): SequencedEvent[] =>
  steps.map(({ stream, fact, atMs }, index) => ({
    id: `event-${index}`,
    stream,
    version: asStreamVersion(steps.slice(0, index + 1).filter((s) => s.stream === stream).length),
    fact,
    schemaVersion: 1,
    machine: 'test@1',
    actor: { kind: 'system', id: 'test' },
    commandId: `command-${index}`,
    commandSeq: 0,
    correlationId: null,
    causationId: null,
    recordedAt: instant(atMs),
    logIndex: asLogIndex(index),
    sequencedAt: instant(atMs),
  }));

/** The fold of one model with a memory of its own: each call is one more fact, and answers the pointer after it. */
export function createFold(): (event: SequencedEvent) => Pointer | undefined {
  const memory = createMemory();
  let pointer: Pointer | undefined;
  return (event) => {
    const applied = applyFact(pointer, event, memory);
    memory.learn(applied.news);
    return (pointer = applied.pointer);
  };
}

/** The pointer after each step, the last one last. */
export function pointersAlong(steps: readonly Step[]): Pointer[] {
  const along: Pointer[] = [];
  const fold = createFold();
  for (const event of sequenced(steps)) {
    const pointer = fold(event);
    if (pointer) along.push(pointer);
  }
  return along;
}
export function pointerOf(steps: readonly Step[]): Pointer {
  const last = pointersAlong(steps).at(-1);
  if (!last) throw new Error('no ModelRegistered among the steps');
  return last;
}
export const at = (ms: number) => new Date(T0 + ms);

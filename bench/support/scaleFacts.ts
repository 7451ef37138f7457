/**
 * Pure. A big, legal log: many models, some with thousands of published versions, and rollouts with thousands of judgements. Each
 * append is one that the use cases could have made, so `edgeml audit verify` passes over it.
 */
import type { ArmCounters, RolloutSpec } from '../../domain/events/rollout.ts';
import { modelStream, rolloutStream, versionStream } from '../../domain/events/streams.ts';
import { canonicalSha } from '../../domain/hash/canonicalJson.ts';
import { sha256Hex, utf8ToBytes } from '../../domain/hash/sha256.ts';
import { modelIdOf } from '../../domain/hash/uuid.ts';
import type { OrgId } from '../../domain/org.ts';
import { judge } from '../../domain/rollout/thresholds.ts';
import type { StreamFact } from '../../test/support/appendFacts.ts';

export interface Size {
  /** Number of the first deep model; others may be there already. */
  readonly firstDeep?: number;
  /** Models with nothing but their registration. */
  readonly models: number;
  /** Models with many versions, and how many each. */
  readonly deep: number;
  readonly versions: number;
  /** Rollouts, each of a deep model's first version, and judgements of each. At most as many as there are deep models. */
  readonly rollouts: number;
  readonly judgements: number;
}

const MODELS_PER_APPEND = 60;
const VERSIONS_PER_APPEND = 60;
const JUDGEMENTS_PER_APPEND = 500;

export const nameOf = (i: number): string => `model ${String(i).padStart(7, '0')}`;
export const deepNameOf = (i: number): string => `deep ${String(i).padStart(4, '0')}`;
/** 0.0.1, 0.0.2, …, 0.0.99, 0.1.0, … */
export const versionOf = (i: number): string => `${Math.floor(i / 10_000)}.${Math.floor(i / 100) % 100}.${i % 100}`;

export const factsOf = ({ models, deep, versions, rollouts, judgements }: Size): number =>
  models + deep * (1 + versions * 5) + rollouts * (4 + judgements);

const shaOf = (text: string) => sha256Hex(utf8ToBytes(text));

const registered = (orgId: OrgId, name: string): StreamFact => ({
  stream: modelStream(modelIdOf(orgId, name)),
  fact: {
    type: 'ModelRegistered',
    data: { org_id: orgId, name, framework: 'onnx', use_case: 'scale', description: 'one of many' },
  },
});

/** Drafted, uploaded, asked for, published and listed, as one append would have it. */
function publication(modelId: string, version: string): StreamFact[] {
  const sha = shaOf(`${modelId} ${version}`);
  const media_type = 'application/octet-stream';
  const file = { format: 'safetensors', sha256: sha, bytes: 64, media_type };
  const files = [file, { format: 'onnx', sha256: shaOf(`onnx ${sha}`), bytes: 64, media_type }];
  const stream = versionStream(modelId, version);
  return [
    {
      stream,
      fact: {
        type: 'VersionDrafted',
        data: { model_id: modelId, version, parent: null, contract_digest: null },
      },
    },
    { stream, fact: { type: 'ArtifactUploaded', data: { files: [file] } } },
    { stream, fact: { type: 'PublishRequested', data: { n: 1, formats: ['onnx'] } } },
    {
      stream,
      fact: { type: 'VersionPublished', data: { n: 1, files, tensors_sha: sha, report_sha: shaOf('report') } },
    },
    { stream: modelStream(modelId), fact: { type: 'VersionListed', data: { version } } },
  ];
}

const spec = (version: string): RolloutSpec => ({
  version,
  stages: [10, 100].map((percent) => ({ percent, ramp: '0s', min_bake: '24h', max_bake: '48h' })),
  look: '1h',
  policy: { rules: [{ metric: 'error_rate', op: '>', value: 0.5, min_predictions: 20, min_devices: 5 }] },
  on_regressed: 'rollback',
});

function begun(modelId: string, version: string, id: number): StreamFact[] {
  const stream = rolloutStream(id);
  const wanted = spec(version);
  const hour = 3_600_000;
  return [
    {
      stream,
      fact: {
        type: 'RolloutCreated',
        data: { model_id: modelId, version, previous: null, spec: wanted, spec_sha: canonicalSha(wanted) },
      },
    },
    { stream, fact: { type: 'RolloutStarted', data: { seed: String(id), lo: 0 } } },
    {
      stream,
      fact: {
        type: 'StageEntered',
        data: {
          stage: 0,
          from: 0,
          to: 1_000,
          ramp_ms: 0,
          min_bake_ms: 24 * hour,
          max_bake_ms: 48 * hour,
          basis: 'auto',
        },
      },
    },
    { stream: versionStream(modelId, version), fact: { type: 'DeploymentStarted', data: { rollout_id: id } } },
  ];
}

const arm: ArmCounters = {
  devices: 900,
  predictions: 90_000,
  errors: 3,
  downloads: 900,
  download_failures: 0,
  latency: { '7': 80_000, '9': 10_000 },
};

function judged(version: string, id: number, look: number): StreamFact {
  const data = judge({
    spec: spec(version),
    stage: 0,
    look,
    counters: { canary: arm, control: arm },
    setAside: null,
    clockMs: look,
    rampMs: 0,
    minBakeMs: 24 * 3_600_000,
    maxBakeMs: 48 * 3_600_000,
  });
  return { stream: rolloutStream(id), fact: { type: 'HealthJudged', data } };
}

function* chunks(total: number, size: number): Iterable<readonly [from: number, to: number]> {
  for (let from = 0; from < total; from += size) yield [from, Math.min(total, from + size)];
}
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

/** Appends that depend on nothing but what came before them in the same list; the lists may be told side by side. */
export function* histories(orgId: OrgId, size: Size, rolloutIds: readonly number[]): Iterable<Iterable<StreamFact[]>> {
  for (const [from, to] of chunks(size.models, MODELS_PER_APPEND))
    yield [range(from, to).map((i) => registered(orgId, nameOf(i)))];
  const { firstDeep = 0 } = size;
  for (let i = 0; i < size.deep; i += 1) yield deepModel(orgId, size, firstDeep + i, rolloutIds[i]);
}

function* deepModel(orgId: OrgId, size: Size, i: number, rolloutId: number | undefined): Iterable<StreamFact[]> {
  const name = deepNameOf(i);
  const modelId = modelIdOf(orgId, name);
  yield [registered(orgId, name)];
  for (const [from, to] of chunks(size.versions, VERSIONS_PER_APPEND))
    yield range(from, to).flatMap((n) => publication(modelId, versionOf(n + 1)));
  if (rolloutId === undefined) return;
  const version = versionOf(1);
  yield begun(modelId, version, rolloutId);
  for (const [from, to] of chunks(size.judgements, JUDGEMENTS_PER_APPEND))
    yield range(from, to).map((n) => judged(version, rolloutId, n + 1));
}

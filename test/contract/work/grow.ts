/** Many models through the log's own append: legal facts, sixty streams a time. */
import { modelStream, rolloutStream, versionStream } from '../../../domain/events/streams.ts';
import { canonicalSha } from '../../../domain/hash/canonicalJson.ts';
import { modelIdOf } from '../../../domain/hash/uuid.ts';
import { asOrgId } from '../../../domain/org.ts';
import { parseRolloutRequest } from '../../../domain/rollout/spec.ts';
import { appendFacts, type StreamFact } from '../../support/appendFacts.ts';
import type { TestApi } from '../testApi.ts';

const ORG = asOrgId('org_local');
const MOST_STREAMS = 60;

export interface Size {
  readonly models: number;
  /** Of the one model that has many. */
  readonly versions: number;
  readonly rollouts: number;
}

/** Has many versions and rollouts, and the letters of its name are rare. */
export const MANY = 'qxz-many';
export const manyId = modelIdOf(ORG, MANY);

const registered = (name: string): StreamFact => ({
  stream: modelStream(modelIdOf(ORG, name)),
  fact: {
    type: 'ModelRegistered',
    data: { org_id: ORG, name, framework: 'onnx', use_case: 'scale', description: '' },
  },
});

const versionOf = (n: number) => `0.${Math.floor(n / 50)}.${(n % 50) + 1}`;

const drafted = (version: string): StreamFact => ({
  stream: versionStream(manyId, version),
  fact: { type: 'VersionDrafted', data: { model_id: manyId, version, parent: null, contract_digest: null } },
});

function created(n: number): StreamFact {
  const version = n % 10 === 0 ? versionOf(0) : versionOf(n);
  const parsed = parseRolloutRequest({ version, preset: 'immediate' });
  if ('errors' in parsed) throw new Error(JSON.stringify(parsed.errors));
  const { spec } = parsed;
  const data = { model_id: manyId, version, previous: null, spec, spec_sha: canonicalSha(spec) };
  return { stream: rolloutStream(1_000_000 + n), fact: { type: 'RolloutCreated', data } };
}

/** Adds what is missing from one size to the other, and waits until every list holds it. */
export async function grow(t: TestApi, from: Size, to: Size): Promise<void> {
  const count = (a: number, b: number) => Array.from({ length: b - a }, (_, i) => a + i);
  const facts = [
    ...(from.models === 0 ? [registered(MANY)] : []),
    ...count(from.models, to.models).map((n) => registered(`model-${n}`)),
    ...count(from.versions, to.versions).map((n) => drafted(versionOf(n))),
    ...count(from.rollouts, to.rollouts).map((n) => created(n)),
  ];
  for (let i = 0; i < facts.length; i += MOST_STREAMS)
    await appendFacts(t.api.deps.log, facts.slice(i, i + MOST_STREAMS));
  await t.settle(600_000);
}

/**
 * Facts that a projection cannot apply, written past the gate, one per projection: the others go on, readiness, metrics and verify
 * name what is set aside, a rebuild does the same, and stops still take effect.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { modelIdOf } from '../../domain/hash/uuid.ts';
import { asOrgId } from '../../domain/org.ts';
import { judgement } from '../../machines/facts.fixture.ts';
import { catalog } from '../../projections/catalog/project.ts';
import { schemaOf } from '../../projections/table.ts';
import { createPool, openSession, type Pool } from '../../store/connect.ts';
import { tryLock } from '../../store/leader.ts';
import { appendUnchecked, until } from '../support/log.ts';
import { openTestApi, OWN, SDK, textOf, type Answer, type TestApi } from './testApi.ts';

let t: TestApi;
let pool: Pool;
let device: string;
beforeAll(async () => {
  t = await openTestApi();
  pool = createPool({ connectionString: t.adminUrl, max: 1 });
  const registered = await t.call('POST', `${SDK}/devices/register`, {
    body: { device_identifier: 'phone', platform: 'ios' },
    as: 'device',
  });
  device = textOf(registered.body, 'id');
});
afterAll(async () => {
  await pool.end();
  await t.close();
});

const sha = 'a'.repeat(64);
async function poison(stream: string, type: string, data: string): Promise<number> {
  const client = await pool.connect();
  try {
    await appendUnchecked(client, { stream, type, data });
  } finally {
    client.release();
  }
  await t.settle();
  return (await t.facts()) - 1;
}
const ready = async () => {
  const { status, body } = await t.call('GET', '/readyz?verbose', { as: null });
  const parts = body['parts'] as readonly { name: string; state: string; detail?: string }[];
  return { status, body, parts: new Map(parts.map((part) => [part.name, part])) };
};
const versionOf = (model: string) => t.call('GET', `/devices/${device}/models/${model}/version`, { as: 'device' });
const rebuild = (name: string): Promise<Answer> =>
  t.call('POST', `${OWN}/admin/read-models/${name}/rebuild`, { body: {}, as: 'instance' });
const resultOf = ({ body }: Answer) =>
  (JSON.parse(textOf(body, 'text').trim().split('\n').at(-1)!) as { result: Record<string, unknown> }).result;

/** Nothing else is set aside, and what is told of it is told everywhere. */
async function isSetAside(projection: string, subject: string, first: number): Promise<void> {
  const { status, body, parts } = await ready();
  expect([status, body['status']]).toEqual([200, 'degraded']);
  expect(parts.get(`projection ${projection}`)).toMatchObject({ state: 'degraded' });
  expect(parts.get(`projection ${projection}`)?.detail).toContain(`${subject} since ${first}`);
  const metrics = await (await fetch(`${t.url}/metrics`)).text();
  expect(metrics).toMatch(new RegExp(`edgeml_projection_set_aside\\{projection="${projection}"\\} [1-9]`));
  const { findings } = await t.verify();
  const found = findings.filter(
    (f) => f.code === 'set_aside' && f.stream === subject && f.detail.startsWith(projection),
  );
  expect(found).toMatchObject([{ step: 'read_model', index: first }]);
  expect(findings.filter((f) => ['row_differs', 'unprojectable', 'projection_stopped'].includes(f.code))).toEqual([]);
  const before = (await t.api.deps.reads.status()).find((m) => m.name === projection)!.setAside;
  expect(resultOf(await rebuild(projection))).toMatchObject({ differences: 0, set_aside: before.count });
  expect((await t.api.deps.reads.status()).find((m) => m.name === projection)!.setAside).toEqual(before);
}

/** The set-aside one stands still; a model made after it shows that the read model goes on. */
async function othersGoOn(): Promise<void> {
  const name = `after-${await t.facts()}`;
  const id = await t.published(name, '1.0.0');
  expect(await t.call('GET', `${OWN}/models/${id}`)).toMatchObject({ status: 200, body: { latest_version: '1.0.0' } });
  expect(await versionOf(name)).toMatchObject({ status: 200, body: { version: '1.0.0' } });
}

describe('a fact that one projection cannot apply', () => {
  it('catalog: NUL in a key of a contract', async () => {
    const id = await t.published('in-catalog', '1.0.0');
    const data = `{"contract":{"a\\u0000b":1},"digest":"${sha}"}`;
    const at = await poison(`model-${id}`, 'ModelContractDeclared', data);
    await othersGoOn();
    await isSetAside('catalog', `model-${id}`, at);
    // The row stays as it last was, and devices are told their version: no pointer needs the contract.
    expect((await t.call('GET', `${OWN}/models`)).body['items']).toContainEqual(
      expect.objectContaining({ id, latest_version: '1.0.0' }),
    );
    expect(await versionOf('in-catalog')).toMatchObject({ status: 200, body: { version: '1.0.0' } });
  });

  it('catalog: a name that no index can hold', async () => {
    const words = Array.from({ length: 400 }, (_, i) => modelIdOf(asOrgId('org_local'), String(i)).slice(0, 8)).join(
      '',
    );
    const org = JSON.stringify({ org_id: words, name: 'n', framework: 'f', use_case: 'u', description: '' });
    const model = modelIdOf(asOrgId('org_local'), 'long');
    const at = await poison(`model-${model}`, 'ModelRegistered', org);
    await othersGoOn();
    await isSetAside('catalog', `model-${model}`, at);
  });

  it('versions: NUL in a key of what a training run refused', async () => {
    const id = await t.published('in-versions', '1.0.0');
    const figures = { loss: null, accuracy: null };
    const zero = { rounds_planned: 0, rounds: 0, rounds_abandoned: 0, participants: 0, updates: 0, samples: 0 };
    const done = {
      ...{ ...zero, ...figures, run_id: 'r', base: { version: null, sha }, spec_sha: sha, bytes_up: 0, first: figures },
      ...{ best_round: null, selected_round: 0, stop: { rule: 'x', numbers: {} }, converged: null, chain: [] },
      ...{ artifact_sha: sha, artifact_bytes: 1, refused: { 'a\0': 1 } },
    };
    const at = await poison(`version-${id}@1.1.0`, 'TrainingCompleted', JSON.stringify(done));
    await othersGoOn();
    await isSetAside('versions', `version-${id}@1.1.0`, at);
  });

  it('rollouts: NUL in a key of a judgement, of a rollout that a person then stops', async () => {
    await t.published('in-rollouts', '1.0.0', '1.1.0');
    const stage = { percent: 100, ramp: '0s', min_bake: '1h', max_bake: '2h' };
    const start = async (version: string) =>
      Number(
        (
          await t.call('POST', `${OWN}/models/in-rollouts/rollouts`, {
            body: { version, stages: [stage], start: true },
          })
        ).body['id'],
      );
    const first = await start('1.0.0');
    await t.call('POST', `${OWN}/rollouts/${first}/advance`, { body: { override: true, reason: 'a test' } });
    const second = await start('1.1.0');
    await t.settle();
    const arm = { ...judgement('PENDING').counters.canary, latency: { 'a\0': 1 } };
    const judged = { ...judgement('PENDING'), counters: { canary: arm, control: arm } };
    const at = await poison(`rollout-${second}`, 'HealthJudged', JSON.stringify(judged));
    await othersGoOn();
    await isSetAside('rollouts', `rollout-${second}`, at);
    const stopped = await t.call('POST', `${OWN}/rollouts/${second}/rollback`, { body: { reason: 'it is bad' } });
    expect(stopped).toMatchObject({ status: 200 });
    await t.settle();
    expect(await versionOf('in-rollouts')).toMatchObject({ status: 200, body: { version: '1.0.0' } });
  });

  it('training: NUL in a key of what a round refused', async () => {
    const round = {
      ...{ round: 1, attempt: 1, cause: 'goal', accepted: 0, counted: 0, weight_sum: 0, participants: 0 },
      ...{ accepted_root: sha, refused: { 'x\0': 1 }, leased: 0, aborted: 0, bytes_up: 0 },
    };
    const at = await poison('training-poisoned', 'RoundClosed', JSON.stringify(round));
    await othersGoOn();
    await isSetAside('training', 'training-poisoned', at);
  });

  it('pointers: a fact that nobody can read; its model alone answers 503, and a stop is stored', async () => {
    const id = await t.published('in-pointers', '1.0.0', '1.1.0');
    const stage = { percent: 100, ramp: '0s', min_bake: '1h', max_bake: '2h' };
    const start = { body: { version: '1.1.0', stages: [stage], start: true } };
    const rollout = Number((await t.call('POST', `${OWN}/models/in-pointers/rollouts`, start)).body['id']);
    await t.settle();
    expect(await versionOf('in-pointers')).toMatchObject({ status: 200, body: { version: '1.1.0' } });
    const at = await poison(`rollout-${rollout}`, 'StageEntered', '{"stage":"high"}');
    for (const path of ['version', 'why']) {
      const url = path === 'why' ? `${OWN}/devices/${device}/models/in-pointers/why` : undefined;
      const answer = url ? await t.call('GET', url) : await versionOf('in-pointers');
      expect(answer).toMatchObject({ status: 503, body: { code: 'projection_behind' } });
    }
    await othersGoOn();
    const stopped = await t.call('POST', `${OWN}/rollouts/${rollout}/rollback`, { body: { reason: 'it is bad' } });
    expect(stopped.status).toBe(200);
    const types = (await t.api.deps.log.readStream(`version-${id}@1.1.0`)).map((e) => e.fact.type);
    expect(types).toContain('VersionRolledBack');
    await t.settle();
    expect((await versionOf('in-pointers')).status).toBe(503);
    await isSetAside('pointers', `model-${id}`, at);
    await isSetAside('rollouts', `rollout-${rollout}`, at);
    // Every other command on the diverged stream is refused, and nobody is told 1.1.0.
    const resumed = await t.call('POST', `${OWN}/rollouts/${rollout}/resume`, { body: {} });
    expect(resumed).toMatchObject({ status: 409, body: { code: 'stream_diverged' } });
    expect((await versionOf('in-pointers')).status).toBe(503);
  });

  it('activity: a fact of a stream of no kind that this build knows', async () => {
    const at = await poison('future-1', 'SomethingNew', '{"a\\u0000":1}');
    await othersGoOn();
    await isSetAside('activity', 'future-1@1', at);
    expect((await t.call('GET', `${OWN}/events?limit=500`)).status).toBe(200);
  });
});

describe('the call of rebuilds', () => {
  it('is for the instance, names the read models, and takes one at a time', async () => {
    const stranger = { body: {}, as: 'operator' as const };
    expect((await t.call('POST', `${OWN}/admin/read-models/catalog/rebuild`, stranger)).status).toBe(403);
    const unknown = await t.call('POST', `${OWN}/admin/read-models/none/rebuild`, { body: {}, as: 'instance' });
    expect(unknown).toMatchObject({ status: 404 });
    expect(textOf(unknown.body, 'detail')).toContain('catalog');
    const other = await openSession(t.adminUrl, 'another rebuild');
    expect(await tryLock(other, `${schemaOf(catalog)}__next`)).toBe(true);
    expect(await rebuild('catalog')).toMatchObject({ status: 409, body: { code: 'conflict' } });
    await other.end();
    await until('the lock is free', async () => (await rebuild('catalog')).status === 200);
  });
});

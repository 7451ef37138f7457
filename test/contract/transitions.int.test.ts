/**
 * A command that the state does not allow, over HTTP, in each state of each machine: 409 with the state, a guard that says
 * what would do, and no fact.
 */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { admitUpdate } from '../../commands/admitUpdate.ts';
import { finishTraining } from '../../commands/finishTraining.ts';
import { judgeRollout } from '../../commands/judgeRollout.ts';
import { recordAggregate } from '../../commands/recordAggregate.ts';
import { aggregated, judgement } from '../../machines/facts.fixture.ts';
import type { Machine } from '../../machines/fold.ts';
import { versionMachine } from '../../machines/modelVersion.ts';
import { rolloutMachine } from '../../machines/rollout.ts';
import { trainingMachine } from '../../machines/trainingRun.ts';
import { facts, lease, newModel, openRun, publish, publishing, updateFor, workflow } from '../support/commands.ts';
import { requestRun } from '../support/training.ts';
import { OWN, openTestApi, type Answer, type Body, type TestApi } from './testApi.ts';

let t: TestApi;
beforeAll(async () => {
  t = await openTestApi();
});
afterAll(() => t.close());

const deps = () => t.api.deps.commands;
const why = { reason: 'r' };

/** A POST that must be taken. */
async function done(path: string, body: Body = {}): Promise<Answer> {
  const answer = await t.call('POST', OWN + path, { body });
  expect(answer.status, `${path}: ${JSON.stringify(answer.body)}`).toBeLessThan(300);
  return answer;
}

/** A POST that must be refused by the guard `guardName`, which names the state, and write nothing. */
async function refused(path: string, body: Body, state: string, guardName: string): Promise<void> {
  const before = await t.facts();
  const answer = await t.call('POST', OWN + path, { body });
  expect([path, answer.status, answer.body['detail']]).toEqual([path, 409, expect.stringContaining(state)]);
  const unmet = { name: guardName, met: false, why: expect.any(String), how_to_meet: expect.stringMatching(/\w/) };
  expect(answer.body['guards']).toContainEqual(unmet);
  expect(answer.body['detail']).toContain(unmet.name);
  expect(await t.facts()).toBe(before);
}

/** A table that forgets a state of its chart fails. */
function expectEveryState<C>({ chart }: Machine<C>, rows: readonly (readonly [string, ...unknown[]])[]): void {
  const seen = new Set(rows.map(([state]) => state.split('.')[0]));
  expect([...seen].sort()).toEqual(
    Object.keys(chart.states)
      .filter((state) => state !== 'None')
      .sort(),
  );
}

describe('a rollout refuses', () => {
  const BODIES: Readonly<Record<string, Body>> = {
    start: {},
    pause: why,
    resume: {},
    advance: { ...why, override: true },
    rollback: why,
    'root-cause': { text: 'x' },
  };

  /** A rollout of 1.1.0 to everyone, while 1.0.0 is stable. */
  async function pending(more: Body = {}): Promise<number> {
    const modelId = await newModel(deps());
    for (const version of ['1.0.0', '1.1.0']) await publish(deps(), modelId, version);
    const spec = { version: '1.0.0', preset: 'immediate', start: true };
    await done(`/rollouts/${await created(modelId, spec)}/advance`, BODIES['advance']);
    return created(modelId, { version: '1.1.0', stages: [{ percent: 100 }], ...more });
  }
  const created = async (modelId: string, body: Body) =>
    Number((await done(`/models/${modelId}/rollouts`, body)).body['id']);
  const after =
    (...verbs: string[]) =>
    async () => {
      const id = await pending();
      for (const verb of verbs) await done(`/rollouts/${id}/${verb}`, BODIES[verb] ?? why);
      return id;
    };
  const held = async () => {
    const rolloutId = await pending({ start: true, on_regressed: 'hold' });
    facts(await judgeRollout(deps(), workflow(), { rolloutId, judgement: judgement('REGRESSED') }));
    return rolloutId;
  };

  const ROWS: readonly (readonly [state: string, reach: () => Promise<number>, illegal: string])[] = [
    ['Pending', after(), 'pause resume advance rollback root-cause'],
    ['Active', after('start'), 'root-cause'],
    ['Held', held, 'resume advance root-cause'],
    ['Paused', after('start', 'pause'), 'start advance root-cause'],
    ['Completed', after('start', 'advance'), 'start pause resume root-cause'],
    ['RolledBack', after('start', 'rollback'), 'start pause resume advance'],
    ['Aborted', after('start', 'abort'), 'start pause resume advance rollback'],
  ];

  it.each(ROWS)('in %s what is not legal there', async (state, reach, illegal) => {
    const id = await reach();
    for (const verb of illegal.split(' ')) await refused(`/rollouts/${id}/${verb}`, BODIES[verb]!, state, 'state');
    expect((await t.call('GET', `${OWN}/rollouts/${id}`)).body).toMatchObject({ state });
  });

  it('in each of its states', () => expectEveryState(rolloutMachine, ROWS));
});

describe('a version refuses', () => {
  const OTHER = Buffer.from('other bytes');
  const sha256 = createHash('sha256').update(OTHER).digest('hex');
  /** By verb: its route below the model, its body, and the guard that refuses it. */
  const VERBS: Readonly<Record<string, readonly [path: string, body: Body, guardName: string]>> = {
    draft: ['/versions', { version: '1.0.0' }, 'newVersion'],
    artifact: ['/versions/1.0.0/artifact', { files: [{ format: 'safetensors', sha256 }] }, 'state'],
    publish: ['/versions/1.0.0/publish', {}, 'state'],
    'cancel-publish': ['/versions/1.0.0/publish/cancel', { reason: 'r' }, 'state'],
    train: ['/train', { new_version: '1.0.0', init_artifact: sha256 }, 'versionFree'],
    rollouts: ['/rollouts', { version: '1.0.0' }, 'published'],
  };
  beforeAll(() => t.upload(OTHER));

  const model = () => newModel(deps());
  const draft = async (modelId: string) => {
    await done(`/models/${modelId}/versions`, { version: '1.0.0' });
    return modelId;
  };
  const trained = async (modelId: string) => {
    await done(`/models/${modelId}/versions/1.0.0/artifact`, { files: [{ format: 'onnx', sha256 }] });
    return modelId;
  };
  const published = async (modelId: string, version = '1.0.0') => {
    await publish(deps(), modelId, version);
    return modelId;
  };
  /** Published, and on its way to everyone; `verb` then ends that rollout. */
  const deployed = async (modelId: string, verb?: string, version = '1.0.0') => {
    await published(modelId, version);
    const { body } = await done(`/models/${modelId}/rollouts`, { version, preset: 'immediate', start: true });
    if (verb)
      await done(`/rollouts/${body['id'] as number}/${verb}`, {
        ...why,
        ...(verb === 'advance' ? { override: true } : {}),
      });
    return modelId;
  };

  const ROWS: readonly (readonly [state: string, reach: () => Promise<string>, illegal: string])[] = [
    ['Draft', async () => draft(await model()), 'publish cancel-publish rollouts'],
    [
      'Training',
      async () => (await requestRun(deps())).modelId,
      'draft artifact publish cancel-publish train rollouts',
    ],
    ['Trained.ready', async () => trained(await model()), 'draft cancel-publish train rollouts'],
    [
      'Trained.publishing',
      async () => (await publishing(deps(), await model(), '1.0.0')).modelId,
      'draft artifact train rollouts',
    ],
    ['Published', async () => published(await model()), 'draft artifact cancel-publish train'],
    ['Deployed.rolling', async () => deployed(await model()), 'draft artifact cancel-publish train'],
    ['Deployed.live', async () => deployed(await model(), 'advance'), 'draft artifact cancel-publish train'],
    [
      'Deployed.standby',
      async () => deployed(await deployed(await model(), 'advance'), 'advance', '1.1.0'),
      'draft artifact cancel-publish train',
    ],
    [
      'Rollback',
      async () => deployed(await model(), 'rollback'),
      'draft artifact publish cancel-publish train rollouts',
    ],
  ];

  it.each(ROWS)('in %s what is not legal there', async (state, reach, illegal) => {
    const modelId = await reach();
    for (const verb of illegal.split(' ')) {
      const [path, body, guardName] = VERBS[verb]!;
      await refused(`/models/${modelId}${path}`, body, state, guardName);
    }
    expect((await t.call('GET', `${OWN}/models/${modelId}/versions/1.0.0`)).body).toMatchObject({ state });
  });

  it('in each of its states', () => expectEveryState(versionMachine, ROWS));
});

describe('a training run refuses', () => {
  /** A run whose first of two rounds is in. */
  async function aggregatedOnce(): Promise<string> {
    const { runId } = await openRun(deps(), { rounds: 2, min_updates: 1, goal: 1 });
    await admitUpdate(deps(), updateFor(await lease(deps(), runId, 'device-1')));
    facts(await recordAggregate(deps(), workflow(), { runId, data: aggregated() }));
    return runId;
  }
  const after = (verb: string, reach: () => Promise<string>) => async () => {
    const runId = await reach();
    await done(`/training/${runId}/${verb}`, verb === 'stop' ? {} : why);
    return runId;
  };
  const open = async () => (await openRun(deps())).runId;
  const ending = after('stop', aggregatedOnce);
  const succeeded = async () => {
    const runId = await ending();
    facts(await finishTraining(deps(), workflow(), { runId }));
    return runId;
  };

  const ROWS: readonly (readonly [state: string, reach: () => Promise<string>, illegal: string])[] = [
    ['Ending', ending, 'pause resume'],
    ['Succeeded', succeeded, 'pause resume abort'],
    ['Aborted', after('abort', open), 'pause resume stop'],
  ];

  it.each(ROWS)('in %s what is not legal there', async (state, reach, illegal) => {
    const runId = await reach();
    for (const verb of illegal.split(' ')) {
      await refused(`/training/${runId}/${verb}`, verb === 'pause' || verb === 'abort' ? why : {}, state, 'state');
    }
  });

  it('nothing while it runs: a repeat is so already', async () => {
    const runId = await open();
    const before = await t.facts();
    expect((await done(`/training/${runId}/resume`)).body['events']).toEqual([]);
    expect(await t.facts()).toBe(before);
  });

  it('in each of its states', () => expectEveryState(trainingMachine, [...ROWS, ['Running']]));
});

/** Rollouts on a real Temporal and a real Postgres: what the log shows at the end. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RolloutView } from '../activities/contract.ts';
import { pauseRollout } from '../commands/pauseRollout.ts';
import { recordRootCause } from '../commands/recordRootCause.ts';
import { resumeRollout } from '../commands/resumeRollout.ts';
import { rollbackProcess, rolloutProcess } from '../domain/events/processes.ts';
import {
  arm,
  asKey,
  openWorkflows,
  publishedModel,
  quickSpec,
  start,
  type WorkflowFixture,
} from '../test/support/workflows.ts';
import { rolloutStream } from '../domain/events/streams.ts';
import { request, until } from '../test/support/log.ts';

let t: WorkflowFixture;
beforeAll(async () => {
  t = await openWorkflows();
  t.startRelay();
  await t.startWorker();
});
afterAll(() => t.close());

const healthy = { canary: arm(10, 100, 0), control: arm(10, 100, 0) };
const broken = { canary: arm(10, 100, 30), control: arm(10, 100, 0) };
/**
 * The workflow's view; undefined before its first load. Not asked before the first workflow task is done: the dev server lets such
 * a query hang for half a minute.
 */
async function viewOf(id: number): Promise<RolloutView | undefined> {
  const handle = t.client.workflow.getHandle(rolloutProcess(id));
  const length = await handle.describe().then(
    (d) => d.historyLength,
    () => 0,
  );
  return length < 5 ? undefined : handle.query<RolloutView | undefined>('view');
}
const types = async (rolloutId: number) => (await t.rolloutFacts(rolloutId)).map((e) => e.fact.type);

describe('rolloutVersion', () => {
  it('takes a healthy version through its stages to everyone, and ends', async () => {
    t.counters = healthy;
    const modelId = await publishedModel(t.commands, ['1.0.0']);
    const id = await start(t.commands, modelId, quickSpec('1.0.0', [10, 50, 100]));
    await t.untilFact(id, 'RolloutCompleted');
    expect(await types(id)).toEqual([
      'RolloutCreated',
      'RolloutStarted',
      ...Array(3).fill(['StageEntered', 'HealthJudged']).flat(),
      'RolloutCompleted',
    ]);
    await expect(t.client.workflow.getHandle(rolloutProcess(id)).result()).resolves.toEqual({ state: 'Completed' });
    const memo = (await t.client.workflow.getHandle(rolloutProcess(id)).describe()).memo;
    expect(memo).toMatchObject({ model: modelId, version: '1.0.0', stream: `rollout-${id}` });
  });

  it('stops its bake at a pause, and goes on at resume', async () => {
    t.counters = { canary: arm(0, 0, 0), control: arm(0, 0, 0) };
    const modelId = await publishedModel(t.commands, ['1.0.0']);
    const id = await start(t.commands, modelId, quickSpec('1.0.0', [10, 100]));
    await until('the workflow bakes', async () => (await viewOf(id))?.next.kind === 'bake');
    await pauseRollout(t.commands, asKey(), { rolloutId: id, reason: 'lunch' });
    await until('the workflow has seen the pause', async () => (await viewOf(id))?.state === 'Paused');
    expect((await viewOf(id))?.next.kind).toBe('watch');
    t.counters = healthy;
    await resumeRollout(t.commands, asKey(), { rolloutId: id });
    await t.untilFact(id, 'RolloutCompleted');
    expect((await types(id)).filter((type) => type === 'StageEntered')).toHaveLength(2);
  });

  it('rolls a regressed version back in one append, and tells people once', async () => {
    t.counters = healthy;
    t.devices = { told: 10, outstanding: 0 };
    const modelId = await publishedModel(t.commands, ['1.0.0', '1.1.0']);
    await start(t.commands, modelId, quickSpec('1.0.0', [100]), true);
    t.counters = broken;
    const id = await start(t.commands, modelId, quickSpec('1.1.0', [10, 100]));
    const fact = await t.untilFact(id, 'RolloutRolledBack');
    const judged = await t.untilFact(id, 'HealthJudged');
    expect(judged.commandId).toBe(fact.commandId);
    expect(fact.commandId).toBe(`rollout-${id}/1/stage-0/judge-1`);
    expect(fact.actor).toEqual({ kind: 'workflow', id: rolloutProcess(id) });
    await expect(t.client.workflow.getHandle(rolloutProcess(id)).result()).resolves.toEqual({ state: 'RolledBack' });
    await until('the draft is there', async () => (await t.deps.notices.of(fact.id)).has(`${fact.id}/post-mortem`));
    const ids = (await t.deps.notices.list(1_000)).map((n) => n.eventId).filter((id) => id.startsWith(fact.id));
    expect(ids.reverse()).toEqual([fact.id, `${fact.id}/returned`, `${fact.id}/post-mortem`]);
    const told = (await t.deps.notices.list(1_000)).filter((n) => n.eventId === fact.id);
    expect(told).toHaveLength(1);
    expect(told[0]!.text).toContain('1.1.0 was rolled back');
    await recordRootCause(t.commands, asKey(), { rolloutId: id, text: 'a wrong input range' });
    await expect(t.client.workflow.getHandle(rollbackProcess(id)).result()).resolves.toEqual({ state: 'RolledBack' });
  });

  it('convicts a paused rollout too', async () => {
    t.counters = { canary: arm(0, 0, 0), control: arm(0, 0, 0) };
    const modelId = await publishedModel(t.commands, ['1.0.0', '1.1.0']);
    await start(t.commands, modelId, quickSpec('1.0.0', [100]), true);
    const id = await start(t.commands, modelId, quickSpec('1.1.0', [10, 100]));
    await pauseRollout(t.commands, asKey(), { rolloutId: id, reason: 'lunch' });
    t.counters = broken;
    await t.untilFact(id, 'RolloutRolledBack');
  });

  it('pauses a stage that stays inconclusive, and bakes it once more after resume', async () => {
    t.counters = { canary: arm(1, 1, 0), control: arm(1, 1, 0) };
    const modelId = await publishedModel(t.commands, ['1.0.0']);
    const short = { percent: 100, ramp: '0s', min_bake: '100ms', max_bake: '200ms' };
    const id = await start(t.commands, modelId, quickSpec('1.0.0', [100], { stages: [short] }));
    const paused = await t.untilFact(id, 'RolloutPaused');
    expect(paused.fact.data).toMatchObject({ cause: 'inconclusive' });
    t.counters = healthy;
    await resumeRollout(t.commands, asKey(), { rolloutId: id });
    await t.untilFact(id, 'RolloutCompleted');
  });

  it('alerts once and waits where its stream cannot be read on, however often it was signalled', async () => {
    t.counters = { canary: arm(0, 0, 0), control: arm(0, 0, 0) };
    const modelId = await publishedModel(t.commands, ['1.0.0']);
    const id = await start(t.commands, modelId, quickSpec('1.0.0', [10, 100]));
    await until('the workflow bakes', async () => (await viewOf(id))?.next.kind === 'bake');
    const stream = rolloutStream(id);
    const fact = { type: 'RolloutResumed', data: {} } as const; // which no running rollout accepts
    const events = [{ id: randomUUID(), stream, machine: 'rollout@1', schemaVersion: 1, fact }];
    await t.log.store.append(request({ [stream]: 'any' }, { events }));
    const handle = t.client.workflow.getHandle(rolloutProcess(id));
    await until('it waits for an hour after the signal', async () => {
      const { events: history } = await handle.fetchHistory();
      const all = history ?? [];
      const signalled = all.findLastIndex((e) => e.workflowExecutionSignaledEventAttributes);
      const failed = all.findLastIndex((e) => e.activityTaskFailedEventAttributes);
      const waits = all.findLastIndex(
        (e) => Number(e.timerStartedEventAttributes?.startToFireTimeout?.seconds ?? 0) === 3_600,
      );
      return (
        signalled >= 0 &&
        failed > signalled &&
        waits > failed &&
        !all.slice(waits).some((e) => e.timerCanceledEventAttributes)
      );
    });
    const told = (await t.deps.notices.list(1_000)).filter((n) => n.eventId.includes(rolloutProcess(id)));
    expect(told.map((n) => n.text).join()).toContain('stream_diverged');
  });
});

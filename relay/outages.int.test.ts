/** Temporal fails under the relay, on a server of the file's own. Only its return can mend what is tested: the reconciler's clock stands at an hour. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pauseRollout } from '../commands/pauseRollout.ts';
import { resumeRollout } from '../commands/resumeRollout.ts';
import { rolloutProcess, trainingProcess } from '../domain/events/processes.ts';
import { trainingStream } from '../domain/events/streams.ts';
import { person } from '../test/support/commands.ts';
import { historyOf } from '../test/support/histories.ts';
import { until } from '../test/support/log.ts';
import { startTemporal, type TestTemporal } from '../test/support/services.ts';
import { answerAll, requestRun } from '../test/support/training.ts';
import {
  arm,
  openWorkflows,
  publishedModel,
  quickSpec,
  start,
  type WorkflowFixture,
} from '../test/support/workflows.ts';

const healthy = { canary: arm(10, 100, 0), control: arm(10, 100, 0) };
const silent = { canary: arm(0, 0, 0), control: arm(0, 0, 0) };
const PATIENCE_MS = 40_000;

let temporal: TestTemporal;
let t: WorkflowFixture;
beforeAll(async () => {
  temporal = await startTemporal();
  t = await openWorkflows(temporal.target);
  t.startRelay({ reconcileEveryMs: 3_600_000 });
  await t.startWorker();
});
afterAll(async () => {
  await t.close();
  await temporal.stop();
});

const untilBaking = (id: number) =>
  until(`rollout ${id} bakes`, async () => {
    const history = await historyOf(t.client, rolloutProcess(id)).catch(() => undefined);
    return history?.steps.some((s) => s.activity === 'watchStage') ?? false;
  });
async function rollout(version = '1.0.0'): Promise<number> {
  const modelId = await publishedModel(t.commands, [version]);
  const id = await start(t.commands, modelId, quickSpec(version, [50, 100]));
  await untilBaking(id);
  return id;
}
async function expectOnce(id: number): Promise<void> {
  const isOver = async () => (await t.rolloutFacts(id)).some((e) => e.fact.type === 'RolloutCompleted');
  await until(`rollout ${id} is completed`, isOver, PATIENCE_MS);
  const types = (await t.rolloutFacts(id)).map((e) => e.fact.type);
  expect(types.filter((type) => type === 'StageEntered')).toHaveLength(2);
  expect(types.filter((type) => type === 'RolloutCompleted')).toHaveLength(1);
}

describe('Temporal is killed while the relay runs', () => {
  it('takes the facts of the outage when it is back, and the rollout goes on', async () => {
    t.counters = silent;
    const id = await rollout();
    await temporal.kill();
    const paused = await pauseRollout(t.commands, person(), { rolloutId: id, reason: 'works without Temporal' });
    expect(paused.outcome).toBe('appended');
    t.counters = healthy;
    await resumeRollout(t.commands, person(), { rolloutId: id });
    await temporal.start();
    await expectOnce(id);
    const { signals } = await historyOf(t.client, rolloutProcess(id));
    expect(signals.some((r) => ['RolloutPaused', 'RolloutResumed'].includes(r.type))).toBe(true);
  });
});

describe("Temporal's database is deleted", () => {
  it('starts every open process again when it is back, though no fact comes, and appends nothing twice', async () => {
    t.counters = silent;
    const first = await rollout();
    const second = await rollout();
    const { runId } = await requestRun(t.commands, { rounds: 1, min_updates: 2 });
    const factsOf = async () => (await t.log.store.readStream(trainingStream(runId))).map((e) => e.fact.type);
    await until('the round is open', async () => (await factsOf()).includes('RoundOpened'));
    await temporal.kill();
    temporal.wipe();
    await temporal.start();
    for (const id of [rolloutProcess(first), rolloutProcess(second), trainingProcess(runId)]) {
      const lives = async () => {
        const { status } = await t.client.workflow.getHandle(id).describe();
        return status.name === 'RUNNING';
      };
      await until(`${id} lives again`, () => lives().catch(() => false), PATIENCE_MS);
    }
    t.counters = healthy;
    await answerAll(t.commands, runId, 2);
    await expectOnce(first);
    await expectOnce(second);
    const isOver = async () => (await factsOf()).includes('TrainingSucceeded');
    await until('the training is over', isOver, PATIENCE_MS);
    expect(await factsOf()).toEqual([
      'TrainingRequested',
      'RoundOpened',
      'RoundClosed',
      'RoundAggregated',
      'TrainingStopped',
      'TrainingSucceeded',
    ]);
  });
});

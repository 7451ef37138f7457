/**
 * A run that has grown long begins anew, and the process goes on to its end. On a Temporal of the file's own, which suggests it after
 * 60 events instead of 4,096.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pauseRollout } from '../commands/pauseRollout.ts';
import { resumeRollout } from '../commands/resumeRollout.ts';
import { rolloutProcess, trainingProcess } from '../domain/events/processes.ts';
import { trainingStream } from '../domain/events/streams.ts';
import { person } from '../test/support/commands.ts';
import { chainOf, historyOf, keep } from '../test/support/histories.ts';
import { until } from '../test/support/log.ts';
import { startTemporal, type TestTemporal } from '../test/support/services.ts';
import { answerAll, requestRun } from '../test/support/training.ts';
import { openWorkflows, publishedModel, quickSpec, start, type WorkflowFixture } from '../test/support/workflows.ts';

const SUGGESTED = 60;
/** What one turn of the story may add after the suggestion. */
const TURN = 40;

let temporal: TestTemporal;
let t: WorkflowFixture;
beforeAll(async () => {
  temporal = await startTemporal({ 'limit.historyCount.suggestContinueAsNew': String(SUGGESTED) });
  t = await openWorkflows(temporal.target);
  t.startRelay();
  await t.startWorker();
});
afterAll(async () => {
  await t.close();
  await temporal.stop();
});

const isShort = (events: number) => expect(events).toBeLessThanOrEqual(SUGGESTED + TURN);

describe('continue-as-new', () => {
  it('takes a rollout through many stages and a pause, each fact once', async () => {
    const percents = [10, 20, 30, 50, 70, 100];
    const modelId = await publishedModel(t.commands, ['1.0.0']);
    const id = await start(t.commands, modelId, quickSpec('1.0.0', percents));
    const process = rolloutProcess(id);
    await t.untilFact(id, 'StageEntered', 4); // in its second run or later
    await pauseRollout(t.commands, person(), { rolloutId: id, reason: 'lunch' });
    await until('a later run heard of the pause', async () =>
      (await historyOf(t.client, process)).signals.some((r) => r.type === 'RolloutPaused'),
    );
    await resumeRollout(t.commands, person(), { rolloutId: id });
    await t.untilFact(id, 'RolloutCompleted');
    await expect(t.client.workflow.getHandle(process).result()).resolves.toEqual({ state: 'Completed' });

    const runs = await chainOf(t.client, process);
    expect(runs.length).toBeGreaterThanOrEqual(3);
    for (const run of runs) isShort(run.events);
    // Each run loads before it does anything.
    for (const run of runs) expect(run.steps[0]?.activity).toBe('loadRollout');
    const types = (await t.rolloutFacts(id)).map((e) => e.fact.type);
    const once = (type: string) => types.filter((other) => other === type).length;
    expect(once('StageEntered')).toBe(percents.length);
    for (const type of ['RolloutStarted', 'RolloutPaused', 'RolloutResumed', 'RolloutCompleted']) {
      expect(once(type), type).toBe(1);
    }
    keep('rollout-continued', runs[0]!);
  });

  it('takes a training through its rounds, each fact once', async () => {
    const { runId } = await requestRun(t.commands, { rounds: 4, min_updates: 1 });
    for (let round = 0; round < 4; round += 1) await answerAll(t.commands, runId, 1);
    const process = trainingProcess(runId);
    await until('the training is over', async () =>
      (await t.log.store.readStream(trainingStream(runId))).some((e) => e.fact.type === 'TrainingSucceeded'),
    );
    await expect(t.client.workflow.getHandle(process).result()).resolves.toEqual({ state: 'Succeeded' });
    const runs = await chainOf(t.client, process);
    expect(runs.length).toBeGreaterThanOrEqual(2);
    for (const run of runs) isShort(run.events);
    expect((await t.log.store.readStream(trainingStream(runId))).map((e) => e.fact.type)).toEqual([
      'TrainingRequested',
      ...Array(4).fill(['RoundOpened', 'RoundClosed', 'RoundAggregated']).flat(),
      'TrainingStopped',
      'TrainingSucceeded',
    ]);
  });
});

/** Federated runs on a real Temporal and a real Postgres; devices upload through the use cases. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { admitUpdate } from '../commands/admitUpdate.ts';
import { bodyOf, ORG, person, stopper, store } from '../test/support/commands.ts';
import { leaseTask } from '../commands/leaseTask.ts';
import { pauseTraining } from '../commands/pauseTraining.ts';
import { registerModel } from '../commands/registerModel.ts';
import { requestTraining } from '../commands/requestTraining.ts';
import { resumeTraining } from '../commands/resumeTraining.ts';
import { stopTraining } from '../commands/stopTraining.ts';
import { trainingProcess } from '../domain/events/processes.ts';
import { trainingStream, versionStream } from '../domain/events/streams.ts';
import { encodeUpdate, f32Tensor, writeSafetensors } from '../domain/formats/safetensors/index.ts';
import { until } from '../test/support/log.ts';
import { answerAll, requestRun } from '../test/support/training.ts';
import { openWorkflows, type WorkflowFixture } from '../test/support/workflows.ts';

let t: WorkflowFixture;
beforeAll(async () => {
  t = await openWorkflows();
  t.startRelay();
  await t.startWorker();
});
afterAll(() => t.close());

const factsOf = async (runId: string) => (await t.log.store.readStream(trainingStream(runId))).map((e) => e.fact.type);
const untilFact = (runId: string, type: string, count = 1) =>
  until(`${count} ${type} of ${runId}`, async () => (await factsOf(runId)).filter((f) => f === type).length >= count);
const resultOf = (runId: string) => t.client.workflow.getHandle(trainingProcess(runId)).result();

describe('trainModel', () => {
  it('trains two rounds with three devices, and the version is Trained', async () => {
    const { modelId, runId } = await requestRun(t.commands);
    await answerAll(t.commands, runId, 3);
    await untilFact(runId, 'RoundAggregated');
    await answerAll(t.commands, runId, 3);
    await untilFact(runId, 'TrainingSucceeded');
    expect(await factsOf(runId)).toEqual([
      'TrainingRequested',
      ...Array(2).fill(['RoundOpened', 'RoundClosed', 'RoundAggregated']).flat(),
      'TrainingStopped',
      'TrainingSucceeded',
    ]);
    await expect(resultOf(runId)).resolves.toEqual({ state: 'Succeeded' });
    const version = await t.log.store.readStream(versionStream(modelId, '1.0.0'));
    const completed = version.at(-1)!.fact;
    expect(completed.type).toBe('TrainingCompleted');
    expect(completed.data).toMatchObject({ rounds: 2, participants: 3, updates: 6 });
  });

  it('closes at the deadline with a quorum, and abandons a round that has none until it pauses', async () => {
    const windows = { selection: '50ms', report: '300ms', extend: '300ms' };
    const onMiss = { retry: 2, backoff: ['50ms', '100ms'] };
    const asked = { rounds: 2, min_updates: 2, goal: 5, windows, on_quorum_miss: onMiss };
    const { runId } = await requestRun(t.commands, asked);
    await answerAll(t.commands, runId, 2);
    await untilFact(runId, 'RoundAggregated');
    const closed = (await t.log.store.readStream(trainingStream(runId))).find((e) => e.fact.type === 'RoundClosed')!;
    expect(closed.fact.data).toMatchObject({ cause: 'deadline', counted: 2 });
    await untilFact(runId, 'TrainingPaused');
    expect((await factsOf(runId)).filter((f) => f === 'RoundAbandoned')).toHaveLength(2);
    await stopTraining(t.commands, stopper(), { runId });
    await untilFact(runId, 'TrainingSucceeded');
    await expect(resultOf(runId)).resolves.toEqual({ state: 'Succeeded' });
  });

  it('opens no round while paused, and goes on after resume', async () => {
    const { runId } = await requestRun(t.commands);
    await untilFact(runId, 'RoundOpened');
    await pauseTraining(t.commands, person(), { runId, reason: 'lunch', by: 'key_test' });
    await answerAll(t.commands, runId, 3);
    await untilFact(runId, 'RoundAggregated');
    await until('the workflow waits', async () => {
      const view = await t.client.workflow.getHandle(trainingProcess(runId)).query<{ next: { kind: string } }>('view');
      return view.next.kind === 'wait';
    });
    expect((await factsOf(runId)).filter((f) => f === 'RoundOpened')).toHaveLength(1);
    await resumeTraining(t.commands, person(), { runId, by: 'key_test' });
    await answerAll(t.commands, runId, 3);
    await untilFact(runId, 'TrainingSucceeded');
  });

  it('evaluates each round on held-out data', async () => {
    const { modelId } = await registerModel(t.commands, person(), {
      orgId: ORG,
      name: `evaluated-${t.taskQueue}`,
      framework: 'onnx',
      useCase: 'test',
      description: '',
      architecture: { kind: 'mlp:relu:sigmoid', input_dim: 2, output_dim: 1 },
    });
    const tensors = (w: number[], b: number) => [
      f32Tensor('bias', [1], Float32Array.of(b)),
      f32Tensor('weight', [1, 2], Float32Array.from(w)),
    ];
    const base = await store(t.commands, writeSafetensors(tensors([1, -1], 0)));
    const rows = [
      f32Tensor('input', [2, 2], Float32Array.of(1, 0, 0, 1)),
      f32Tensor('labels', [2], Float32Array.of(1, 0)),
    ];
    const set = await store(t.commands, writeSafetensors(rows));
    const request = { new_version: '1.0.0', init_artifact: base, rounds: 1, min_updates: 1, evaluation: { set } };
    const { runId } = await requestTraining(t.commands, person(), { modelId, request, source: 'own' });
    await until('an update is taken', async () => {
      const { task } = await leaseTask(t.commands, { orgId: ORG, runId, deviceId: 'device-1' });
      if (!task) return false;
      const { taskId, lease, round } = task;
      const deltas = tensors([0.5, -0.5], 0.1);
      const bytes = encodeUpdate({
        base: round.baseSha,
        round: round.roundId,
        task: taskId,
        samples: 10,
        metrics: {},
        deltas,
      });
      return (
        (await admitUpdate(t.commands, { taskId, orgId: ORG, lease, body: bodyOf(bytes), digest: null })).outcome ===
        'accepted'
      );
    });
    await untilFact(runId, 'TrainingSucceeded');
    const facts = await t.log.store.readStream(trainingStream(runId));
    const evaluated = facts.find((e) => e.fact.type === 'RoundEvaluated')!;
    expect(evaluated.fact.data).toMatchObject({ n: 2, accuracy: 1, finite: true, set_sha: set });
  });
});

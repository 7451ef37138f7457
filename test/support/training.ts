/** For tests of training: a run to begin, and devices that answer. */
import { admitUpdate } from '../../commands/admitUpdate.ts';
import type { CommandDeps } from '../../commands/context.ts';
import { leaseTask } from '../../commands/leaseTask.ts';
import { requestTraining } from '../../commands/requestTraining.ts';
import { facts, GRAPH, ORG, newModel, person, store, updateFor, weights } from './commands.ts';
import { until } from './log.ts';

/** Two rounds of three devices, unless the request says otherwise. */
export async function requestRun(deps: CommandDeps, request: Readonly<Record<string, unknown>> = {}) {
  const modelId = await newModel(deps, request['evaluation'] ? GRAPH : undefined);
  const base = await store(deps, weights());
  const asked = { new_version: '1.0.0', init_artifact: base, rounds: 2, min_updates: 3, ...request };
  const { runId, ...outcome } = await requestTraining(deps, person(), { modelId, request: asked, source: 'own' });
  facts(outcome);
  return { modelId, runId };
}

/** One device answers the open round, as soon as there is one that it has not answered. */
async function answer(deps: CommandDeps, runId: string, deviceId: string, value: number): Promise<void> {
  await until(`a task for ${deviceId}`, async () => {
    const { task } = await leaseTask(deps, { orgId: ORG, runId, deviceId });
    return task !== null && (await admitUpdate(deps, updateFor(task, value))).outcome === 'accepted';
  });
}

/** So many devices answer the open round once. */
export async function answerAll(deps: CommandDeps, runId: string, devices: number): Promise<void> {
  await Promise.all(Array.from({ length: devices }, (_, i) => answer(deps, runId, `device-${i}`, 0.1 * (i + 1))));
}

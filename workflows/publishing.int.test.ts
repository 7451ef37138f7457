/** Publications on a real Temporal, a real Postgres and a real ONNX Runtime. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { facts, ORG, person, stopper, store } from '../test/support/commands.ts';
import { cancelPublish } from '../commands/cancelPublish.ts';
import type { OnnxRuntime } from '../activities/runtimes/onnxRuntime.ts';
import { registerModel } from '../commands/registerModel.ts';
import { requestPublish } from '../commands/requestPublish.ts';
import { uploadArtifact } from '../commands/uploadArtifact.ts';
import { publishProcess } from '../domain/events/processes.ts';
import { modelStream, versionStream } from '../domain/events/streams.ts';
import { f32Tensor, writeSafetensors } from '../domain/formats/safetensors/index.ts';
import { until } from '../test/support/log.ts';
import { openWorkflows, type WorkflowFixture } from '../test/support/workflows.ts';

let t: WorkflowFixture;
let first: Awaited<ReturnType<WorkflowFixture['startWorker']>>;
beforeAll(async () => {
  t = await openWorkflows();
  t.startRelay();
  first = await t.startWorker();
});
afterAll(() => t.close());

/** A version with weights of a logistic model; `weight` NaN makes it unfit. */
async function uploaded(weight: number): Promise<string> {
  const { modelId } = await registerModel(t.commands, person(), {
    orgId: ORG,
    name: `published-${randomUUID()}`,
    framework: 'onnx',
    useCase: 'test',
    description: '',
    architecture: { kind: 'mlp:relu:sigmoid', input_dim: 2, output_dim: 1 },
  });
  const bytes = writeSafetensors([
    f32Tensor('bias', [1], Float32Array.of(0.5)),
    f32Tensor('weight', [1, 2], Float32Array.of(weight, -1)),
  ]);
  const sha256 = await store(t.commands, bytes);
  const file = { format: 'safetensors', sha256, bytes: bytes.length, media_type: 'application/octet-stream' };
  await uploadArtifact(t.commands, person(), { modelId, version: '1.0.0', files: [file] });
  return modelId;
}
const typesOf = async (stream: string) => (await t.log.store.readStream(stream)).map((e) => e.fact.type);

describe('publishVersion', () => {
  it('publishes a version once, however often its workflow runs', async () => {
    const modelId = await uploaded(2);
    const { n } = await requestPublish(t.commands, person(), { modelId, version: '1.0.0' });
    const id = publishProcess(modelId, '1.0.0', n);
    const stream = versionStream(modelId, '1.0.0');
    await until('the version is published', async () => (await typesOf(stream)).includes('VersionPublished'));
    await expect(t.client.workflow.getHandle(id).result()).resolves.toEqual({ state: 'Published' });

    const again = await t.client.workflow.start('publishVersion', {
      workflowId: id,
      taskQueue: t.taskQueue,
      args: [{ v: 1, modelId, version: '1.0.0', n }],
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    });
    await expect(again.result()).resolves.toEqual({ state: 'Published' });
    expect((await typesOf(stream)).filter((type) => type === 'VersionPublished')).toHaveLength(1);
    expect((await typesOf(modelStream(modelId))).filter((type) => type === 'VersionListed')).toHaveLength(1);
    const published = (await t.log.store.readStream(stream)).at(-1)!;
    expect(published.commandId).toBe(`${modelId}@1.0.0/${n}/published`);
    expect(published.actor).toEqual({ kind: 'workflow', id });
  });

  it('ends when a person cancels it, while a model runs and does not answer', async () => {
    const modelId = await uploaded(2);
    let asked: () => void = () => undefined;
    const isAsked = new Promise<void>((resolve) => (asked = resolve));
    // The real runtime, whose session is asked for and never comes: it ends by the signal alone.
    const runtime: OnnxRuntime = {
      ...t.deps.runtime,
      openOnnxSession: ({ signal }) =>
        new Promise((_, reject) => {
          signal?.addEventListener('abort', () => reject(signal.reason as Error));
          asked();
        }),
    };
    await first.stop();
    const second = await t.startWorker({ runtime });
    const { n } = await requestPublish(t.commands, person(), { modelId, version: '1.0.0' });
    await isAsked;
    const input = { modelId, version: '1.0.0', reason: 'wrong weights' };
    expect(facts(await cancelPublish(t.commands, stopper(), input))).toEqual(['PublishRefused']);
    expect((await cancelPublish(t.commands, stopper(), input)).outcome).toBe('already');
    const id = publishProcess(modelId, '1.0.0', n);
    await expect(t.client.workflow.getHandle(id).result()).resolves.toEqual({ state: 'Trained.ready' });
    const stream = versionStream(modelId, '1.0.0');
    expect((await t.log.store.readStream(stream)).at(-1)).toMatchObject({
      fact: { type: 'PublishRefused', data: { n, code: 'cancelled', checks: [], reason: 'wrong weights' } },
      actor: { kind: 'key' },
    });

    await second.stop();
    await t.startWorker();
    facts(await requestPublish(t.commands, person(), { modelId, version: '1.0.0' }));
    await until('it is published after all', async () => (await typesOf(stream)).includes('VersionPublished'));
  });

  it('refuses a version that fails the gate, with the check', async () => {
    const modelId = await uploaded(Number.NaN);
    const { n } = await requestPublish(t.commands, person(), { modelId, version: '1.0.0' });
    const stream = versionStream(modelId, '1.0.0');
    await until('it is refused', async () => (await typesOf(stream)).includes('PublishRefused'));
    const refused = (await t.log.store.readStream(stream)).at(-1)!.fact;
    expect(refused.data).toMatchObject({
      n,
      checks: expect.arrayContaining([expect.objectContaining({ passed: false })]),
    });
    await expect(t.client.workflow.getHandle(publishProcess(modelId, '1.0.0', n)).result()).resolves.toEqual({
      state: 'Trained.ready',
    });
  });
});

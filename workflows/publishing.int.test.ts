/** Publications on a real Temporal, a real Postgres and a real ONNX Runtime. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ORG, person, store } from '../test/support/commands.ts';
import { registerModel } from '../commands/registerModel.ts';
import { requestPublish } from '../commands/requestPublish.ts';
import { uploadArtifact } from '../commands/uploadArtifact.ts';
import { publishProcess } from '../domain/events/processes.ts';
import { modelStream, versionStream } from '../domain/events/streams.ts';
import { f32Tensor, writeSafetensors } from '../domain/formats/safetensors/index.ts';
import { until } from '../test/support/log.ts';
import { openWorkflows, type WorkflowFixture } from '../test/support/workflows.ts';

let t: WorkflowFixture;
beforeAll(async () => {
  t = await openWorkflows();
  t.startRelay();
  await t.startWorker();
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

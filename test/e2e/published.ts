/** A published version by the shortest real way: one device trains one round of a model with five weights. */
import { expect } from 'vitest';
import { Device, encodeModel } from '../../sdk/index.ts';
import { eventually, type Product } from './stack.ts';

export const createModel = ({ client }: Product, name: string) =>
  client.registry.ensureModel({
    name,
    framework: 'custom',
    useCase: 'test',
    architecture: { kind: 'mlp:relu:sigmoid', input_dim: 4, output_dim: 1 },
  });

/** @param base null: the model's first version */
export async function publishVersion(
  { client, stack }: Product,
  deviceKey: string,
  { model, version, base }: { readonly model: string; readonly version: string; readonly base: string | null },
): Promise<void> {
  const { registry, federation } = client;
  const weights = new Map([
    ['fc.bias', { shape: [1], data: new Float32Array([0.5]) }],
    ['fc.weight', { shape: [1, 4], data: new Float32Array([1, -1, 0.5, 2]) }],
  ]);
  const init = await registry.putBlob(encodeModel(weights));
  const operation = await federation.train(
    {
      model,
      newVersion: version,
      ...(base === null ? { initArtifact: init.sha256 } : { baseVersion: base }),
      rounds: 1,
      minUpdates: 1,
      goal: 1,
      publish: true,
    },
    { wait: false },
  );
  const trainer = new Device({
    baseUrl: stack.url,
    apiKey: deviceKey,
    deviceIdentifier: 'trainer',
    platform: 'android',
    attempts: 8,
  });
  await eventually(async () => {
    const receipt = await trainer.train((was) => ({
      delta: new Map(
        [...was].map(([name, t]) => [name, { shape: t.shape, data: t.data.map((_, i) => 0.01 * (i + 1)) }]),
      ),
      samples: 10,
    }));
    return receipt ?? undefined;
  });
  await eventually(async () => {
    const v = await registry.getVersion(model, version);
    return v.lifecycle_state === 'Published' ? v : undefined;
  });
  expect(operation.id).toMatch(/^training:/);
}

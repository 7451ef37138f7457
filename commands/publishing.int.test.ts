/** Models, drafts and publications on a real log, raced where two callers may meet. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { latestOf } from '../domain/semver.ts';
import { modelMachine } from '../machines/model.ts';
import {
  facts,
  newModel,
  openCommands,
  ORG,
  person,
  publish,
  publishing,
  unmet,
  workflow,
  type Commands,
} from '../test/support/commands.ts';
import { draftVersion } from './draftVersion.ts';
import { recordPublished } from './recordPublished.ts';
import { refusePublish } from './refusePublish.ts';
import { registerModel } from './registerModel.ts';
import { requestPublish } from './requestPublish.ts';

let c: Commands;
beforeAll(async () => {
  c = await openCommands();
});
afterAll(() => c.close());

describe('models', () => {
  const input = { orgId: ORG, name: 'Fraud-Detector', framework: 'pytorch', useCase: 'fraud', description: '' };
  const contract = { inputs: [{ name: 'x' }] };

  it('are found by name, whatever its case, and declare a contract once', async () => {
    const first = await registerModel(c.deps, person(), { ...input, contract });
    expect(facts(first)).toEqual(['ModelRegistered', 'ModelContractDeclared']);
    const again = await registerModel(c.deps, person(), { ...input, name: 'fraud-detector', contract });
    expect(again).toMatchObject({ outcome: 'already', modelId: first.modelId });
    expect((await registerModel(c.deps, person(), input)).outcome).toBe('already');
    const other = await registerModel(c.deps, person(), { ...input, useCase: 'nlp' });
    expect(other).toMatchObject({ outcome: 'refused', refusal: { code: 'conflict' } });
  });

  it('registered at once by many callers, are registered once', async () => {
    const race = { ...input, name: 'raced' };
    const all = await Promise.all(Array.from({ length: 8 }, () => registerModel(c.deps, person(), race)));
    expect(all.map((o) => o.outcome).sort()).toEqual([...Array<string>(7).fill('already'), 'appended']);
  });
});

describe('versions', () => {
  it('are drafted with a parent that has weights, below them', async () => {
    const modelId = await newModel(c.deps);
    await publish(c.deps, modelId, '1.0.0');
    const draft = (version: string, parent?: string) =>
      draftVersion(c.deps, person(), { modelId, version, ...(parent === undefined ? {} : { parent }) });
    expect(facts(await draft('1.1.0', '1.0.0'))).toEqual(['VersionDrafted']);
    expect((await draft('1.1.0', '1.0.0')).outcome).toBe('already');
    await expect(draft('1.2.0', '1.1.0')).rejects.toMatchObject({ code: 'parent_not_found' });
    await expect(draft('0.9.0', '1.0.0')).rejects.toMatchObject({ code: 'parent_not_found' });
    await expect(draft('v1.2.0')).rejects.toMatchObject({ code: 'invalid_version' });
    await expect(draft('1.2.0-round.3')).rejects.toMatchObject({ code: 'invalid_version' });
  });

  it('a refused publication may be asked for again, under the next number', async () => {
    const modelId = await newModel(c.deps);
    const first = await publishing(c.deps, modelId, '1.0.0');
    const refusal = { modelId, version: '1.0.0', n: 1, code: 'gate_failed', checks: [] };
    facts(await refusePublish(c.deps, workflow(), refusal));
    const second = await requestPublish(c.deps, person(), { modelId, version: '1.0.0' });
    expect(second).toMatchObject({ outcome: 'appended', n: 2 });
    expect(unmet(await recordPublished(c.deps, workflow(), first))).toEqual(['samePublication']);
    facts(await recordPublished(c.deps, workflow(), { ...first, n: 2 }));
    expect((await requestPublish(c.deps, person(), { modelId, version: '1.0.0' })).outcome).toBe('already');
  });

  it('names a format it does not build, with those it does', async () => {
    const modelId = await newModel(c.deps);
    await expect(
      requestPublish(c.deps, person(), { modelId, version: '1.0.0', formats: ['tflite'] }),
    ).rejects.toMatchObject({
      code: 'invalid_input',
      evidence: { errors: [{ pointer: '/formats/0' }], more: { formats: ['onnx', 'safetensors'] } },
    });
  });
});

describe('two conflicting versions published at once', () => {
  // Both orders are legal answers; what never may happen is that both land, or that the lower one lands second.
  it('300 times: each lands only above what is listed, and `latest` is the highest', { timeout: 120_000 }, async () => {
    let lost = 0;
    for (let n = 0; n < 300; n += 1) {
      const modelId = await newModel(c.deps);
      const [low, high] = [await publishing(c.deps, modelId, '1.0.1'), await publishing(c.deps, modelId, '1.0.2')];
      const raced = n % 2 === 0 ? [low, high] : [high, low];
      const outcomes = await Promise.all(raced.map((one) => recordPublished(c.deps, person(), one)));
      const { listed } = modelMachine.fold(await c.log.readStream(`model-${modelId}`)).context;
      const refused = outcomes.filter((o) => o.outcome === 'refused');
      for (const o of refused) expect(o).toMatchObject({ refusal: { code: 'version_not_monotone' } });
      expect(listed).toEqual(refused.length === 1 ? ['1.0.2'] : ['1.0.1', '1.0.2']);
      expect(latestOf(listed)).toBe('1.0.2');
      lost += refused.length;
    }
    expect(lost).toBeGreaterThan(0);
    expect(lost).toBeLessThan(300);
  });
});

/** A use case reads and changes streams of its caller's organisation only, whatever the API before it checked. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { asOrgId } from '../domain/org.ts';
import type { Caller } from './context.ts';
import { abortRollout } from './abortRollout.ts';
import { createAndStart } from './createAndStart.ts';
import { draftVersion } from './draftVersion.ts';
import { pauseTraining } from './pauseTraining.ts';
import { requestPublish } from './requestPublish.ts';
import { rollBack } from './rollBack.ts';
import { uploadArtifact } from './uploadArtifact.ts';
import {
  facts,
  newModel,
  openCommands,
  openRun,
  person,
  publish,
  spec,
  stopper,
  store,
  type Commands,
} from '../test/support/commands.ts';

let c: Commands;
beforeAll(async () => {
  c = await openCommands();
});
afterAll(() => c.close());

const of = (caller: Caller): Caller => ({ ...caller, orgId: asOrgId('org_other') });
const why = { reason: 'not mine', trigger: 'manual' as const };

describe('a caller of another organisation', () => {
  it('finds no model, version, rollout or run, and appends nothing', async () => {
    const modelId = await newModel(c.deps);
    await publish(c.deps, modelId, '1.0.0');
    const { rolloutId, ...started } = await createAndStart(c.deps, person(), { modelId, spec: spec('1.0.0') });
    facts(started);
    const { runId } = await openRun(c.deps);
    const before = await c.log.load([`model-${modelId}`, `rollout-${rolloutId}`, `training-${runId}`]);

    const refused = async (attempt: Promise<unknown>, code: string) => expect(attempt).rejects.toMatchObject({ code });
    await refused(rollBack(c.deps, of(stopper()), { rolloutId, ...why }), 'rollout_not_found');
    await refused(rollBack(c.deps, of(stopper()), { modelId, ...why }), 'model_not_found');
    await refused(abortRollout(c.deps, of(stopper()), { rolloutId, reason: 'x' }), 'rollout_not_found');
    await refused(draftVersion(c.deps, of(person()), { modelId, version: '9.0.0' }), 'model_not_found');
    await refused(requestPublish(c.deps, of(person()), { modelId, version: '1.0.0' }), 'model_not_found');
    await refused(pauseTraining(c.deps, of(stopper()), { runId, reason: 'x', by: 'key_x' }), 'training_not_found');

    const after = await c.log.load([...before.streams.keys()]);
    expect(after.streams).toEqual(before.streams);
  });

  it('may open what its own facts name, and nothing for knowing a hash', async () => {
    const modelId = await newModel(c.deps);
    const ours = await store(c.deps, Buffer.from('ours'));
    const theirs = (await c.deps.blobs.put(Buffer.from('theirs'), { max: 10 })).sha256;
    await c.deps.grants.grant(asOrgId('org_other'), [theirs]);
    const file = (sha256: string) => [{ format: 'onnx', sha256, bytes: 4, media_type: 'application/octet-stream' }];
    const attach = (version: string, sha256: string) =>
      uploadArtifact(c.deps, person(), { modelId, version, files: file(sha256) });
    await expect(attach('1.0.0', theirs)).rejects.toMatchObject({ code: 'blob_unknown' });
    facts(await attach('1.0.0', ours));
  });
});

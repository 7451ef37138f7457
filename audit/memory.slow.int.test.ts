/** An audit of 100,000 facts in 30,000 streams fits into a heap that would not hold their folds. */
import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { model, version } from '../machines/facts.fixture.ts';
import { openStage } from '../test/properties/stage.ts';
import type { HistoryAppend } from '../test/properties/world.ts';
import { createAuditor } from './beside.ts';

const MODELS = 15_000;
/** The child's modules alone take about 60 MB of it. */
const HEAP_MIB = 96;

/** One model with one published version: six facts, of two streams. */
function published(): HistoryAppend[] {
  const id = randomUUID();
  const [own, of] = [`model-${id}`, `version-${id}@1.0.0`];
  const data = { model_id: id, version: '1.0.0', parent: null, contract_digest: null };
  return [
    { commandId: 'register', facts: [{ stream: own, fact: model.registered }] },
    {
      commandId: 'upload',
      facts: [
        { stream: of, fact: { type: 'VersionDrafted', data } },
        { stream: of, fact: version.uploaded },
      ],
    },
    { commandId: 'ask', facts: [{ stream: of, fact: version.publishRequested }] },
    {
      commandId: 'publish',
      facts: [
        { stream: of, fact: version.published },
        { stream: own, fact: model.listed('1.0.0') },
      ],
    },
  ];
}

it('keeps one stream at a time', { timeout: 900_000 }, async () => {
  const stage = await openStage();
  const lanes = Array.from({ length: 8 }, async () => {
    for (let n = 0; n < MODELS / 8; n += 1) await stage.tell(published());
  });
  await Promise.all(lanes);
  const auditor = createAuditor({ connectionString: stage.log.appUrl, blobDir: undefined, env: {}, heapMib: HEAP_MIB });
  expect(await auditor.verify({ fast: true })).toMatchObject({ passed: true, size: 6 * MODELS });
  auditor.close();
  await stage.close();
});

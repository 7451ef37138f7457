/** Faults of the order of streams, found by a reading that goes stream by stream; and what it keeps meanwhile. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openPublished } from '../test/support/published.ts';
import { historyFrom, openStage, type Stage } from '../test/properties/stage.ts';
import { createSortedFindings } from './finding.ts';
import { verify } from './verify.ts';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

const check = () => verify({ connectionString: stage.log.appUrl, log: stage.log.store }, { fast: true });
const paused = { type: 'RolloutPaused', data: { cause: 'manual', reason: 'lunch' } } as const;

async function tamper(sql: string): Promise<void> {
  await stage.log.admin.query('ALTER TABLE store.events DISABLE TRIGGER append_only');
  await stage.log.admin.query(sql);
}
const AT = (index: number) => `(SELECT position FROM store.log WHERE log_index = ${index})`;

/** Four appends to each of three streams that no machine began: each stream diverges at its first fact. */
async function threeStreams(): Promise<void> {
  for (let version = 1; version <= 4; version += 1)
    for (const id of [1, 2, 3])
      await stage.tell([{ commandId: `p${id}${version}`, facts: [{ stream: `rollout-${id}`, fact: paused }] }]);
}
const told = async (step: string) =>
  (await check()).findings.filter((f) => f.step === step).map(({ code, index, detail }) => [code, index, detail]);

describe('streams', () => {
  it('with versions that changed places or left a gap are found, in log order, once each', async () => {
    await threeStreams();
    // The second stream: versions 2 and 3 change places. The first: version 4 becomes 6.
    await tamper(`UPDATE store.events SET stream_version = 9 WHERE position = ${AT(4)}`);
    await tamper(`UPDATE store.events SET stream_version = 2 WHERE position = ${AT(7)}`);
    await tamper(`UPDATE store.events SET stream_version = 3 WHERE position = ${AT(4)}`);
    await tamper(`UPDATE store.events SET stream_version = 6 WHERE position = ${AT(9)}`);
    expect(await told('stream')).toEqual([
      ['version_order', 4, 'version 3 of rollout-2 comes where 2 is due'],
      ['version_order', 7, 'version 2 of rollout-2 comes where 4 is due'],
      ['version_order', 9, 'version 6 of rollout-1 comes where 4 is due'],
      ['version_order', 10, 'version 4 of rollout-2 comes where 3 is due'],
    ]);
    expect((await told('divergence')).map(([code, index]) => [code, index])).toEqual([
      ['diverged', 0],
      ['diverged', 1],
      ['diverged', 2],
    ]);
  });

  it('that hold one version twice are found', async () => {
    await threeStreams();
    await stage.log.admin.query('ALTER TABLE store.events DROP CONSTRAINT events_stream_id_stream_version_key');
    await tamper(`UPDATE store.events SET stream_version = 2 WHERE position = ${AT(6)}`);
    const findings = await told('stream');
    expect(findings).toContainEqual(['version_order', 6, 'version 2 of rollout-1 comes where 3 is due']);
    expect(findings.map(([code]) => code)).not.toContain('command_split');
  });
});

it('findings that come in any order are kept from the first place on, and counted all', () => {
  const findings = createSortedFindings('stream');
  for (let index = 5_000; index > 0; index -= 1) findings.add('version_order', '', { index });
  findings.add('stream_incomplete', '');
  expect(findings.count).toBe(5_001);
  expect(findings.list.map((f) => f.index)).toEqual(Array.from({ length: 1_000 }, (_, i) => i + 1));
});

it('a published checkpoint that cannot be read is a finding with its name', async () => {
  const folder = await openPublished();
  await stage.tell(historyFrom(91, 40));
  const { published } = folder;
  const deps = { connectionString: stage.log.appUrl, log: stage.log.store, published };
  const { origin, root } = await verify(deps, { fast: true });
  await published.publish({ origin, root, size: 7 });
  const [file] = await published.all(origin);
  await writeFile(join(folder.root, 'named', file!.name), 'no checkpoint');
  const { findings } = await verify(deps, { fast: true });
  expect(findings).toMatchObject([{ step: 'anchor', code: 'file_unreadable' }]);
  expect(findings[0]!.detail).toContain(file!.name);
  await folder.close();
});

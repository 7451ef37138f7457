/** A restore to an earlier moment in the same cluster is refused, until an operator accepts the loss. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { verify } from '../../audit/verify.ts';
import { runCheckpoints } from '../../relay/checkpoints.ts';
import { runSequencer } from '../../relay/sequencer.ts';
import { openLog, request, until, type LogFixture } from '../../test/support/log.ts';
import { backUp, openPublished, type PublishedFixture } from '../../test/support/published.ts';
import { rebase } from '../rebase.ts';
import { acceptLoss } from './acceptLoss.ts';
import { originsOf } from './origins.ts';

let log: LogFixture;
let folder: PublishedFixture;
let errors: string[];
let stop: AbortController;
let running: Promise<void>[];

beforeEach(async () => {
  log = await openLog();
  folder = await openPublished();
  errors = [];
  running = [];
});
afterEach(async () => {
  await end();
  await log.close();
  await folder.close();
});

const logger = {
  info: () => undefined,
  warn: () => undefined,
  error: (detail: object) => void errors.push(String('err' in detail ? detail.err : '')),
};

function begin(): void {
  stop = new AbortController();
  const options = { connectionString: log.appUrl, signal: stop.signal, published: folder.published };
  running = [runSequencer({ ...options, log: logger }), runCheckpoints({ ...options, logger, everyMs: 20 })];
}
async function end(): Promise<void> {
  stop.abort();
  await Promise.all(running);
}

const origin = async () => (await originsOf(log.admin)).at(-1)!.origin;
const publishedSize = async () => (await folder.published.newest(await origin()))?.size ?? 0;
async function append(n: number, stream = 'rollout-1'): Promise<void> {
  for (let i = 0; i < n; i += 1)
    expect((await log.store.append(request({ [stream]: 'any' }))).outcome).toBe('appended');
}
const check = () =>
  verify({ connectionString: log.appUrl, log: log.store, published: folder.published }, { fast: true });
const anchors = async () => (await check()).findings.filter((f) => f.step === 'anchor').map((f) => f.code);
const refused = () => errors.filter((e) => e.includes('ledger_fork'));

/** Five facts and a backup; four more, published; then the backup comes back. */
async function restored(): Promise<void> {
  begin();
  await append(5);
  await until('5 are published', async () => (await publishedSize()) === 5);
  await end();
  const restore = await backUp(log.admin);
  begin();
  await append(4);
  await until('9 are published', async () => (await publishedSize()) === 9);
  await end();
  await restore();
}

describe('a restore to an earlier moment', () => {
  it('is refused: facts are stored and get no index, until the loss is accepted; the audit tells both', async () => {
    await restored();
    begin();
    await append(2, 'rollout-2');
    await until('both loops refused twice', () => refused().length > 3);
    expect(refused()[0]).toContain('server once with `--accept-loss`');
    expect(await log.store.head()).toBe(4);
    expect(new Set(await anchors())).toEqual(new Set(['log_shorter', 'row_missing']));
    await end();

    const first = await origin();
    const done = await acceptLoss(log.adminUrl, folder.published);
    expect(done).toMatchObject({ outcome: 'accepted', keptSize: 5, fork: { size: 5, published: { size: 9 } } });
    expect(await origin()).toBe(first.replace(/1$/, '2'));
    begin();
    await append(6, 'rollout-2');
    await until('the log goes on', async () => (await publishedSize()) === 13);
    expect(await check()).toMatchObject({ losses: [{ origin: await origin(), kept_size: 5, published_size: 9 }] });
    expect(await anchors()).toEqual([]);
    // What was told before the loss stays as evidence, and whoever kept it hears that the log is another one.
    expect((await folder.published.newest(first))?.size).toBe(9);
    const kept = { ...(await folder.published.newest(first))!, from: 'my copy' };
    const { findings } = await verify(
      { connectionString: log.appUrl, log: log.store },
      { fast: true, checkpoints: [kept] },
    );
    expect(findings.find((f) => f.step === 'anchor')).toMatchObject({ code: 'root_differs', index: 8 });
    expect(await acceptLoss(log.adminUrl, folder.published)).toMatchObject({ outcome: 'no_fork' });
  });

  it('is refused where the log has grown past what was published before anybody compared', async () => {
    await restored();
    stop = new AbortController();
    running = [runSequencer({ connectionString: log.appUrl, signal: stop.signal, log: logger })]; // an older build
    await append(20, 'rollout-3');
    await until('25 facts', async () => (await log.store.head()) === 24);
    await end();
    begin();
    await until('it is refused', () => refused().length > 1);
    expect(refused()[0]).toContain('whose root at that size is');
    expect(await anchors()).toContain('root_differs');
    await end();
    expect(await acceptLoss(log.adminUrl, folder.published)).toMatchObject({ outcome: 'accepted', keptSize: 5 });
    begin();
    await until('25 are published', async () => (await publishedSize()) === 25);
  });

  it('is refused also after a re-base', async () => {
    await restored();
    await log.admin.query('UPDATE store.sequencer SET system_identifier = system_identifier + 1');
    expect(await rebase(log.adminUrl)).toMatchObject({ outcome: 'rebased' });
    begin();
    await until('it is refused', () => refused().length > 1);
    expect(await log.store.head()).toBe(4);
  });

  it('sets back who stands beyond the end of the log', async () => {
    await restored();
    await log.admin.query(`INSERT INTO store.followers (name, log_index) VALUES ('temporal', 8), ('slow', 2)`);
    await log.admin.query(
      'CREATE SCHEMA rm_ahead_v1; CREATE TABLE rm_ahead_v1.checkpoint AS SELECT 8::bigint AS log_index',
    );
    await acceptLoss(log.adminUrl, folder.published);
    const { rows } = await log.admin.query('SELECT name, log_index::int FROM store.followers ORDER BY name');
    expect(rows).toEqual([
      { name: 'slow', log_index: 2 },
      { name: 'temporal', log_index: 4 },
    ]);
    expect((await log.admin.query(`SELECT FROM pg_namespace WHERE nspname = 'rm_ahead_v1'`)).rows).toEqual([]);
  });
});

describe('checkpoints beside the blobs', () => {
  it('tell that rows of the database were deleted, in the middle or all', async () => {
    begin();
    for (const size of [2, 4, 6]) {
      await append(2);
      await until(`${size} are published`, async () => (await publishedSize()) === size);
    }
    await end();
    expect(await anchors()).toEqual([]);
    await log.admin.query('DELETE FROM store.checkpoints WHERE tree_size = 4');
    expect((await check()).findings.filter((f) => f.step === 'anchor')).toMatchObject([
      { code: 'row_missing', index: 3 },
    ]);
    await log.admin.query('DELETE FROM store.checkpoints');
    expect((await anchors()).length).toBeGreaterThanOrEqual(3);
  });

  it('are missed when the folder is gone, also after the newest was published again', async () => {
    begin();
    for (const size of [2, 4]) {
      await append(2);
      await until(`${size} are published`, async () => (await publishedSize()) === size);
    }
    await end();
    await rm(join(folder.root, 'named'), { recursive: true });
    await log.admin.query(`UPDATE store.checkpoints SET created_at = created_at - interval '2 min'`);
    begin();
    await until('the newest is published again', async () => (await publishedSize()) === 4);
    expect(await anchors()).toContain('file_missing');
  });

  it('get the file that a crash kept back, and another root at a published size is a fork', async () => {
    begin();
    await append(3);
    await until('3 are published', async () => (await publishedSize()) === 3);
    const { root } = (await folder.published.newest(await origin()))!;
    await end();
    await rm(join(folder.root, 'named'), { recursive: true });
    begin();
    await until('it is published again', async () => (await publishedSize()) === 3);
    await folder.published.publish({ origin: await origin(), size: 3, root });
    await expect(folder.published.publish({ origin: await origin(), size: 3, root: '00'.repeat(32) })).rejects.toThrow(
      'ledger_fork',
    );
  });
});

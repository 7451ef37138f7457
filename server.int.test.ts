/** `server.ts --rebase` and `--accept-loss` as an operator runs them: a process that does one thing, says what, and ends. */
import { spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openLog, request, type LogFixture } from './test/support/log.ts';
import { originsOf } from './store/ledger/origins.ts';
import { openPublished, type PublishedFixture } from './test/support/published.ts';

/** Nobody listens there: what is needed is the database alone. */
const NOWHERE = '127.0.0.1:9';

let log: LogFixture;
let folder: PublishedFixture;
beforeAll(async () => {
  log = await openLog();
  folder = await openPublished();
});
afterAll(async () => {
  await log?.close();
  await folder?.close();
});

type Ran = Promise<{ code: number | null; output: string }>;
const rebase = (migrateUrl: string | undefined): Ran => runOnce('--rebase', migrateUrl);

function runOnce(flag: string, migrateUrl: string | undefined): Ran {
  const child = spawn(process.execPath, ['--import', 'tsx', 'server.ts', flag], {
    cwd: import.meta.dirname,
    env: {
      PATH: '',
      NATS_URL: `nats://${NOWHERE}`,
      TEMPORAL_ADDRESS: NOWHERE,
      DATABASE_URL: log.appUrl,
      EDGEML_BLOB_DIR: folder.root,
      ...(migrateUrl === undefined ? {} : { DATABASE_MIGRATE_URL: migrateUrl }),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, output })));
}

describe('server.ts --rebase', () => {
  it('places the tail of a restored log once, and then has nothing to do', async () => {
    for (let i = 0; i < 3; i += 1) await log.store.append(request({ 'rollout-1': 'any' }));
    expect((await rebase(log.adminUrl)).output).toMatch(/^Nothing to do: .*era 1/);
    expect(await log.store.head()).toBe(-1);

    await log.admin.query('UPDATE store.sequencer SET system_identifier = system_identifier + 1');
    const restored = await rebase(log.adminUrl);
    expect(restored.output).toBe('Re-based: era 2 begins; facts without a log index: 3 waiting, now at 0 to 2.\n');
    expect(restored.code).toBe(0);
    expect(await log.store.head()).toBe(2);

    expect(await rebase(log.adminUrl)).toMatchObject({
      code: 0,
      output: expect.stringMatching(/^Nothing to do: .*era 2/),
    });
  });

  it('refuses without the owner, and says what it needs', async () => {
    const { code, output } = await rebase(undefined);
    expect(output).toContain('DATABASE_MIGRATE_URL');
    expect(code).toBe(1);
    expect((await rebase(log.appUrl)).code).toBe(1);
  });
});

describe('server.ts --accept-loss', () => {
  it('begins a new origin where published facts are lost, and then has nothing to do', async () => {
    const { origin } = (await originsOf(log.admin)).at(-1)!;
    await folder.published.publish({ origin, size: 500, root: 'ab'.repeat(32) });
    const { code, output } = await runOnce('--accept-loss', log.adminUrl);
    expect(output).toContain('checkpoints up to 500 facts were published, the log holds 3');
    expect(output).toContain(`It goes on as ${origin.replace(/1$/, '2')}`);
    expect(code).toBe(0);
    expect((await runOnce('--accept-loss', log.adminUrl)).output).toMatch(/^Nothing to do: .*log\/2/);
  });

  it('refuses without the owner, and says what it needs', async () => {
    expect(await runOnce('--accept-loss', undefined)).toMatchObject({
      code: 1,
      output: expect.stringContaining('DATABASE_MIGRATE_URL') as string,
    });
    expect((await runOnce('--accept-loss', log.appUrl)).code).toBe(1);
  });
});

/** An audit in a process of its own: the same report, one at a time, and nothing left of one that ends early. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { historyFrom, openStage, type Stage } from '../test/properties/stage.ts';
import { openPublished } from '../test/support/published.ts';
import { until } from '../test/support/log.ts';
import { projections } from '../projections/registry.ts';
import { schemaOf } from '../projections/table.ts';
import { createAuditor, type Auditor } from './beside.ts';
import { verify } from './verify.ts';

let stage: Stage;
let auditor: Auditor;
beforeEach(async () => {
  stage = await openStage();
  auditor = createAuditor({ connectionString: stage.log.appUrl, blobDir: undefined, env: {} });
});
afterEach(async () => {
  auditor.close();
  await stage.close();
});

const fast = { fast: true };
/** The audit cannot go on past its roots until the answer is called. */
async function held(): Promise<() => Promise<void>> {
  const { admin } = stage.log;
  await admin.query('BEGIN; LOCK TABLE store.checkpoints IN ACCESS EXCLUSIVE MODE');
  return async () => void (await admin.query('COMMIT'));
}
const sessions = async () =>
  (
    await stage.log.admin.query(`SELECT 1 FROM pg_stat_activity WHERE application_name = 'edgeml audit'
     AND datname = current_database()`)
  ).rows.length;
const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};
/** Starts one that is held, and answers once it has told progress. */
async function begun(signal?: AbortSignal) {
  const { promise: told, resolve } = signalled();
  const ended = auditor.verify({ ...fast, ...(signal ? { signal } : {}), onProgress: resolve }).then(
    (report) => report,
    (error: unknown) => error,
  );
  await told;
  return { ended, pid: auditor.pid! };
}
function signalled() {
  let resolve = () => {};
  const promise = new Promise<void>((r) => (resolve = r));
  return { promise, resolve };
}

describe('an audit beside the server', () => {
  it('reports what the same audit in this process does, findings and all, and tells its way', async () => {
    stage.follow();
    await stage.caughtUp(await stage.tell(historyFrom(81, 300)));
    await stage.tell([
      { commandId: 'rogue', facts: [{ stream: 'rollout-999', fact: { type: 'RolloutResumed', data: {} } }] },
    ]);
    const folder = await openPublished();
    const { size, root, origin } = await verify({ connectionString: stage.log.appUrl, log: stage.log.store }, fast);
    await folder.published.publish({ size: size - 1, root, origin });
    const kept = [{ size: size + 1, root, origin, from: 'kept.txt' }];
    auditor = createAuditor({ connectionString: stage.log.appUrl, blobDir: folder.root, env: {} });
    const phases = new Set<string>();
    const told = await auditor.verify({ checkpoints: kept, onProgress: ({ phase }) => void phases.add(phase) });
    const { appUrl: connectionString, store: log } = stage.log;
    expect(told).toEqual(await verify({ connectionString, log, published: folder.published }, { checkpoints: kept }));
    expect(new Set(told.findings.map((f) => f.code))).toEqual(
      new Set(['row_missing', 'root_differs', 'log_shorter', 'diverged', 'set_aside']),
    );
    expect([...phases]).toEqual(['log', 'read_model']);
    await folder.close();
  });

  it('is another process, goes on telling that it lives while Postgres lets it wait, and is alone', async () => {
    stage.follow();
    await stage.caughtUp(await stage.tell(historyFrom(82, 20)));
    const { admin } = stage.log;
    const { pathname } = new URL(stage.log.appUrl);
    await admin.query(`ALTER ROLE edgeml_app IN DATABASE ${pathname.slice(1)} SET lock_timeout = 0`);
    await admin.query(`BEGIN; LOCK TABLE ${schemaOf(projections.at(-1)!)}.set_aside IN ACCESS EXCLUSIVE MODE`);
    const beats = { n: 0 };
    const waits = signalled();
    const ended = auditor.verify({ onProgress: () => void ((beats.n += 1) === 6 && waits.resolve()) });
    await waits.promise; // more than its first words, the log and the first read model make
    expect(auditor.pid).not.toBe(process.pid);
    await expect(auditor.verify(fast)).rejects.toMatchObject({ code: 'conflict' });
    await admin.query('COMMIT');
    expect(await ended).toMatchObject({ passed: true });
    expect(auditor.pid).toBeUndefined();
    expect(await auditor.verify(fast)).toMatchObject({ passed: true });
  });

  it('is killed when it is cancelled, and its sessions end', async () => {
    const release = await held();
    const stop = new AbortController();
    const { ended, pid } = await begun(stop.signal);
    stop.abort();
    expect(await ended).toMatchObject({ message: 'the audit was cancelled' });
    expect(isAlive(pid)).toBe(false);
    await release();
    await until('its session is gone', async () => (await sessions()) === 0);
    expect(await auditor.verify(fast)).toMatchObject({ passed: true });
  });

  it('says how its process ended, and the next one runs', async () => {
    const release = await held();
    const { ended, pid } = await begun();
    process.kill(pid, 'SIGSEGV');
    expect(await ended).toMatchObject({ code: 'server_error', message: expect.stringContaining('SIGSEGV') as string });
    await release();
    expect(await auditor.verify(fast)).toMatchObject({ passed: true });
  });

  it('tells what Postgres said, with its code', async () => {
    await stage.log.admin.query('REVOKE SELECT ON store.checkpoints FROM edgeml_app');
    await expect(auditor.verify(fast)).rejects.toMatchObject({
      code: '42501',
      message: 'permission denied for table checkpoints',
    });
  });

  it('ends with the server that asked, and none begins after', async () => {
    const release = await held();
    const { ended, pid } = await begun();
    auditor.close();
    expect(await ended).toMatchObject({ code: 'unavailable', message: 'The server is being stopped.' });
    expect(isAlive(pid)).toBe(false);
    await expect(auditor.verify(fast)).rejects.toMatchObject({ code: 'unavailable' });
    await release();
  });
});

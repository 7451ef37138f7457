/** The invariant checker finds nothing in legal histories, and finds each fault put into one. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { activity } from '../projections/activity/project.ts';
import { projections } from '../projections/registry.ts';
import { schemaOf } from '../projections/table.ts';
import { versions } from '../projections/versions/project.ts';
import { runCheckpoints } from '../relay/checkpoints.ts';
import { historyFrom, openStage, type Stage } from '../test/properties/stage.ts';
import { openPublished } from '../test/support/published.ts';
import { until } from '../test/support/log.ts';
import type { Finding } from './finding.ts';
import { verify, type VerifyOptions } from './verify.ts';

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

const check = (options: VerifyOptions = { fast: true }) =>
  verify({ connectionString: stage.log.appUrl, log: stage.log.store }, options);
const told = (findings: readonly Finding[]) => findings.map(({ step, code, index }) => [step, code, index]);

/** As a superuser who switches the triggers off: what the audit is there for. */
async function tamper(sql: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
  const { admin } = stage.log;
  for (const table of ['events', 'log']) await admin.query(`ALTER TABLE store.${table} DISABLE TRIGGER append_only`);
  try {
    return (await admin.query<Record<string, unknown>>(sql, values)).rows;
  } finally {
    for (const table of ['events', 'log'])
      await admin.query(`ALTER TABLE store.${table} ENABLE ALWAYS TRIGGER append_only`);
  }
}
const EVENT_AT = '(SELECT position FROM store.log WHERE log_index = $1)';

async function recordRoot(): Promise<void> {
  const { root, head } = await check();
  await stage.log.admin.query('INSERT INTO store.checkpoints (tree_size, root) VALUES ($1, $2)', [
    head + 1,
    Buffer.from(root, 'hex'),
  ]);
}

describe('verify', () => {
  it('finds nothing in legal histories, and says how far it looked', async () => {
    stage.follow();
    for (const seed of [31, 32]) {
      if (seed === 32) {
        await stage.close();
        stage = await openStage();
        stage.follow();
      }
      const head = await stage.tell(historyFrom(seed, 500));
      await stage.caughtUp(head);
      await recordRoot();
      const phases = new Set<string>();
      const report = await check({ onProgress: ({ phase }) => void phases.add(phase) });
      expect(report).toMatchObject({ passed: true, head, findings: [] });
      expect(report.steps.map((s) => s.checked)).toEqual(Array(10).fill(head + 1));
      expect([...phases]).toEqual(['log', 'read_model']);
    }
  });

  it('accepts an empty log, and the roots that the relay records', async () => {
    expect(await check()).toMatchObject({ passed: true, head: -1 });
    const folder = await openPublished();
    const stop = new AbortController();
    const recording = runCheckpoints({
      connectionString: stage.log.appUrl,
      signal: stop.signal,
      logger: stage.logger,
      published: folder.published,
      everyMs: 50,
    });
    await stage.tell(historyFrom(33, 100));
    await until(
      'a root is recorded',
      async () => {
        return (await stage.log.admin.query('SELECT 1 FROM store.checkpoints')).rows.length > 0;
      },
      30_000,
    );
    stop.abort();
    await recording;
    const { published } = folder;
    expect(
      await verify({ connectionString: stage.log.appUrl, log: stage.log.store, published }, { fast: true }),
    ).toMatchObject({ passed: true });
    await folder.close();
  });

  it('names one flipped byte in data', async () => {
    await stage.tell(historyFrom(34, 200));
    const [row] = await tamper(
      `UPDATE store.events SET data = overlay(data::text placing 'X' from position('"' in data::text) + 1 for 1)::json
        WHERE position = ${EVENT_AT} RETURNING event_id, stream_id, stream_version`,
      [17],
    );
    const { passed, findings } = await check();
    expect(passed).toBe(false);
    expect(findings[0]).toMatchObject({
      step: 'bytes',
      code: 'leaf_mismatch',
      index: 17,
      event: row!['event_id'],
      stream: `${String(row!['stream_id'])}@${String(row!['stream_version'])}`,
    });
    expect(findings.map((f) => f.step)).toContain('decode');
  });

  it('names a changed envelope column, whichever it is', async () => {
    await stage.tell(historyFrom(35, 120));
    const columns = {
      actor_id: `'mallory'`,
      actor_kind: `'key'`,
      recorded_at: `recorded_at + interval '1 ms'`,
      correlation_id: `'c'`,
      causation_id: `'c'`,
      machine: `machine || '0'`,
      command_id: `command_id || 'x'`,
    };
    for (const [column, value] of Object.entries(columns)) {
      await tamper(
        `CREATE TEMP TABLE kept AS SELECT * FROM store.events WHERE position = ${EVENT_AT.replace('$1', '23')}`,
      );
      await tamper(`UPDATE store.events SET ${column} = ${value} WHERE position = ${EVENT_AT}`, [23]);
      const { findings } = await check();
      expect([column, ...told(findings)[0]!]).toEqual([column, 'bytes', 'leaf_mismatch', 23]);
      await tamper(`UPDATE store.events e SET ${column} = k.${column} FROM kept k WHERE e.position = k.position`);
      await tamper('DROP TABLE kept');
    }
    expect((await check()).passed).toBe(true);
  });

  it('finds a row and its leaf that were changed together between two recorded roots', async () => {
    const history = historyFrom(36, 300);
    const third = Math.floor(history.length / 3);
    const first = await stage.tell(history.slice(0, third));
    await recordRoot();
    const second = await stage.tell(history.slice(third, 2 * third));
    await recordRoot();
    await stage.tell(history.slice(2 * third));
    await recordRoot();
    // What an insider with the database would do: the row, and the leaf that fits it.
    const target = first + 3;
    await tamper(`UPDATE store.events SET actor_id = 'mallory' WHERE position = ${EVENT_AT}`, [target]);
    const { findings } = await check();
    const leaf = /gives leaf ([0-9a-f]{64})/.exec(findings[0]!.detail)![1]!;
    await tamper(`UPDATE store.log SET leaf_hash = decode($2, 'hex') WHERE log_index = $1`, [target, leaf]);
    const report = await check();
    expect(told(report.findings)).toEqual([['tree', 'root_mismatch', first + 1]]);
    expect(report.findings[0]!.detail).toContain(`${first + 1} to ${second}`);
  });

  it('tells a changed root from a changed log', async () => {
    const history = historyFrom(37, 200);
    const size = (await stage.tell(history.slice(0, 20))) + 1;
    await recordRoot();
    await stage.tell(history.slice(20));
    await recordRoot();
    await tamper(
      `UPDATE store.checkpoints SET root = set_byte(root, 3, (get_byte(root, 3) + 1) % 256) WHERE tree_size = $1`,
      [size],
    );
    expect(told((await check()).findings)).toEqual([['tree', 'checkpoint_altered', size - 1]]);
  });

  it('finds a missing row of the log, in the middle and at the end', async () => {
    const head = await stage.tell(historyFrom(38, 200));
    await recordRoot();
    await tamper('DELETE FROM store.log WHERE log_index = $1', [head]);
    expect(told((await check()).findings)).toEqual([
      ['coverage', 'log_short', head],
      ['coverage', 'event_unplaced', undefined],
      ['tree', 'checkpoint_beyond_log', head],
    ]);
    await tamper('DELETE FROM store.log WHERE log_index = 12');
    const { findings } = await check();
    expect(told(findings)).toContainEqual(['coverage', 'index_gap', 12]);
    expect(findings.filter((f) => f.code === 'event_unplaced')).toHaveLength(2);
  });

  it('finds an event that is gone, and one that nobody places', async () => {
    await stage.tell(historyFrom(39, 100));
    await tamper(`DELETE FROM store.events WHERE position = ${EVENT_AT}`, [9]);
    expect(told((await check()).findings)).toContainEqual(['coverage', 'event_missing', 9]);
    await stage.close();
    stage = await openStage();
    await stage.tell(historyFrom(39, 100));
    await tamper(`UPDATE store.log SET sequenced_at = sequenced_at - interval '1 h' WHERE log_index = 30`);
    expect(told((await check()).findings)).toContainEqual(['coverage', 'clock_fell', 30]);
  });

  it('finds a fact that its machine refuses, and reports the stream once', async () => {
    const head = await stage.tell(historyFrom(40, 100));
    await stage.tell([
      { commandId: 'rogue', facts: [{ stream: 'rollout-999', fact: { type: 'RolloutResumed', data: {} } }] },
      { commandId: 'rogue', facts: [{ stream: 'rollout-999', fact: { type: 'RolloutResumed', data: {} } }] },
    ]);
    const { findings } = await check();
    expect(told(findings)).toEqual([['divergence', 'diverged', head + 1]]);
    expect(findings[0]!.detail).toContain('rollout@1 refuses RolloutResumed in None (legal in: Held, Paused');
  });

  it('finds facts that belong together and came apart', async () => {
    const history = historyFrom(41, 1_500);
    const at = history.findIndex(({ facts }) => facts.some((f) => f.fact.type === 'RolloutCompleted'));
    const whole = history[at]!;
    const apart = whole.facts.map((fact, i) => ({ commandId: `${whole.commandId}/${i}`, facts: [fact] }));
    await stage.tell([...history.slice(0, at), ...apart]);
    const { findings } = await check();
    expect(new Set(findings.map((f) => `${f.step} ${f.code}`))).toEqual(
      new Set([
        'across completion_split',
        ...(findings.some((f) => f.code === 'not_one_stable') ? ['across not_one_stable'] : []),
      ]),
    );
    expect(findings.filter((f) => f.code === 'completion_split').length).toBeGreaterThanOrEqual(3);
  });

  it('finds a row of a read model that the log does not say: its key, column and first index', async () => {
    stage.follow();
    await stage.caughtUp(await stage.tell(historyFrom(42, 300)));
    const [version] = await tamper(
      `UPDATE ${schemaOf(versions)}.versions SET parent = '9.9.9' WHERE ctid = (SELECT ctid FROM ${schemaOf(versions)}.versions LIMIT 1)
        RETURNING version, valid_from`,
    );
    await tamper(`DELETE FROM ${schemaOf(activity)}.activity WHERE log_index = 3`);
    const { findings, steps } = await check({});
    expect(told(findings).sort()).toEqual(
      [
        ['read_model', 'row_differs', Number(version!['valid_from'])],
        ['read_model', 'row_differs', 3],
      ].sort(),
    );
    expect(findings.map((f) => f.detail).join('\n')).toContain('parent is "9.9.9", the log says null');
    expect(findings.map((f) => f.detail).join('\n')).toContain('activity {"log_index":3}: the row is missing');
    expect(steps.find((s) => s.step === 'read_model')).toMatchObject({ findings: 2 });
    const { rows } = await stage.log.admin.query(`SELECT 1 FROM pg_namespace WHERE nspname LIKE '%\\_\\_audit'`);
    expect(rows).toEqual([]);
    expect(projections).toHaveLength(6);
  });
});

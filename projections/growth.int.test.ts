/** What read models store of a long listing, in Postgres. The laws for every kind of history: `test/properties/growth.unit.test.ts`. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { asOrgId } from '../domain/org.ts';
import { openStage, type Stage } from '../test/properties/stage.ts';
import type { HistoryAppend } from '../test/properties/world.ts';
import { until } from '../test/support/log.ts';
import { quote } from './ddl.ts';
import { createPointerTable } from './pointerTable.ts';
import { projections } from './registry.ts';
import { schemaOf, tablesOf } from './table.ts';

const orgId = asOrgId('org_local');
let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

const registered = (modelId: string): HistoryAppend => ({
  commandId: `register ${modelId}`,
  facts: [
    {
      stream: `model-${modelId}`,
      fact: {
        type: 'ModelRegistered',
        data: { org_id: 'org_local', name: modelId, framework: 'onnx', use_case: '', description: '' },
      },
    },
  ],
});
const AT_ONCE = 200;
const listed = (modelId: string, from: number, to: number): HistoryAppend[] =>
  Array.from({ length: (to - from) / AT_ONCE }, (_, k) => ({
    commandId: `list ${modelId} ${k}`,
    facts: Array.from({ length: AT_ONCE }, (_, i) => ({
      stream: `model-${modelId}`,
      fact: { type: 'VersionListed', data: { version: `1.${from + k * AT_ONCE + i}.0` } } as const,
    })),
  }));

async function bytesByTable(): Promise<Map<string, number>> {
  const bytes = new Map<string, number>();
  for (const projection of projections) {
    for (const table of tablesOf(projection)) {
      const full = `${quote(schemaOf(projection))}.${quote(table.name)}`;
      const { rows } = await stage.log.admin.query<{ bytes: string }>(
        `SELECT coalesce(sum(pg_column_size(t.*)), 0) AS bytes FROM ${full} t`,
      );
      bytes.set(`${projection.name}.${table.name}`, Number(rows[0]!.bytes));
    }
  }
  return bytes;
}

describe('a model with thousands of versions', () => {
  it('is stored in twice the bytes once it has twice as many, in every table, and has its latest version', async () => {
    stage.follow();
    await stage.caughtUp(await stage.tell([registered('m'), ...listed('m', 0, 2_000)]));
    const once = await bytesByTable();
    await stage.caughtUp(await stage.tell(listed('m', 2_000, 4_000)));
    const twice = await bytesByTable();
    for (const [table, bytes] of twice) {
      const growth = bytes === 0 ? 1 : bytes / once.get(table)!;
      expect(growth, `${table} grows ${growth.toFixed(2)} times`).toBeLessThan(2.2);
    }
    // As text, 1.999.0 would be.
    expect(await stage.models.model(orgId, 'm')).toMatchObject({ latest_version: '1.3999.0', version_count: 4_000 });
  });
});

describe('the pointer table', () => {
  it('remembers from the read model what the log beyond it does not say', async () => {
    const on = (stream: string, type: string, data: object) => ({ stream, fact: { type, data } }) as never;
    const spec = {
      stages: [{ percent: 100, ramp: '0s', min_bake: '1m', max_bake: '1h' }],
      look: '1s',
      policy: { rules: [] },
      on_regressed: 'rollback',
    };
    const completed = (id: number, version: string): HistoryAppend => ({
      commandId: `rollout ${id}`,
      facts: [
        on('model-p', 'VersionListed', { version }),
        on(`rollout-${id}`, 'RolloutCreated', {
          model_id: 'p',
          version,
          previous: null,
          spec: { version, ...spec },
          spec_sha: '0'.repeat(64),
        }),
        on(`rollout-${id}`, 'RolloutStarted', { seed: String(id), lo: 0 }),
        on(`rollout-${id}`, 'RolloutCompleted', { basis: 'auto' }),
      ],
    });
    const back = (id: number, target: string | null): HistoryAppend => ({
      commandId: `back ${id}`,
      facts: [on(`rollout-${id}`, 'RolloutRolledBack', { target, trigger: 'manual', reason: 'r', evidence: null })],
    });
    const stable = (version: string): HistoryAppend => ({
      commandId: `stable ${version}`,
      facts: [on('model-p', 'StableVersionChanged', { version, previous: null, rollout_id: 9 })],
    });
    const running = stage.follow();
    const begun = [
      registered('p'),
      completed(1, '1.0.0'),
      completed(2, '1.1.0'),
      back(2, '1.0.0'),
      completed(3, '1.2.0'),
    ];
    await stage.caughtUp(await stage.tell(begun));
    await running.stop();

    const stop = new AbortController();
    const connection = { connectionString: stage.log.appUrl, signal: stop.signal, logger: stage.logger };
    const table = createPointerTable(connection);
    const after = async (...history: HistoryAppend[]) => {
      const last = await stage.tell(history);
      await until('the table has it', () => table.position >= last);
      return (await table.get(orgId, 'p'))?.pointer;
    };
    try {
      expect((await table.get(orgId, 'p'))?.pointer).toMatchObject({
        stable: '1.2.0',
        latest: null,
        rolled_back: [],
        rollouts: [],
      });
      // Of a rollout that had completed before, and no document names.
      expect(await after(back(3, null))).toMatchObject({ stable: null, rolled_back: [] });
      // Marked by the log, and marked before the table began.
      expect(await after(stable('1.2.0'))).toMatchObject({ stable: '1.2.0', rolled_back: ['1.2.0'] });
      expect(await after(stable('1.1.0'))).toMatchObject({ stable: '1.1.0', rolled_back: ['1.1.0'] });
      expect(await after(stable('1.0.0'))).toMatchObject({ stable: '1.0.0', rolled_back: [] });
    } finally {
      stop.abort();
      await table.done;
    }
  });
});

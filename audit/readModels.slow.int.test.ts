/** Every row of every read model is compared with the log, whatever the page and the memory: no damage of one passes. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { quote } from '../projections/ddl.ts';
import { projections } from '../projections/registry.ts';
import { schemaOf, type Projection, type TableDef } from '../projections/table.ts';
import { historyFrom, openStage, type Stage } from '../test/properties/stage.ts';
import { checkReadModels } from './checks/readModels.ts';

let stage: Stage;
let head: number;
beforeAll(async () => {
  stage = await openStage();
  const following = stage.follow();
  head = await stage.tell(historyFrom(93, 1_200));
  await stage.caughtUp(head);
  await following.stop();
});
afterAll(() => stage.close());

/** Pages and memory so small that rows are dropped and read again all the time; and the usual ones. */
const SMALL = { page: 7, knownRows: 3 };
const SIZES = [['small', SMALL] as const, ['usual', {}] as const];

const check = async (of: readonly Projection[], size: typeof SMALL | object = SMALL) => {
  const { store: log, appUrl: connectionString } = stage.log;
  const signal = new AbortController().signal;
  const { findings, comparedTo } = await checkReadModels({
    connectionString,
    log,
    projections: of,
    head,
    signal,
    ...size,
  });
  expect(comparedTo).toBe(head);
  return findings.list;
};

describe.each(SIZES)('with %s pages', (_, size) => {
  it('rows that the log says are found right', async () => expect(await check(projections, size)).toEqual([]));
});

const OTHER: Readonly<Record<string, string>> = {
  text: `coalesce(c, '') || 'x'`,
  bigint: 'coalesce(c, 0) + 1',
  float8: 'coalesce(c, 0) + 0.5',
  boolean: 'NOT coalesce(c, false)',
  jsonb: `CASE WHEN c = '[1]' THEN '[2]'::jsonb ELSE '[1]'::jsonb END`,
};

/** What one row may suffer, as SQL over the row `r`; empty where the table has no such row. */
function damages(table: TableDef): [string, string][] {
  const own = Object.entries(table.columns).filter(([name]) => !table.key.includes(name));
  const full = '%'; // the table's name, later
  const one = (which: string) => `ctid = (SELECT ctid FROM ${full} WHERE ${which} ORDER BY random() LIMIT 1)`;
  const place = table.kind === 'facts' ? 'log_index' : 'valid_from';
  const found: [string, string][] = own.map(([name, type]) => [
    `another ${name}`,
    `UPDATE ${full} SET ${quote(name)} = ${OTHER[type]!.replaceAll('c,', `${quote(name)},`).replaceAll('c =', `${quote(name)} =`)}
      WHERE ${one('true')}`,
  ]);
  found.push(['a row that is gone', `DELETE FROM ${full} WHERE ${one('true')}`]);
  const names = Object.keys(table.columns).map(quote).join(', ');
  if (table.kind === 'facts') {
    found.push([
      'a row too many',
      `INSERT INTO ${full} (${names}, log_index) SELECT ${names}, free FROM ${full},
         (SELECT n AS free FROM generate_series(0, ${head}) n WHERE n NOT IN (SELECT log_index FROM ${full}) LIMIT 1) f LIMIT 1`,
    ]);
    return found;
  }
  found.push(
    [
      'a row too many',
      `INSERT INTO ${full} (${names}, valid_from, valid_to) SELECT ${names}, valid_from + 1, valid_from + 2 FROM ${full} r
        WHERE valid_to IS NOT NULL AND NOT EXISTS (SELECT 1 FROM ${full} o WHERE o.valid_from = r.valid_from + 1) LIMIT 1`,
    ],
    [
      'an end too many',
      `UPDATE ${full} SET valid_to = ${place} + 1 WHERE ${one(`valid_to IS NULL AND valid_from < ${head}`)}`,
    ],
    ['an end too late', `UPDATE ${full} SET valid_to = valid_to + 1 WHERE ${one(`valid_to < ${head}`)}`],
    [
      'an end too few',
      `UPDATE ${full} r SET valid_to = NULL WHERE ${one('valid_to IS NOT NULL')}
          AND NOT EXISTS (SELECT 1 FROM ${full} o WHERE o.valid_to IS NULL AND ${table.key.map((k) => `o.${quote(k)} = r.${quote(k)}`).join(' AND ')})`,
    ],
  );
  return found;
}

describe.each(projections.map((p) => [p.name, p] as const))('damage of %s', (_, projection) => {
  it.each(projection.tables.map((table) => [table.name, table] as const))('%s is found', async (_name, table) => {
    const { admin } = stage.log;
    const full = `${quote(schemaOf(projection))}.${quote(table.name)}`;
    const { rowCount } = await admin.query(`CREATE TABLE kept AS TABLE ${full}`);
    const hit: string[] = []; // what the table had a row for
    try {
      for (const [what, statement] of damages(table)) {
        const done = await admin.query(statement.replaceAll('%', full));
        if (done.rowCount !== 1) continue;
        hit.push(what);
        for (const [, size] of SIZES) {
          const found = await check([projection], size);
          expect([what, found.map((f) => f.code)]).toEqual([what, expect.arrayContaining(['row_differs'])]);
          expect([what, found.some((f) => f.detail.includes(`${table.name}`))]).toEqual([what, true]);
        }
        await admin.query(`DELETE FROM ${full}; INSERT INTO ${full} SELECT * FROM kept`);
      }
      expect(await check([projection])).toEqual([]);
      if (rowCount! > 0) expect(hit.length).toBeGreaterThan(1);
    } finally {
      await admin.query(`DELETE FROM ${full}; INSERT INTO ${full} SELECT * FROM kept; DROP TABLE kept`);
    }
  });
});

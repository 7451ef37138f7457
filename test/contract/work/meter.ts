/** What a request costs the database: its statements, and the rows that their plans touch. */
import pg from 'pg';

export interface Work {
  readonly statements: number;
  readonly rows: number;
}

export interface Meter {
  /** Tells the planner what there is. */
  analyze(): Promise<void>;
  /** Work of the API's own connections while `run` runs. */
  measure(run: () => Promise<unknown>): Promise<Work>;
  /**
   * Sequential scans of tables with over five thousand rows (a smaller one may be cheaper to read whole), in the plans of every statement that the product made since the meter was opened,
   * whoever made it: under the generic plan, which the server falls back to for a prepared statement, and under the plan for its values.
   */
  scans(): Promise<{ readonly explained: number; readonly faults: readonly string[] }>;
  /** Listens to no client any more. */
  close(): Promise<void>;
}

interface Statement {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** Where only the API connects to; everybody else names the address. */
const DOOR_HOST = 'localhost';
export const throughApiHost = (url: string): string => {
  const named = new URL(url);
  named.hostname = DOOR_HOST;
  return named.href;
};

/** The product's own role; tests connect as others. */
const APP = 'edgeml_app';
const IS_PLANNED = /^\s*(--[^\n]*\n\s*)*(SELECT|WITH|INSERT|UPDATE|DELETE)\b/i;
/** A schema of a read model that is being filled comes and goes. */
const GONE: ReadonlySet<unknown> = new Set(['42P01', '3F000']);

/** Connections of the API that follow the log, whoever asks. */
const FOLLOWS = /pointers|watch|listen|notify/;
/** A plain read: whoever explains it with its values changes nothing. */
const READS = /^\s*(--[^\n]*\n\s*)*(SELECT|WITH)\b/i;
const WRITES = /\b(INSERT|UPDATE|DELETE|nextval|append\w*|pg_notify|pg_advisory\w*|set_config)\b/i;

/** Hears every statement of this process. One meter at a time. @param url of a superuser */
export async function openMeter(url: string): Promise<Meter> {
  const admin = new pg.Client({ connectionString: url });
  await admin.connect();
  const heard: Statement[] = [];
  const everybodys = new Map<string, readonly unknown[]>();
  let isOn = false;
  // Safe: read as a value only to be called on the client it is asked of.
  const original = pg.Client.prototype.query as (...of: unknown[]) => unknown;
  pg.Client.prototype.query = function (this: pg.Client & { connectionParameters: ClientNames }, ...of: unknown[]) {
    const [asked, values] = of as [string | { text?: string; values?: unknown[] }, unknown];
    const text = typeof asked === 'string' ? asked : asked.text;
    const { host, application_name: name, user } = this.connectionParameters;
    if (text !== undefined) {
      const given = Array.isArray(values) ? values : typeof asked === 'string' ? [] : (asked.values ?? []);
      if (isOn && host === DOOR_HOST && !FOLLOWS.test(name ?? '')) heard.push({ text, values: given });
      if (user === APP && IS_PLANNED.test(text)) everybodys.set(text, given);
    }
    return original.apply(this, of);
  } as typeof pg.Client.prototype.query;

  async function rowsOf({ text, values }: Statement): Promise<number> {
    if (!READS.test(text) || WRITES.test(text)) return 0;
    const explained = (await original.call(admin, `EXPLAIN (ANALYZE, FORMAT JSON) ${text}`, values)) as pg.QueryResult<{
      'QUERY PLAN': readonly [{ Plan: PlanNode }];
    }>;
    return touched(explained.rows[0]!['QUERY PLAN'][0].Plan);
  }

  return {
    async analyze() {
      await admin.query('ANALYZE');
    },
    async measure(run) {
      heard.length = 0;
      isOn = true;
      await run();
      isOn = false;
      const statements = [...heard];
      let rows = 0;
      for (const one of statements) rows += await rowsOf(one);
      return { statements: statements.length, rows: Math.round(rows) };
    },
    async scans() {
      const { rows } = await admin.query<{ relname: string }>(
        `SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE c.relkind = 'r' AND c.reltuples > 5000 AND n.nspname !~ '^pg_|information_schema'`,
      );
      const large = new Set(rows.map((row) => row.relname));
      const faults: string[] = [];
      for (const [text, values] of [...everybodys]) {
        for (const [kind, explain] of [
          ['generic', () => original.call(admin, `EXPLAIN (GENERIC_PLAN, FORMAT JSON) ${text}`)],
          ['custom', () => original.call(admin, `EXPLAIN (FORMAT JSON) ${text}`, values)],
        ] as const) {
          try {
            const explained = (await explain()) as pg.QueryResult<{ 'QUERY PLAN': readonly [{ Plan: PlanNode }] }>;
            const scanned = scansIn(explained.rows[0]!['QUERY PLAN'][0].Plan).filter((table) => large.has(table));
            for (const table of scanned)
              faults.push(`${kind}: ${table} is scanned by: ${text.replaceAll(/\s+/g, ' ')}`);
          } catch (error) {
            if (!GONE.has((error as { code?: unknown }).code)) throw error;
          }
        }
      }
      return { explained: everybodys.size, faults };
    },
    async close() {
      pg.Client.prototype.query = original as typeof pg.Client.prototype.query;
      await admin.end();
    },
  };
}

interface ClientNames {
  readonly host?: string;
  readonly application_name?: string;
  readonly user?: string;
}

/** As EXPLAIN's JSON has it; the row counts are per loop. */
interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Index Recheck'?: number;
  readonly Plans?: readonly PlanNode[];
}

/** Tables that are read whole, however the rows are then used. */
function scansIn(node: PlanNode): string[] {
  const own = node['Node Type'] === 'Seq Scan' && node['Relation Name'] !== undefined ? [node['Relation Name']] : [];
  return [...own, ...(node.Plans ?? []).flatMap(scansIn)];
}

/** Rows that were read of tables and indexes. */
function touched(node: PlanNode): number {
  const read =
    node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Index Recheck'] ?? 0);
  const own = node['Node Type'].includes('Scan') ? read * node['Actual Loops'] : 0;
  return (node.Plans ?? []).reduce((sum, child) => sum + touched(child), own);
}

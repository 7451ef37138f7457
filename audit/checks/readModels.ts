/**
 * The rows of every read model beside what the log says. The projections run once more over one reading of the log, page by page; what
 * they make is compared with the rows that are live, and written nowhere. Rows that are not in memory are read from the live table:
 * they were compared when they began, and where they were wrong the projection goes on from what the log says.
 */
import { openSession, type Session } from '../../store/connect.ts';
import { UndecodableFact } from '../../store/log/rows.ts';
import type { SequencedEvent } from '../../domain/events/envelope.ts';
import { createApplier, type LogReader } from '../../projections/applying.ts';
import { readCheckpoint } from '../../projections/checkpoint.ts';
import type { Difference } from '../../projections/compare.ts';
import { endsBySpan, rowsAt, rowsBegunIn } from '../../projections/liveRows.ts';
import { createRows, type BatchRows } from '../../projections/rows.ts';
import { readSetAside } from '../../projections/setAside.ts';
import { schemaOf, tablesOf, type Need, type Projection } from '../../projections/table.ts';
import { createFindings, type Findings } from '../finding.ts';
import { cutText } from '../../domain/text.ts';
import { checkLiveTable } from './liveTable.ts';

export interface ReadModelsOptions {
  readonly connectionString: string;
  readonly log: LogReader;
  readonly projections: readonly Projection[];
  /** The log index up to which the log was checked. */
  readonly head: number;
  readonly signal: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
  /** Facts of a page; rows of each read model that are held from page to page. */
  readonly page?: number;
  readonly knownRows?: number;
}

const PAGE = 2_000;
const KNOWN_ROWS = 4_000;
const CATCH_UP_MS = 2_000;
const LIMIT = 100;
const MOST_SET_ASIDE = 10_000;

const shown = (value: unknown) => {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 200 ? `${cutText(text, 200)}…` : text;
};

function describe(name: string, page: number, { table, key, column, index, expected, actual }: Difference): string {
  const row = `${name}: ${table} ${JSON.stringify(key)}`;
  if (Object.keys(key).length === 0)
    return `${name}: ${String(actual)} rows of ${table} are closed by the facts from ${index} on (${page}), the log closes ${String(expected)}; \`edgeml admin rebuild ${name}\` names them`;
  if (column !== null) return `${row}: ${column} is ${shown(actual)}, the log says ${shown(expected)}`;
  return actual === null ? `${row}: the row is missing` : `${row}: the log knows no such row`;
}

/** The live checkpoint, after a moment in which a running projection reaches the head. */
async function livePlace({ client }: Session, schema: string, head: number) {
  const giveUpAt = performance.now() + CATCH_UP_MS;
  for (;;) {
    const live = await readCheckpoint(client, schema);
    if (!live || live.stopped_at !== null || live.log_index >= head || performance.now() > giveUpAt) return live;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** What the live one says of itself. @returns undefined where there is none */
async function readLive(
  session: Session,
  projection: Projection,
  findings: Findings,
  head: number,
): Promise<Live | undefined> {
  const schema = schemaOf(projection);
  const { name } = projection;
  const live = await livePlace(session, schema, head);
  if (!live) {
    const detail = `the read model ${name} does not exist; start its projection, or run \`edgeml admin rebuild ${name}\``;
    findings.add('not_filled', detail);
    return undefined;
  }
  if (live.stopped_at !== null) {
    const detail = `${name} stands before ${live.stopped_at}: ${live.stopped_why ?? ''}`;
    findings.add('projection_stopped', detail, { index: live.stopped_at });
  }
  const setAside = await readSetAside(session.client, schema, MOST_SET_ASIDE);
  for (const { subject, first, type, why, facts } of setAside.slice(0, LIMIT)) {
    const detail = `${name} has set aside ${subject} from ${type} on (${facts} facts so far): ${why}; once its cause is gone, run \`edgeml admin rebuild ${name}\``;
    findings.add('set_aside', detail, { index: first, stream: subject });
  }
  return { at: Math.min(head, live.log_index), setAside: new Map(setAside.map(({ first, why }) => [first, why])) };
}

/** One read model under check. */
interface Walk {
  /** The log index at which the two are compared. */
  readonly at: number;
  /** One page on. @returns false once it goes no further */
  advance(): Promise<boolean>;
  end(): Promise<void>;
  close(): Promise<void>;
}

interface Live {
  readonly at: number;
  /** Why it set something aside, by the log index of the first fact: what Postgres refused shows nowhere else. */
  readonly setAside: ReadonlyMap<number, string>;
}

interface Walked {
  readonly projection: Projection;
  readonly findings: Findings;
  readonly log: LogReader;
  readonly page: number;
  readonly knownRows: number;
}

function walk(session: Session, { at, setAside }: Live, { projection, findings, log, page, knownRows }: Walked): Walk {
  const { client } = session;
  const schema = schemaOf(projection);
  const found: Difference[] = [];
  const tables = new Map(
    tablesOf(projection).map((table) => [table, checkLiveTable(table, page, (one) => void found.push(one))] as const),
  );
  const subjects = new Map<string, number>();
  let rows = createRows();
  let position = -1;
  let isStopped = false;

  async function load(needs: readonly Need[], into: BatchRows): Promise<void> {
    const stored: Need[] = [];
    for (const one of needs) {
      const right = tables.get(one.table)!.corrected(one.key);
      if (right) into.remember(one.table, one.key, right.row, position);
      else stored.push(one);
    }
    for (const [{ table, key }, live] of await rowsAt(client, schema, stored, { place: position, at })) {
      into.remember(table, key, live?.row, live?.from ?? -1);
      tables.get(table)!.hold(key, live);
    }
  }
  const applier = createApplier(projection, log, load);
  const unstorable = (index: number) => setAside.get(index);

  function report(): void {
    const first = found.sort((a, b) => a.index - b.index).slice(0, LIMIT);
    for (const one of first) findings.add('row_differs', describe(projection.name, page, one), { index: one.index });
  }

  return {
    at,
    async advance() {
      if (rows.size > knownRows) {
        rows = createRows();
        tables.forEach((table) => table.forget());
      }
      const after = position;
      const upTo = Math.min(after + page, at);
      while (position < upTo && !isStopped) {
        const applied = await applier.apply(position, upTo - position, { rows, subjects }, unstorable);
        position = applied.position;
        if (applied.count > 0) continue;
        isStopped = true;
        const missing = applied.gap ?? position + 1;
        findings.add('unprojectable', `${projection.name}: the log has no fact at ${missing}`, { index: missing });
      }
      const writes = rows.take();
      for (const [table, check] of tables) {
        const begun = { after: after < 0 ? Number.MIN_SAFE_INTEGER : after, upTo: position, at };
        check.compare(writes.get(table), await rowsBegunIn(client, schema, table, begun), position);
      }
      return position < at && !isStopped && found.length < LIMIT;
    },
    async end() {
      if (position === at)
        for (const [table, check] of tables) check.end(await endsBySpan(client, schema, table, { at, span: page }));
      report();
    },
    close: () => session.end(),
  };
}

/** @returns undefined where there is no live one */
async function openWalk(walked: Walked, { connectionString, head }: ReadModelsOptions): Promise<Walk | undefined> {
  const session = await openSession(connectionString, 'audit');
  try {
    const live = await readLive(session, walked.projection, walked.findings, head);
    if (live) return walk(session, live, walked);
  } catch (error) {
    await session.end();
    throw error;
  }
  await session.end();
  return undefined;
}

/** The last page is kept: whoever asks for a part of it gets that, and for anything else what the log says. */
function sharedLog(log: LogReader, size: number): LogReader & { turn(after: number): Promise<void> } {
  let page: { readonly after: number; readonly events: readonly SequencedEvent[] } | undefined;
  return {
    async turn(after) {
      page = undefined;
      try {
        page = { after, events: await log.readLog(after, size) };
      } catch (error) {
        if (!(error instanceof UndecodableFact)) throw error; // each asks for itself, and sets aside what it must
      }
    },
    async readLog(after, limit) {
      const held = page && after >= page.after ? page.events.filter((e) => e.logIndex > after).slice(0, limit) : [];
      return held.length === limit ? held : log.readLog(after, limit);
    },
  };
}

/**
 * Reads only. A live read model that is behind is compared as far as it is.
 *
 * @returns findings, and the log index up to which the least advanced was compared
 */
export async function checkReadModels(options: ReadModelsOptions): Promise<{ findings: Findings; comparedTo: number }> {
  const { projections, head, signal, onProgress, page = PAGE, knownRows = KNOWN_ROWS } = options;
  const all = projections.map((projection) => ({ projection, found: createFindings('read_model') }));
  const log = sharedLog(options.log, page);
  const walks: Walk[] = [];
  let comparedTo = head;
  try {
    for (const { projection, found } of all) {
      const one = await openWalk({ projection, findings: found, log, page, knownRows }, options);
      if (one) walks.push(one);
      comparedTo = Math.min(comparedTo, one?.at ?? -1);
    }
    let open = walks.filter(({ at }) => at >= 0);
    for (let after = -1; open.length > 0; after += page) {
      if (signal.aborted) throw new Error('the audit was cancelled');
      await log.turn(after);
      const more = await Promise.all(open.map((one) => one.advance()));
      open = open.filter((_, i) => more[i]);
      onProgress?.(Math.min(after + page, head) + 1, head + 1);
    }
    for (const one of walks) await one.end();
  } finally {
    await Promise.all(walks.map((one) => one.close()));
  }
  const findings = createFindings('read_model');
  for (const { found } of all) for (const { code, detail, ...place } of found.list) findings.add(code, detail, place);
  return { findings, comparedTo };
}

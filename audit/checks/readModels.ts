/**
 * Every read model made again from the log beside the live one, and compared row by row. All are filled from one reading of the log,
 * each through its own session, up to the end of a page before the next is read.
 */
import { openSession, type Session } from '../../store/connect.ts';
import { tryLock } from '../../store/leader.ts';
import { UndecodableFact } from '../../store/log/rows.ts';
import type { SequencedEvent } from '../../domain/events/envelope.ts';
import { readCheckpoint } from '../../projections/checkpoint.ts';
import { compareSchemas, type Difference } from '../../projections/compare.ts';
import { createSchema, dropSchema, quote } from '../../projections/ddl.ts';
import { createFollower, type LogReader } from '../../projections/follower.ts';
import { fill, RebuildStopped } from '../../projections/rebuild.ts';
import { readSetAside } from '../../projections/setAside.ts';
import { schemaOf, tablesOf, type Projection } from '../../projections/table.ts';
import { createFindings, type Findings } from '../finding.ts';
import { cutText } from '../../domain/text.ts';

export interface ReadModelsOptions {
  readonly connectionString: string;
  readonly log: LogReader;
  readonly projections: readonly Projection[];
  /** The log index up to which the log was checked. */
  readonly head: number;
  readonly signal: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/** A write transaction holds the log back, for whoever waits for it. */
const BUDGET_MS = 250;
const PAGE = 2_000;
/** Of each read model. More would be read again less often, and take more memory. */
const KNOWN_ROWS = 2_000;
const CATCH_UP_MS = 2_000;
const LIMIT = 100;

const shown = (value: unknown) => {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 200 ? `${cutText(text, 200)}…` : text;
};

function describe({ table, key, column, expected, actual }: Difference): string {
  const row = `${table} ${JSON.stringify(key)}`;
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

/** One read model under check. */
interface Scratch {
  readonly projection: Projection;
  readonly session: Session;
  readonly schema: string;
  /** The log index at which the two are compared. */
  readonly at: number;
  /** Up to `to`, or `at` if that is less. @returns false once it can be filled no further */
  fill(to: number): Promise<boolean>;
  compare(): Promise<void>;
  /** Ends its session. The schema is gone, or the next audit drops it. */
  drop(): Promise<void>;
}

/** What the live one says of itself. @returns undefined where there is none */
async function readLive(session: Session, projection: Projection, findings: Findings, head: number) {
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
  for (const { subject, first, type, why, facts } of await readSetAside(session.client, schema, LIMIT)) {
    const detail = `${name} has set aside ${subject} from ${type} on (${facts} facts so far): ${why}; once its cause is gone, run \`edgeml admin rebuild ${name}\``;
    findings.add('set_aside', detail, { index: first, stream: subject });
  }
  return Math.min(head, live.log_index);
}

/** Empty, and fast: nobody needs it after a crash. */
async function createScratch({ client }: Session, scratch: string, projection: Projection): Promise<void> {
  await dropSchema(client, scratch); // left by an audit that was killed
  await createSchema(client, scratch, projection);
  const tables = tablesOf(projection).map(({ name }) => `ALTER TABLE ${quote(scratch)}.${quote(name)} SET UNLOGGED`);
  await client.query([...tables, 'SET synchronous_commit = off'].join(';\n'));
}

async function openScratch(
  projection: Projection,
  findings: Findings,
  { connectionString, log, head, signal }: ReadModelsOptions,
): Promise<Scratch | undefined> {
  const session = await openSession(connectionString, 'audit');
  const { client } = session;
  const schema = schemaOf(projection);
  const scratch = `${schema}__audit`;
  try {
    const at = await readLive(session, projection, findings, head);
    if (at === undefined) {
      await session.end();
      return undefined;
    }
    while (!(await tryLock(session, scratch))) {
      signal.throwIfAborted();
      await new Promise((resolve) => setTimeout(resolve, 100)); // another audit compares the same
    }
    await createScratch(session, scratch, projection);
    const limits = { budgetMs: BUDGET_MS, maxEvents: PAGE, maxKnownRows: KNOWN_ROWS };
    const follower = createFollower({ client, schema: scratch, projection, log, ...limits });
    let isStopped = false;
    return {
      projection,
      session,
      schema,
      at,
      async fill(to) {
        const upTo = Math.min(to, at);
        if (isStopped || upTo < 0) return false;
        try {
          await fill(follower, { name: projection.name, upTo, signal });
        } catch (error) {
          if (!(error instanceof RebuildStopped)) throw error;
          findings.add('unprojectable', error.message, { index: error.logIndex });
          isStopped = true;
        }
        return !isStopped && upTo < at;
      },
      async compare() {
        if (isStopped) return;
        const options = { expected: scratch, actual: schema, at, limit: LIMIT };
        for (const one of await compareSchemas(client, projection, options)) {
          findings.add('row_differs', `${projection.name}: ${describe(one)}`, { index: one.index });
        }
      },
      async drop() {
        await dropSchema(client, scratch).catch(() => undefined);
        await session.end();
      },
    };
  } catch (error) {
    await session.end();
    throw error;
  }
}

/** The last page is kept: whoever asks for a part of it gets that, and for anything else what the log says. */
function sharedLog(log: LogReader): LogReader & { turn(after: number): Promise<void> } {
  let page: { readonly after: number; readonly events: readonly SequencedEvent[] } | undefined;
  return {
    async turn(after) {
      page = undefined;
      try {
        page = { after, events: await log.readLog(after, PAGE) };
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
 * Needs the app's role, since it fills scratch schemas (`…__audit`) in committed batches; they are gone when it returns. A live
 * read model that is behind is compared as far as it is.
 *
 * @returns findings, and the log index up to which the least advanced was compared
 */
export async function checkReadModels(options: ReadModelsOptions): Promise<{ findings: Findings; comparedTo: number }> {
  const { projections, head, signal, onProgress } = options;
  const all = projections.map((projection) => ({ projection, found: createFindings('read_model') }));
  const log = sharedLog(options.log);
  const scratches: Scratch[] = [];
  let comparedTo = head;
  try {
    for (const { projection, found } of all) {
      const scratch = await openScratch(projection, found, { ...options, log });
      if (scratch) scratches.push(scratch);
      comparedTo = Math.min(comparedTo, scratch?.at ?? -1);
    }
    let open = scratches;
    for (let after = -1; open.length > 0; after += PAGE) {
      if (signal.aborted) throw new Error('the audit was cancelled');
      await log.turn(after);
      const more = await Promise.all(open.map((scratch) => scratch.fill(after + PAGE)));
      open = open.filter((_, i) => more[i]);
      onProgress?.(Math.min(after + PAGE, head) + 1, head + 1);
    }
    for (const scratch of scratches) await scratch.compare();
  } finally {
    await Promise.all(scratches.map((scratch) => scratch.drop()));
  }
  const findings = createFindings('read_model');
  for (const { found } of all) for (const { code, detail, ...place } of found.list) findings.add(code, detail, place);
  return { findings, comparedTo };
}

/** Every read model made again from the log beside the live one, and compared row by row. */
import { openSession, type Session } from '../../store/connect.ts';
import { tryLock } from '../../store/leader.ts';
import { readCheckpoint } from '../../projections/checkpoint.ts';
import { compareSchemas, type Difference } from '../../projections/compare.ts';
import { createSchema, dropSchema } from '../../projections/ddl.ts';
import { createFollower, type LogReader } from '../../projections/follower.ts';
import { fill, RebuildStopped } from '../../projections/rebuild.ts';
import { readSetAside } from '../../projections/setAside.ts';
import { schemaOf, type Projection } from '../../projections/table.ts';
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

const BUDGET_MS = 250;
const MAX_EVENTS = 2_000;
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

async function checkOne(
  session: Session,
  projection: Projection,
  findings: Findings,
  options: ReadModelsOptions & { readonly progress: (at: number) => void },
): Promise<number> {
  const { client } = session;
  const { log, head, signal, progress } = options;
  const schema = schemaOf(projection);
  const scratch = `${schema}__audit`;
  const live = await livePlace(session, schema, head);
  if (!live) {
    findings.add(
      'not_filled',
      `the read model ${projection.name} does not exist; start its projection, or run \`edgeml admin rebuild ${projection.name}\``,
    );
    return -1;
  }
  if (live.stopped_at !== null) {
    const detail = `${projection.name} stands before ${live.stopped_at}: ${live.stopped_why ?? ''}`;
    findings.add('projection_stopped', detail, { index: live.stopped_at });
  }
  for (const { subject, first, type, why, facts } of await readSetAside(client, schema, LIMIT)) {
    const detail = `${projection.name} has set aside ${subject} from ${type} on (${facts} facts so far): ${why}; once its cause is gone, run \`edgeml admin rebuild ${projection.name}\``;
    findings.add('set_aside', detail, { index: first, stream: subject });
  }
  const at = Math.min(head, live.log_index);
  while (!(await tryLock(session, scratch))) {
    if (signal.aborted) throw new Error('the audit was cancelled');
    await new Promise((resolve) => setTimeout(resolve, 100)); // another audit compares the same
  }
  await dropSchema(client, scratch); // left by an audit that was killed
  await createSchema(client, scratch, projection);
  try {
    const follower = createFollower({
      client,
      schema: scratch,
      projection,
      log,
      budgetMs: BUDGET_MS,
      maxEvents: MAX_EVENTS,
    });
    await fill(follower, { name: projection.name, upTo: at, signal, onPosition: progress });
    const differences = await compareSchemas(client, projection, {
      expected: scratch,
      actual: schema,
      at,
      limit: LIMIT,
    });
    for (const one of differences) {
      findings.add('row_differs', `${projection.name}: ${describe(one)}`, { index: one.index });
    }
  } catch (error) {
    if (!(error instanceof RebuildStopped)) throw error;
    findings.add('unprojectable', error.message, { index: error.logIndex });
  } finally {
    await dropSchema(client, scratch).catch(() => undefined); // the next audit drops it
  }
  return at;
}

/**
 * Needs the app's role, since it fills scratch schemas (`…__audit`) in committed batches; they are gone when it returns. A live
 * read model that is behind is compared as far as it is.
 *
 * @returns findings, and the log index up to which the least advanced was compared
 */
export async function checkReadModels(options: ReadModelsOptions): Promise<{ findings: Findings; comparedTo: number }> {
  const { connectionString, projections, head, onProgress } = options;
  const findings = createFindings('read_model');
  const total = (head + 1) * projections.length;
  let comparedTo = head;
  const session = await openSession(connectionString, 'audit');
  try {
    for (const [i, projection] of projections.entries()) {
      const progress = (at: number) => onProgress?.(i * (head + 1) + at + 1, total);
      comparedTo = Math.min(comparedTo, await checkOne(session, projection, findings, { ...options, progress }));
    }
  } finally {
    await session.end();
  }
  return { findings, comparedTo };
}

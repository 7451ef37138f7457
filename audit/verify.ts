/**
 * The one invariant checker: `edgeml audit verify` and the tests call the same function. If an invariant is not here, it does
 * not exist.
 *
 * The log is read twice, in pages: in its own order for what is hashed and appended together, and stream by stream for what is folded.
 * Then the read models are rebuilt beside the live ones and compared. What is kept meanwhile does not grow with the log, but for a
 * small record of each rollout. All steps run, whatever the earlier ones found. Reads only, apart from scratch schemas that are gone
 * when it returns.
 */
import { createPool, type Pool } from '../store/connect.ts';
import { originsOf } from '../store/ledger/origins.ts';
import type { PublishedCheckpoints } from '../store/ledger/published.ts';
import type { RawLogRow } from '../store/log/rows.ts';
import type { LogReader } from '../projections/applying.ts';
import { projections as allProjections } from '../projections/registry.ts';
import type { Projection } from '../projections/table.ts';
import { checkAnchors, type KeptCheckpoint } from './checks/anchor.ts';
import { checkAcross } from './checks/across.ts';
import { checkCoverage } from './checks/coverage.ts';
import { checkCommands } from './checks/commands.ts';
import { checkDecode } from './checks/facts.ts';
import { checkBytes, checkTree, type RecordedRoot } from './checks/ledger.ts';
import { checkReadModels } from './checks/readModels.ts';
import { rowPages } from './pages.ts';
import { readKept, type Loss } from './published.ts';
import { checkStreams } from './streams.ts';
import { STEPS, bothFindings, type Finding, type Findings, type PresentRow, type StepName } from './finding.ts';

export interface VerifyDeps {
  /** As `edgeml_app`, direct. */
  readonly connectionString: string;
  readonly log: LogReader & {
    readRawLog(after: number, limit: number): Promise<RawLogRow[]>;
    head(): Promise<number>;
  };
  /** Checkpoints beside the blobs; without it only those of the database and of the caller are compared. */
  readonly published?: PublishedCheckpoints | undefined;
  /** Those of this build, unless a test brings its own. */
  readonly projections?: readonly Projection[];
}

/** `phase`: the log, then the read models. Units are facts. */
export interface AuditProgress {
  readonly phase: 'log' | 'read_model';
  readonly done: number;
  readonly total: number;
}

export interface VerifyOptions {
  /** Leaves `read_model` out. */
  readonly fast?: boolean;
  /** What somebody kept outside. */
  readonly checkpoints?: readonly KeptCheckpoint[];
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: AuditProgress) => void;
}

export interface StepReport {
  readonly step: StepName;
  /** Facts that were looked at; null where the step was left out. */
  readonly checked: number | null;
  /** Number of findings; the list of a step is cut at 1,000. */
  readonly findings: number;
}

export interface VerifyReport {
  readonly passed: boolean;
  /** The last log index when the audit began, -1 for an empty log; later facts were not looked at. */
  readonly head: number;
  /** Hex RFC 6962 root of the facts up to `head`. */
  readonly root: string;
  /** Number of facts under `root`, and the name of this log: with it, a checkpoint. */
  readonly size: number;
  readonly origin: string;
  /** Facts that were published and are lost, as operators accepted it: known, and no finding. */
  readonly losses: readonly Loss[];
  readonly steps: readonly StepReport[];
  /** By step, then in log order. */
  readonly findings: readonly Finding[];
}

const nextIndexOf = async (db: Pool): Promise<number> =>
  (await db.query<{ next_index: number }>('SELECT next_index FROM store.sequencer')).rows[0]?.next_index ?? 0;

const rootsOf = async (db: Pool): Promise<RecordedRoot[]> =>
  (
    await db.query<RecordedRoot>(
      `SELECT tree_size, root, is_filed AND created_at < clock_timestamp() - interval '60 s' AS is_file_due
         FROM store.checkpoints ORDER BY tree_size`,
    )
  ).rows;

/** The sequencer may cut an append between two of its batches: then its rest still waits. */
async function isWhole(db: Pool, last: PresentRow | undefined): Promise<boolean> {
  if (!last) return true;
  const { era, xid, command_id, command_seq } = last.event;
  const { rows } = await db.query<{ n: number }>(
    'SELECT count(*)::int AS n FROM store.events WHERE era = $1 AND xid = $2::xid8 AND command_id = $3',
    [era, xid, command_id],
  );
  return (rows[0]?.n ?? 0) <= command_seq;
}

async function verifyWith(db: Pool, deps: VerifyDeps, options: VerifyOptions): Promise<VerifyReport> {
  const { signal = new AbortController().signal, onProgress, fast = false } = options;
  // Roots and the next index first: the log that is read after them reaches at least so far.
  // Files before rows: a row is committed before its file is published.
  const origins = await originsOf(db);
  const kept = await readKept(deps.published, origins);
  const roots = await rootsOf(db);
  const coverage = checkCoverage(await nextIndexOf(db));
  const head = await deps.log.head();
  const anchor = checkAnchors(
    [...kept.checkpoints, ...(options.checkpoints ?? [])],
    origins.map((o) => o.origin),
  );
  kept.compareRows(anchor, roots);
  const bytes = checkBytes();
  const tree = checkTree(roots);
  const commands = checkCommands();
  const decode = checkDecode();
  const across = checkAcross();

  let last: PresentRow | undefined;
  let size = 0;
  let facts = 0;
  let done = 0;
  const advance = (by: number) => onProgress?.({ phase: 'log', done: (done += by), total: 2 * (head + 1) });
  const raw = async (before: RawLogRow | undefined, limit: number) =>
    (await deps.log.readRawLog(before?.log_index ?? -1, limit)).filter((row) => row.log_index <= head);
  for await (const rows of rowPages(raw, (row) => row.event?.data.length ?? 0)) {
    if (signal.aborted) throw new Error('the audit was cancelled');
    for (const row of rows) {
      coverage.see(row);
      tree.see(row.leaf_hash);
      if (!row.event) {
        anchor.see(row.leaf_hash);
        continue;
      }
      last = { ...row, event: row.event };
      anchor.see(bytes.see(last));
      commands.see(last);
      across.see(last, decode.see(last));
      facts += 1;
    }
    size += rows.length;
    advance(rows.length);
  }
  await coverage.end(db, head);
  tree.end();
  anchor.end();
  across.end(await isWhole(db, last));
  const streams = await checkStreams(db, { head, expected: facts, signal, onPage: advance });

  const readModels = fast
    ? undefined
    : await checkReadModels({
        connectionString: deps.connectionString,
        log: deps.log,
        projections: deps.projections ?? allProjections,
        head,
        signal,
        ...(onProgress ? { onProgress: (done, total) => onProgress({ phase: 'read_model', done, total }) } : {}),
      });
  const found: Readonly<Record<StepName, Pick<Findings, 'list' | 'count'> | undefined>> = {
    anchor,
    coverage,
    bytes,
    tree,
    stream: bothFindings(streams.order, commands),
    decode,
    divergence: streams.divergence,
    across,
    verdict: streams.verdict,
    read_model: readModels?.findings,
  };
  const steps = STEPS.map((step): StepReport => {
    const checked = step === 'read_model' ? (readModels ? readModels.comparedTo + 1 : null) : size;
    return { step, checked, findings: found[step]?.count ?? 0 };
  });
  return {
    passed: steps.every((s) => s.findings === 0),
    head,
    root: tree.root(),
    size,
    origin: origins.at(-1)!.origin,
    losses: kept.losses,
    steps,
    findings: STEPS.flatMap((step) => found[step]?.list ?? []),
  };
}

/**
 * Checks everything up to the head at the moment of the call. A finding is a value; it throws only where it could not run.
 *
 * @throws the driver's error where Postgres cannot be asked; Error when `signal` aborts
 */
export async function verify(deps: VerifyDeps, options: VerifyOptions = {}): Promise<VerifyReport> {
  const db = createPool({ connectionString: deps.connectionString, max: 1, name: 'audit' });
  try {
    return await verifyWith(db, deps, options);
  } finally {
    await db.end();
  }
}

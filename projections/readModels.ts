/** The read side: every list of the API, and how far the read models are. Reads only; any number of processes may hold one. */
import { Kysely, PostgresDialect } from 'kysely';
import { LifecycleError } from '../domain/errors.ts';
import type { SequencedEvent } from '../domain/events/envelope.ts';
import type { LogIndex, ModelId } from '../domain/brands.ts';
import type { OrgId } from '../domain/org.ts';
import type { LifecycleState } from '../domain/states.ts';
import { createPool } from '../store/connect.ts';
import type { LogDatabase } from '../store/log/tables.ts';
import { listEvents, type EventFilter } from './activity/query.ts';
import {
  countModels,
  findModel,
  listModels,
  modelsNow,
  type ModelFilter,
  type ModelKind,
  type ModelCursor,
  type ShownModelRow,
} from './catalog/query.ts';
import { isMissing, readCheckpoint, type Checkpoint } from './checkpoint.ts';
import { countSetAside, readSetAside, type SetAside } from './setAside.ts';
import type { ReadDb, ReadTables } from './database.ts';
import { inSchema } from './inSchema.ts';
import type { Page, PageRequest } from './page.ts';
import { projections as allProjections } from './registry.ts';
import { listJudgements, listRollouts, type RolloutFilter } from './rollouts/query.ts';
import type { JudgementRow, RolloutRow } from './rollouts/schema.ts';
import { nextOf, readableSchemas, schemaOf, type Projection } from './table.ts';
import { listRoundFacts, listRuns, type ListedRun, type RunFilter } from './training/query.ts';
import type { RoundRow } from './training/schema.ts';
import { readLineage, type LineageNode } from './versions/lineage.ts';
import {
  listedVersions,
  listVersions,
  newestLifecycles,
  type ListedFilter,
  type VersionFilter,
} from './versions/query.ts';
import type { VersionRow } from './versions/schema.ts';

export type ReadModelName = 'catalog' | 'versions' | 'rollouts' | 'training' | 'pointers' | 'activity';

export interface ReadModelStatus {
  readonly name: string;
  /** As of which log index its lists are answered; -1 before the first fact, or where none is complete. */
  readonly position: number;
  /** Whether a version of it is complete. */
  readonly answers: boolean;
  /** How far this build's version is while it is filled: an earlier one answers meanwhile, or none. Null once it answers, and before it is begun. */
  readonly filling: number | null;
  readonly stopped: { readonly at: number; readonly why: string } | null;
  /** Subjects that miss a fact: how many, and the first few. */
  readonly setAside: { readonly count: number; readonly first: readonly SetAside[] };
}

/** Items of a list that is not paged, and the log index as of which it was read. */
export interface Listed<T> {
  readonly items: readonly T[];
  readonly position: number;
}

/** `lifecycle`: of the newest version. */
export type ModelNow = ShownModelRow & { readonly lifecycle: LifecycleState | null };

export interface ReadModels {
  position(name: ReadModelName): Promise<number>;
  /** Where every read model is and whether it stands: readiness, metrics. */
  status(): Promise<readonly ReadModelStatus[]>;
  /** True once the read model holds the fact at `logIndex`; false after `timeoutMs`. Throws `starting` where none is complete by then. */
  waitFor(name: ReadModelName, logIndex: number, timeoutMs: number): Promise<boolean>;

  models(filter: ModelFilter, page?: PageRequest): Promise<Page<ShownModelRow>>;
  model(orgId: OrgId, modelId: ModelId, asOf?: LogIndex): Promise<ShownModelRow | undefined>;
  /** How many models of a kind there are now. */
  modelCount(kind: ModelKind): Promise<number>;
  /** At most `limit` models as they are now, by name, each with the lifecycle state of its newest version; null: it has none. */
  modelsNow(kind: ModelKind, place: ModelCursor, limit: number): Promise<ModelNow[]>;
  versions(filter: VersionFilter, page?: PageRequest): Promise<Page<VersionRow>>;
  /** Names of versions as they are now, in the order of the EdgeML API. */
  listedVersions(
    filter: ListedFilter,
    page: { readonly limit: number; readonly offset: number },
  ): Promise<VersionRow[]>;
  /** Of a model's newest version now; null: it has none. */
  newestLifecycle(modelId: ModelId): Promise<LifecycleState | null>;
  lineage(of: { readonly orgId: OrgId; readonly modelId: ModelId }, page?: PageRequest): Promise<Page<LineageNode>>;
  rollouts(filter: RolloutFilter, page?: PageRequest): Promise<Page<RolloutRow>>;
  judgements(
    orgId: OrgId,
    rolloutId: number,
    asOf?: LogIndex,
  ): Promise<Listed<JudgementRow & { readonly log_index: number }>>;
  runs(filter: RunFilter, page?: PageRequest): Promise<Page<ListedRun>>;
  roundFacts(orgId: OrgId, runId: string, asOf?: LogIndex): Promise<Listed<RoundRow & { readonly log_index: number }>>;
  events(filter: EventFilter, page?: PageRequest): Promise<Page<SequencedEvent>>;

  close(): Promise<void>;
}

const POLL_MS = 15;
const SHOWN = 5;

/**
 * Opens a pool lazily; the caller closes it. Lists throw `projection_behind` where they are asked beyond the checkpoint, and
 * `starting` while no version that this build can read is complete.
 */
export function createReadModels({
  connectionString,
  max = 8,
  projections = allProjections,
}: {
  connectionString: string;
  max?: number;
  /** Those of this build, unless a test brings its own. */
  projections?: readonly Projection[];
}): ReadModels {
  const pool = createPool({ connectionString, max, name: 'read models', waits: 'question' });
  const whole = new Kysely<ReadTables>({ dialect: new PostgresDialect({ pool }) });
  const log = new Kysely<LogDatabase>({ dialect: new PostgresDialect({ pool }) });

  const named = (name: string): Projection => {
    const projection = projections.find((one) => one.name === name);
    if (!projection) throw new Error(`there is no read model ${name}`);
    return projection;
  };

  /** The newest complete version that this build can read. */
  async function answering(projection: Projection): Promise<(Checkpoint & { readonly schema: string }) | undefined> {
    for (const schema of readableSchemas(projection)) {
      const checkpoint = await readCheckpoint(pool, schema);
      if (checkpoint) return { schema, ...checkpoint };
    }
    return undefined;
  }

  /** Undefined where nobody fills it now. */
  const beingFilled = (projection: Projection) => readCheckpoint(pool, nextOf(schemaOf(projection)));

  /** None where the schema was swapped in that moment. */
  async function setAsideOf(schema: string): Promise<ReadModelStatus['setAside']> {
    try {
      const [count, first] = await Promise.all([countSetAside(pool, schema), readSetAside(pool, schema, SHOWN)]);
      return { count, first };
    } catch (error) {
      if (isMissing(error)) return { count: 0, first: [] };
      throw error;
    }
  }

  async function statusOf(projection: Projection): Promise<ReadModelStatus> {
    const there = await answering(projection);
    const isOwn = there?.schema === schemaOf(projection);
    const filled = isOwn ? undefined : await beingFilled(projection);
    const { stopped_at = null, stopped_why = null } = (isOwn ? there : filled) ?? {};
    return {
      name: projection.name,
      position: there?.log_index ?? -1,
      answers: there !== undefined,
      filling: filled?.log_index ?? null,
      stopped: stopped_at === null ? null : { at: stopped_at, why: stopped_why ?? '' },
      setAside: there ? await setAsideOf(there.schema) : { count: 0, first: [] },
    };
  }

  async function complete(name: ReadModelName): Promise<Checkpoint & { readonly schema: string }> {
    const projection = named(name);
    // A read that met the old table in the moment of a swap sees no row: the second one sees the new table.
    const there = (await answering(projection)) ?? (await answering(projection));
    if (there) return there;
    const at = (await beingFilled(projection))?.log_index;
    const how = at === undefined ? 'has not been filled yet' : `is being filled, and is at ${at}`;
    throw new LifecycleError('starting', `The read model ${name} ${how}. Only its lists wait for it.`, {
      retry_after_s: 2,
    });
  }

  async function readOnce<T>(
    names: readonly ReadModelName[],
    asOf: LogIndex | undefined,
    list: (db: ReadDb, at: number) => Promise<T>,
  ): Promise<T> {
    const found = await Promise.all(names.map(complete));
    const least = found.map(({ log_index }) => log_index).reduce((a, b) => Math.min(a, b));
    if (asOf !== undefined && asOf > least) {
      const detail = `Asked for ${asOf}; the read model ${names.join(', ')} is at ${least}.`;
      throw new LifecycleError('projection_behind', detail, { retry_after_s: 1 });
    }
    const elsewhere = found
      .map(({ schema }, i) => [schemaOf(named(names[i]!)), schema] as const)
      .filter(([own, schema]) => own !== schema);
    return list(elsewhere.length === 0 ? whole : whole.withPlugin(inSchema(new Map(elsewhere))), asOf ?? least);
  }

  /** A list of these read models, as of `asOf` or of where they are. One that met the drop of an earlier version is read again. */
  const read: typeof readOnce = (names, asOf, list) =>
    readOnce(names, asOf, list).catch((error: unknown) => {
      if (!isMissing(error)) throw error;
      return readOnce(names, asOf, list);
    });

  /** The same of what holds now, without a look at where they are: a schema has its name once it is complete. */
  const readNow = <T>(names: readonly ReadModelName[], list: (db: ReadDb) => Promise<T>): Promise<T> =>
    list(whole).catch((error: unknown) => {
      if (!isMissing(error)) throw error;
      return read(names, undefined, list);
    });

  return {
    position: async (name) => (await answering(named(name)))?.log_index ?? -1,

    status: () => Promise.all(projections.map(statusOf)),

    async waitFor(name, logIndex, timeoutMs) {
      const giveUpAt = performance.now() + timeoutMs;
      for (;;) {
        const there = await answering(named(name));
        if (there && there.log_index >= logIndex) return true;
        if (performance.now() >= giveUpAt) {
          if (!there) await complete(name);
          return false;
        }
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
    },

    models: (filter, page = {}) => read(['catalog'], undefined, (db, at) => listModels(db, filter, page, at)),
    model: (orgId, modelId, asOf) => read(['catalog'], asOf, (db, at) => findModel(db, orgId, modelId, at)),
    modelCount: (kind) => readNow(['catalog'], (db) => countModels(db, kind)),
    modelsNow: (kind, from, limit) =>
      read(['catalog', 'versions'], undefined, async (db) => {
        const rows = await modelsNow(db, kind, from, limit);
        const newest = await newestLifecycles(
          db,
          rows.map((row) => row.model_id),
        );
        return rows.map((row) => ({ ...row, lifecycle: newest.get(row.model_id) ?? null }));
      }),
    versions: (filter, page = {}) => read(['versions'], undefined, (db, at) => listVersions(db, filter, page, at)),
    listedVersions: (filter, page) => readNow(['versions'], (db) => listedVersions(db, filter, page)),
    newestLifecycle: (modelId) =>
      readNow(['versions'], async (db) => (await newestLifecycles(db, [modelId])).get(modelId) ?? null),
    lineage: (of, page = {}) => read(['versions', 'rollouts'], undefined, (db, at) => readLineage(db, of, page, at)),
    rollouts: (filter, page = {}) => read(['rollouts'], undefined, (db, at) => listRollouts(db, filter, page, at)),
    judgements: (orgId, rolloutId, asOf) =>
      read(['rollouts'], asOf, async (db, at) => ({
        items: await listJudgements(db, orgId, rolloutId, at),
        position: at,
      })),
    runs: (filter, page = {}) => read(['training'], undefined, (db, at) => listRuns(db, filter, page, at)),
    roundFacts: (orgId, runId, asOf) =>
      read(['training'], asOf, async (db, at) => ({
        items: await listRoundFacts(db, orgId, runId, at),
        position: at,
      })),
    events: (filter, page = {}) => read(['activity'], undefined, (db, at) => listEvents(db, log, filter, page, at)),

    close: () => pool.end(), // Kysely's `destroy` would leave a pool that no list has used yet
  };
}

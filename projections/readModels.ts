/** The read side: every list of the API, and how far the read models are. Reads only; any number of processes may hold one. */
import { Kysely, PostgresDialect } from 'kysely';
import { LifecycleError } from '../domain/errors.ts';
import type { SequencedEvent } from '../domain/events/envelope.ts';
import type { OrgId } from '../domain/org.ts';
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
  type ModelPlace,
} from './catalog/query.ts';
import type { ModelRow } from './catalog/schema.ts';
import { isMissing, readCheckpoint } from './checkpoint.ts';
import { countSetAside, readSetAside, type SetAside } from './setAside.ts';
import type { ReadTables } from './database.ts';
import type { Page, PageRequest } from './page.ts';
import { projections } from './registry.ts';
import { listJudgements, listRollouts, type RolloutFilter } from './rollouts/query.ts';
import type { JudgementRow, RolloutRow } from './rollouts/schema.ts';
import { schemaOf } from './table.ts';
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
  /** -1 before the first fact, or while nobody has begun to fill it. */
  readonly position: number;
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
export type ModelNow = ModelRow & { readonly lifecycle: string | null };

export interface ReadModels {
  position(name: ReadModelName): Promise<number>;
  /** Where every read model is and whether it stands: readiness, metrics. */
  status(): Promise<readonly ReadModelStatus[]>;
  /** True once the read model holds the fact at `logIndex`; false after `timeoutMs`. */
  waitFor(name: ReadModelName, logIndex: number, timeoutMs: number): Promise<boolean>;

  models(filter: ModelFilter, page?: PageRequest): Promise<Page<ModelRow>>;
  model(orgId: OrgId, modelId: string, asOf?: number): Promise<ModelRow | undefined>;
  /** How many models of a kind there are now. */
  modelCount(kind: ModelKind): Promise<number>;
  /** At most `limit` models as they are now, by name, each with the lifecycle state of its newest version; null: it has none. */
  modelsNow(kind: ModelKind, place: ModelPlace, limit: number): Promise<ModelNow[]>;
  versions(filter: VersionFilter, page?: PageRequest): Promise<Page<VersionRow>>;
  /** Names of versions as they are now, in the order of the SDK door. */
  listedVersions(filter: ListedFilter, page: { readonly limit: number; readonly offset: number }): Promise<string[]>;
  /** Of a model's newest version now; null: it has none. */
  newestLifecycle(modelId: string): Promise<string | null>;
  lineage(of: { readonly orgId: OrgId; readonly modelId: string }, page?: PageRequest): Promise<Page<LineageNode>>;
  rollouts(filter: RolloutFilter, page?: PageRequest): Promise<Page<RolloutRow>>;
  judgements(
    orgId: OrgId,
    rolloutId: number,
    asOf?: number,
  ): Promise<Listed<JudgementRow & { readonly log_index: number }>>;
  runs(filter: RunFilter, page?: PageRequest): Promise<Page<ListedRun>>;
  roundFacts(orgId: OrgId, runId: string, asOf?: number): Promise<Listed<RoundRow & { readonly log_index: number }>>;
  events(filter: EventFilter, page?: PageRequest): Promise<Page<SequencedEvent>>;

  close(): Promise<void>;
}

const POLL_MS = 15;
const SHOWN = 5;
const notFilled = (name: string) =>
  new LifecycleError('projection_behind', `The read model ${name} has not been filled yet.`, { retry_after_s: 1 });
const schemas = new Map(projections.map((p) => [p.name, schemaOf(p)]));

/** Opens a pool lazily; the caller closes it. Lists throw `projection_behind` where they are asked beyond the checkpoint. */
export function createReadModels({
  connectionString,
  max = 8,
}: {
  connectionString: string;
  max?: number;
}): ReadModels {
  const pool = createPool({ connectionString, max, name: 'read models', waits: 'question' });
  const db = new Kysely<ReadTables>({ dialect: new PostgresDialect({ pool }) });
  const log = new Kysely<LogDatabase>({ dialect: new PostgresDialect({ pool }) });

  const checkpointOf = (name: string) => {
    const schema = schemas.get(name);
    if (schema === undefined) throw new Error(`there is no read model ${name}`);
    return readCheckpoint(pool, schema);
  };

  /** None where the schema was swapped in that moment. */
  async function setAsideOf(name: string): Promise<ReadModelStatus['setAside']> {
    const schema = schemas.get(name);
    if (schema === undefined) return { count: 0, first: [] };
    try {
      const [count, first] = await Promise.all([countSetAside(pool, schema), readSetAside(pool, schema, SHOWN)]);
      return { count, first };
    } catch (error) {
      if (isMissing(error)) return { count: 0, first: [] };
      throw error;
    }
  }

  /** Position of a read model that somebody fills. */
  async function place(name: ReadModelName): Promise<number> {
    // A read that met the old table in the moment of a rebuild's swap sees no row: the second one sees the new table.
    const checkpoint = (await checkpointOf(name)) ?? (await checkpointOf(name));
    if (checkpoint) return checkpoint.log_index;
    throw notFilled(name);
  }

  /** What a read model answers as it is now. @throws LifecycleError `projection_behind` where nobody has begun to fill it */
  async function filled<T>(name: ReadModelName, read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      throw isMissing(error) ? notFilled(name) : error;
    }
  }

  async function at(names: readonly ReadModelName[], asOf: number | undefined): Promise<number> {
    const places = await Promise.all(names.map(place));
    const least = places.reduce((a, b) => Math.min(a, b));
    if (asOf === undefined || asOf <= least) return asOf ?? least;
    throw new LifecycleError(
      'projection_behind',
      `Asked for ${asOf}; the read model ${names.join(', ')} is at ${least}.`,
      {
        retry_after_s: 1,
      },
    );
  }

  return {
    position: async (name) => (await checkpointOf(name))?.log_index ?? -1,

    async status() {
      return Promise.all(
        projections.map(async ({ name }) => {
          const checkpoint = await checkpointOf(name);
          const { stopped_at, stopped_why } = checkpoint ?? { stopped_at: null, stopped_why: null };
          return {
            name,
            position: checkpoint?.log_index ?? -1,
            stopped: stopped_at === null ? null : { at: stopped_at, why: stopped_why ?? '' },
            setAside: checkpoint ? await setAsideOf(name) : { count: 0, first: [] },
          };
        }),
      );
    },

    async waitFor(name, logIndex, timeoutMs) {
      const giveUpAt = performance.now() + timeoutMs;
      for (;;) {
        const checkpoint = await checkpointOf(name);
        if (checkpoint && checkpoint.log_index >= logIndex) return true;
        if (performance.now() >= giveUpAt) return false;
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
    },

    models: async (filter, page = {}) => listModels(db, filter, page, await place('catalog')),
    model: async (orgId, modelId, asOf) => findModel(db, orgId, modelId, await at(['catalog'], asOf)),
    modelCount: (kind) => filled('catalog', () => countModels(db, kind)),
    async modelsNow(kind, from, limit) {
      const rows = await filled('catalog', () => modelsNow(db, kind, from, limit));
      const ids = rows.map((row) => row.model_id);
      const newest = await filled('versions', () => newestLifecycles(db, ids));
      return rows.map((row) => ({ ...row, lifecycle: newest.get(row.model_id) ?? null }));
    },
    versions: async (filter, page = {}) => listVersions(db, filter, page, await place('versions')),
    listedVersions: (filter, page) => filled('versions', () => listedVersions(db, filter, page)),
    newestLifecycle: async (modelId) =>
      (await filled('versions', () => newestLifecycles(db, [modelId]))).get(modelId) ?? null,
    lineage: async (of, page = {}) => readLineage(db, of, page, await at(['versions', 'rollouts'], undefined)),
    rollouts: async (filter, page = {}) => listRollouts(db, filter, page, await place('rollouts')),
    async judgements(orgId, rolloutId, asOf) {
      const position = await at(['rollouts'], asOf);
      return { items: await listJudgements(db, orgId, rolloutId, position), position };
    },
    runs: async (filter, page = {}) => listRuns(db, filter, page, await place('training')),
    async roundFacts(orgId, runId, asOf) {
      const position = await at(['training'], asOf);
      return { items: await listRoundFacts(db, orgId, runId, position), position };
    },
    events: async (filter, page = {}) => listEvents(db, log, filter, page, await place('activity')),

    close: () => db.destroy(), // ends the pool; `log` shares it
  };
}
